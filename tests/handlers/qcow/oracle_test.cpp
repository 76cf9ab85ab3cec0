// SPDX-License-Identifier: Apache-2.0
// Random requests on images of every kind, compared with a model in memory on the way and with what
// qemu-img reads and checks at the end.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <iostream>

#include "qcow_rig.hpp"

namespace lunkit::qcow {
namespace {

/// A kind of image. `prepare`: what the images of a chain are made of, see Oracle::prepare.
struct ImageKind {
    const char* name;
    const char* options;
    std::uint64_t size;
    const char* prepare;
};
void PrintTo(const ImageKind& kind, std::ostream* out) {
    *out << kind.name;
}

constexpr std::uint64_t kSize = 4U << 20U;
constexpr std::array kKinds = {
    ImageKind{"V2", "compat=0.10", kSize, "data"},
    ImageKind{"V3", "compat=1.1", kSize, "data"},
    ImageKind{"OddSize", "compat=1.1", kSize + 512 * 3, "data"},
    ImageKind{"Cluster512", "cluster_size=512", kSize, "data"},
    ImageKind{"Cluster512Refcount64", "cluster_size=512,refcount_bits=64", kSize, ""},
    ImageKind{"Cluster4k", "cluster_size=4k", kSize, "data"},
    ImageKind{"Cluster2M", "cluster_size=2M", 4 * kSize, "data"},
    ImageKind{"Refcount1", "refcount_bits=1", kSize, "data"},
    ImageKind{"Refcount2Cluster512", "refcount_bits=2,cluster_size=512", kSize, "data"},
    ImageKind{"Refcount8", "refcount_bits=8,cluster_size=4k", kSize, "data"},
    ImageKind{"Refcount64", "refcount_bits=64", kSize, "data"},
    ImageKind{"Lazy", "lazy_refcounts=on", kSize, "data"},
    ImageKind{"PreallocMetadata", "preallocation=metadata", kSize, ""},
    ImageKind{"PreallocFull", "preallocation=full,cluster_size=16k", kSize, ""},
    ImageKind{"Extended", "extended_l2=on", kSize, "data"},
    ImageKind{"Extended16k", "extended_l2=on,cluster_size=16k", kSize, "data"},
    ImageKind{"Extended2M", "extended_l2=on,cluster_size=2M", 4 * kSize, "data"},
    ImageKind{"Zeros", "cluster_size=16k", kSize, "data zeros"},
    ImageKind{"Zlib", "cluster_size=64k", kSize, "compressed"},
    ImageKind{"ZlibSmallClusters", "cluster_size=4k", kSize, "compressed"},
    ImageKind{"Zstd", "compression_type=zstd", kSize, "compressed"},
    ImageKind{"Snapshot", "", kSize, "data snapshot"},
    ImageKind{"SnapshotV2SmallClusters", "compat=0.10,cluster_size=4k", kSize, "data snapshot"},
    ImageKind{"SnapshotExtended", "extended_l2=on", kSize, "data snapshot"},
    ImageKind{"SnapshotOfCompressed", "", kSize, "compressed snapshot"},
    ImageKind{"BackingRaw", "", kSize, "backing-raw"},
    ImageKind{"BackingRawShorter", "", kSize, "backing-raw-short"},
    ImageKind{"BackingQcow2", "cluster_size=16k", kSize, "backing-qcow2"},
    ImageKind{"BackingV2", "compat=0.10", kSize, "backing-qcow2"},
    ImageKind{"BackingExtended", "extended_l2=on", kSize, "backing-qcow2"},
    ImageKind{"BackingChain", "", kSize, "backing-chain"},
};

class Oracle : public QcowRig, public ::testing::WithParamInterface<ImageKind> {
  protected:
    void make() {
        const ImageKind& kind = GetParam();
        const std::string prepare = kind.prepare;
        if (prepare.starts_with("backing")) {
            make_backing(prepare);
            const std::string format = prepare.starts_with("backing-raw") ? "raw" : "qcow2";
            std::string options = kind.options;
            options += (options.empty() ? "" : ",") + ("backing_file=base,backing_fmt=" + format);
            create("image", options, kind.size);
            qemu_io("image", "write -P 0x77 1M 100k");
        } else if (prepare.starts_with("compressed")) {
            test::write_file(folder_ / "plain.raw", compressible(kind.size));
            qemu_img({"convert", "-c", "-f", "raw", "-O", "qcow2", "-o",
                      *kind.options == '\0' ? "compat=1.1" : kind.options, folder_ / "plain.raw",
                      folder_ / "image"});
        } else {
            create("image", kind.options, kind.size);
            if (prepare.starts_with("data")) {
                qemu_io("image", "write -P 1 0 300k;write -P 2 1000k 17k;write -P 3 3M 512");
            }
        }
        if (prepare.ends_with("zeros")) {
            qemu_io("image", "write -z 32k 64k;write -z -u 128k 64k");
        }
        if (prepare.ends_with("snapshot")) {
            qemu_img({"snapshot", "-c", "kept", folder_ / "image"});
            qemu_io("image", "write -P 9 200k 200k");
        }
    }
    void make_backing(const std::string& which) {
        if (which.starts_with("backing-raw")) {
            const std::uint64_t size = which.ends_with("short") ? 1 * kMiB + 512 * 5 : 2 * kSize;
            test::write_file(folder_ / "base", noise(size, 5));
            return;
        }
        test::write_file(folder_ / "lowest", noise(3 * kMiB, 6));
        const bool chain = which == "backing-chain";
        create(
            "base",
            std::string("cluster_size=4k") + (chain ? ",backing_file=lowest,backing_fmt=raw" : ""),
            kSize);
        qemu_io("base", "write -P 0x55 0 700k;write -z 100k 50k;write -P 0x56 2M 1M");
    }
    static std::string compressible(std::size_t size) {
        std::string bytes(size, '\0');
        for (std::size_t i = 0; i < size; ++i) {
            bytes[i] = static_cast<char>(i / 3000 % 200 + (i % 7 == 0 ? 1 : 2));
        }
        return bytes;
    }

    /// One random request, to the device and to the model.
    void perform(std::string& model, std::mt19937_64& random) {
        const std::uint64_t sectors = model.size() / 512;
        const std::uint64_t first = random() % sectors;
        const std::uint64_t most = random() % 4 == 0 ? 800 : 40;
        const std::uint64_t count = std::min(random() % most + 1, sectors - first);
        const std::uint64_t offset = first * 512;
        const std::uint64_t length = count * 512;
        switch (random() % 16) {
            case 0:
            case 1:
                ASSERT_TRUE(discard(offset, length, random() % 4 == 0 ? LUNKIT_IO_ANCHOR : 0U) ||
                            !device_->info().can_discard);
                if (device_->info().can_discard) {
                    std::fill_n(model.begin() + static_cast<std::ptrdiff_t>(offset), length, '\0');
                }
                break;
            case 2:
            case 3:
                ASSERT_TRUE(
                    write_zeroes(offset, length, random() % 2 == 0 ? LUNKIT_IO_MAY_UNMAP : 0U));
                std::fill_n(model.begin() + static_cast<std::ptrdiff_t>(offset), length, '\0');
                break;
            case 4:
                ASSERT_TRUE(flush());
                break;
            case 5:
            case 6:
            case 7:
                ASSERT_EQ(model.substr(offset, length), read(offset, length)) << "at " << offset;
                break;
            default: {
                const std::string bytes = noise(length, random());
                ASSERT_TRUE(write(offset, bytes, random() % 8 == 0 ? LUNKIT_IO_FUA : 0U));
                model.replace(offset, length, bytes);
            }
        }
    }
};

TEST_P(Oracle, RandomRequestsLeaveWhatTheModelSays) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): nobody sets the environment of a test
    const char* const given = std::getenv("LUNKIT_SEED");
    const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 0) : 1;
    std::cout << "LUNKIT_SEED=" << seed << '\n';
    std::mt19937_64 random(seed);
    make();
    std::string model = content_by_qemu("image");
    for (int round = 0; round < 3; ++round) {
        open("image", round == 1 ? ";cache=64K" : "");
        ASSERT_EQ(model, read(0, model.size())) << "round " << round;
        for (int i = 0; i < 100; ++i) {
            perform(model, random);
            ASSERT_FALSE(HasFatalFailure()) << "round " << round << ", request " << i;
        }
        close();
        expect_clean("image");
        expect_content("image", model);
    }
}
INSTANTIATE_TEST_SUITE_P(Kinds, Oracle, ::testing::ValuesIn(kKinds),
                         [](const auto& tested) { return tested.param.name; });

}  // namespace
}  // namespace lunkit::qcow

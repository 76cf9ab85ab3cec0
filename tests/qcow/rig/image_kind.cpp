// SPDX-License-Identifier: Apache-2.0
#include "rig/image_kind.hpp"

#include <algorithm>
#include <filesystem>
#include <initializer_list>
#include <iterator>
#include <string_view>

#include <fmt/format.h>

#include "lunkit/try.hpp"
#include "qcow/luks.hpp"
#include "qcow/secret.hpp"
#include "rig/sector_model.hpp"

namespace lunkit::qcow_rig {

namespace {

constexpr std::uint64_t kMiB = 1ULL << 20;

constexpr ImageKind kKinds[] = {
    {.name = "v3", .options = "compat=v3", .toy = true},
    {.name = "v2", .options = "compat=0.10"},
    {.name = "v3-empty", .options = "compat=v3", .empty = true, .toy = true},
    {.name = "c512", .options = "cluster_size=512", .size = kMiB},
    {.name = "c512-refcount64",
     .options = "cluster_size=512,refcount_bits=64",
     .size = 2 * kMiB,
     .empty = true},
    {.name = "c4k", .options = "cluster_size=4k", .size = 2 * kMiB, .toy = true},
    {.name = "c2m", .options = "cluster_size=2M", .size = 16 * kMiB},
    {.name = "refcount1", .options = "cluster_size=4k,refcount_bits=1"},
    {.name = "refcount2", .options = "cluster_size=4k,refcount_bits=2"},
    {.name = "refcount8", .options = "refcount_bits=8"},
    {.name = "refcount32", .options = "cluster_size=16k,refcount_bits=32"},
    {.name = "lazy", .options = "lazy_refcounts=on"},
    {.name = "lazy-c4k", .options = "cluster_size=4k,lazy_refcounts=on", .size = 2 * kMiB},
    {.name = "lazy-dirty", .options = "lazy_refcounts=on", .dirty = true},
    {.name = "dirty-c512",
     .options = "cluster_size=512,lazy_refcounts=on",
     .size = kMiB,
     .dirty = true},
    {.name = "dirty-snapshot",
     .options = "cluster_size=4k,lazy_refcounts=on",
     .size = 2 * kMiB,
     .snapshot = true,
     .dirty = true},
    {.name = "dirty-zlib",
     .options = "cluster_size=4k,lazy_refcounts=on",
     .size = 2 * kMiB,
     .compressed = true,
     .dirty = true},
    {.name = "dirty-zstd-c2m",
     .options = "cluster_size=2M,compression_type=zstd,lazy_refcounts=on",
     .size = 16 * kMiB,
     .compressed = true,
     .dirty = true},
    {.name = "dirty-refcount1",
     .options = "cluster_size=4k,refcount_bits=1,lazy_refcounts=on",
     .size = 2 * kMiB,
     .dirty = true},
    {.name = "dirty-refcount64",
     .options = "cluster_size=512,refcount_bits=64,lazy_refcounts=on",
     .size = kMiB,
     .dirty = true},
    {.name = "dirty-extl2",
     .options = "cluster_size=16k,extended_l2=on,lazy_refcounts=on",
     .snapshot = true,
     .dirty = true},
    {.name = "dirty-backing",
     .options = "cluster_size=16k,lazy_refcounts=on",
     .backing = Backing::kQcow2,
     .dirty = true},
    {.name = "dirty-data-file",
     .options = "data_file_raw=off,lazy_refcounts=on",
     .dirty = true,
     .data_file = true},
    {.name = "dirty-luks",
     .options = "cluster_size=4k,lazy_refcounts=on",
     .size = 2 * kMiB,
     .dirty = true,
     .luks = true},
    {.name = "device", .options = "compat=v3", .block_device = true},
    {.name = "dirty-device", .options = "lazy_refcounts=on", .dirty = true, .block_device = true},
    {.name = "dirty-device-snapshot",
     .options = "lazy_refcounts=on",
     .snapshot = true,
     .dirty = true,
     .block_device = true},
    {.name = "extl2", .options = "cluster_size=64k,extended_l2=on"},
    {.name = "extl2-16k", .options = "cluster_size=16k,extended_l2=on"},
    {.name = "extl2-backing",
     .options = "cluster_size=64k,extended_l2=on",
     .backing = Backing::kQcow2},
    {.name = "backing-raw", .options = "compat=v3", .backing = Backing::kRaw},
    {.name = "backing-short",
     .options = "compat=v3",
     .backing = Backing::kRaw,
     .backing_size = 2 * kMiB + 3 * 512},
    {.name = "backing-long",
     .options = "cluster_size=16k",
     .backing = Backing::kQcow2,
     .backing_size = 6 * kMiB},
    {.name = "backing-chain", .options = "compat=v3", .backing = Backing::kChain},
    {.name = "backing-v2", .options = "compat=0.10", .backing = Backing::kQcow2},
    {.name = "zlib", .options = "compat=v3", .compressed = true},
    {.name = "zstd", .options = "compression_type=zstd", .compressed = true},
    {.name = "zlib-c4k", .options = "cluster_size=4k", .size = 2 * kMiB, .compressed = true},
    {.name = "snapshot", .options = "compat=v3", .snapshot = true, .toy = true},
    {.name = "snapshot-c4k",
     .options = "cluster_size=4k",
     .size = 2 * kMiB,
     .snapshot = true,
     .toy = true},
    {.name = "snapshot-c512", .options = "cluster_size=512", .size = kMiB, .snapshot = true},
    {.name = "snapshot-zlib", .options = "compat=v3", .compressed = true, .snapshot = true},
    {.name = "snapshot-extl2", .options = "extended_l2=on", .snapshot = true},
    {.name = "snapshot-lazy", .options = "lazy_refcounts=on", .snapshot = true},
    {.name = "zeros", .options = "compat=v3", .zero_clusters = true},
    {.name = "zeros-backing",
     .options = "compat=v3",
     .backing = Backing::kRaw,
     .zero_clusters = true},
    {.name = "luks-c4k", .options = "cluster_size=4k", .size = 2 * kMiB, .luks = true},
    {.name = "luks-extl2", .options = "extended_l2=on", .luks = true},
    {.name = "luks-empty", .options = "compat=v3", .luks = true, .empty = true},
    {.name = "luks-backing", .options = "compat=v3", .backing = Backing::kRaw, .luks = true},
    {.name = "preallocated", .options = "preallocation=metadata"},
    {.name = "bitmap", .options = "compat=v3", .bitmap = true},
    {.name = "data-file", .options = "data_file_raw=off", .data_file = true},
    {.name = "data-file-raw",
     .options = "data_file_raw=on",
     .data_file = true,
     .data_file_raw = true},
    {.name = "data-file-extl2", .options = "data_file_raw=off,extended_l2=on", .data_file = true},
    {.name = "data-file-backing",
     .options = "data_file_raw=off",
     .backing = Backing::kRaw,
     .data_file = true},
};

/// Runs of written sectors of all lengths, aligned to nothing.
bool is_written(std::uint64_t sector) {
    return sector / 37 % 3 != 0 && sector / 640 % 4 != 3;
}

Bytes raw_content(std::uint64_t size) {
    Bytes content(size);
    for (std::uint64_t s = 0; s < size / kSector; ++s) {
        if (is_written(s)) {
            stamp_sector(&content[s * kSector], s, kInitial);
        }
    }
    return content;
}

}  // namespace

std::span<const ImageKind> image_kinds() {
    return kKinds;
}

const ImageKind* find_kind(std::string_view name) {
    const auto* const found =
        std::ranges::find_if(kKinds, [name](const ImageKind& kind) { return name == kind.name; });
    return found == std::end(kKinds) ? nullptr : found;
}

std::string BuiltImage::config() const {
    std::string config = path();
    if (kind_.data_file) {
        config += ";data_file=confined";
    }
    if (kind_.luks) {
        config += ";secret_file=" + secret_path();
    }
    return config;
}

std::vector<std::string> BuiltImage::naming() const {
    if (kind_.luks) {
        return {"--object", secret_object(), "--image-opts",
                "driver=qcow2,encrypt.key-secret=key,file.filename=" + path()};
    }
    return {"-f", "qcow2", path()};
}

std::string BuiltImage::options() const {
    std::string options = kind_.options;
    if (kind_.data_file) {
        options += ",data_file=" + data_path();
    }
    if (kind_.luks) {
        options += ",encrypt.format=luks,encrypt.key-secret=key,encrypt.iter-time=20";
    }
    return options;
}

Result<std::unique_ptr<BuiltImage>> BuiltImage::build(const ImageKind& kind) {
    std::unique_ptr<BuiltImage> image(new BuiltImage(kind));
    CHECK(image->make_content());
    CHECK(image->make_backing());
    CHECK(image->make_image());
    CHECK(image->unlock());
    CHECK(image->embellish());
    return image;
}

Status BuiltImage::make_content() {
    const std::uint64_t size = kind_.backing_size != 0 ? kind_.backing_size : kind_.size;
    initial_.resize(kind_.size / kSector);
    for (std::uint64_t s = 0; s < initial_.size(); ++s) {
        initial_[s] = !kind_.empty && s < size / kSector && is_written(s);
    }
    return write_file(folder_ / "base.raw", raw_content(size));
}

Status BuiltImage::make_backing() {
    if (kind_.backing == Backing::kNone) {
        return {};
    }
    TRY(Bytes content, read_file(folder_ / "base.raw"));
    backing_ = std::make_unique<RawSource>(std::move(content));
    if (kind_.backing != Backing::kRaw) {
        CHECK(must_run({"qemu-img", "convert", "-f", "raw", "-O", "qcow2", folder_ / "base.raw",
                        folder_ / "base.qcow2"}));
    }
    if (kind_.backing == Backing::kChain) {
        CHECK(must_run({"qemu-img", "create", "-q", "-f", "qcow2", "-b", "base.qcow2", "-F",
                        "qcow2", folder_ / "middle.qcow2"}));
    }
    return {};
}

Status BuiltImage::make_image() {
    std::vector<std::string> command{"qemu-img"};
    const auto add = [&command](std::initializer_list<std::string> words) {
        command.insert(command.end(), words);
    };
    const bool convert = !kind_.empty && kind_.backing == Backing::kNone;
    if (convert) {
        add({"convert", "-f", "raw", "-O", "qcow2", "-o", options()});
    } else {
        add({"create", "-q", "-f", "qcow2", "-o", options()});
    }
    if (kind_.luks) {
        const std::string_view passphrase = "a secret of the rig";
        CHECK(write_file(secret_path(), std::as_bytes(std::span(passphrase))));
        std::filesystem::permissions(secret_path(), std::filesystem::perms::owner_read);
        add({"--object", secret_object()});
    }
    if (kind_.compressed) {
        add({"-c"});
    }
    if (kind_.backing == Backing::kRaw) {
        add({"-b", "base.raw", "-F", "raw"});
    } else if (kind_.backing != Backing::kNone) {
        add({"-b", kind_.backing == Backing::kChain ? "middle.qcow2" : "base.qcow2", "-F",
             "qcow2"});
    }
    if (convert) {
        add({folder_ / "base.raw", path()});
    } else {
        add({path(), std::to_string(kind_.size)});
    }
    Status made = must_run(command);
    // To choose PBKDF2's iterations it measures itself, and gives up when others disturb it.
    for (int i = 0; i < 100 && !made && made.error().what.contains("accurate CPU usage"); ++i) {
        made = must_run(command);
    }
    return made;
}

Status BuiltImage::unlock() {
    if (!kind_.luks) {
        return {};
    }
    TRY(const Bytes image, read_file(path()));
    TRY(const Layout layout, read_layout(image));
    const ImageView area =
        ImageView(image).subspan(layout.luks_header.offset, layout.luks_header.length);
    TRY(const qcow::LuksHeader luks, qcow::parse_luks(area, area.size()));
    TRY(const qcow::SecretBytes passphrase,
        qcow::read_secret({.file = secret_path(), .credential = ""}));
    const auto read = [area](std::uint64_t offset, std::span<std::byte> to) -> Status {
        std::ranges::copy(area.subspan(offset, to.size()), to.begin());
        return {};
    };
    TRY(cipher_, qcow::unlock_luks(luks, read, passphrase));
    return {};
}

Status BuiltImage::embellish() {
    const auto zero = [this](std::uint64_t begin, std::uint64_t end) {
        for (std::uint64_t s = begin / kSector; s < end / kSector; ++s) {
            initial_[s] = false;
        }
    };
    if (kind_.zero_clusters) {
        CHECK(must_run({"qemu-io", "-t", "writeback", "-c", "write -z 256k 384k", "-c",
                        "write -zu 1M 320k", path()}));
        zero(256 * 1024, 640 * 1024);
        zero(kMiB, kMiB + 320 * 1024);
    }
    if (kind_.snapshot) {
        CHECK(must_run({"qemu-img", "snapshot", "-c", "first", path()}));
    }
    if (kind_.bitmap) {
        CHECK(must_run({"qemu-img", "bitmap", "--add", path(), "backup"}));
    }
    if (kind_.dirty) {
        // Ends by SIGABRT: a cluster is allocated whose refcount never reaches the disk.
        std::vector<std::string> command{
            "qemu-io", "-t",    "writeback", "-c",   "write -P 0 960k 64k",
            "-c",      "flush", "-c",        "abort"};
        std::ranges::copy(naming(), std::back_inserter(command));
        (void)run_program(command);
    }
    if (kind_.block_device) {
        constexpr std::uint64_t kSpare = 6 * kMiB;
        std::filesystem::resize_file(path(), std::filesystem::file_size(path()) + kSpare);
    }
    return {};
}

}  // namespace lunkit::qcow_rig

// SPDX-License-Identifier: Apache-2.0
// Every image that `qemu-img create` can make: served, written at random, compared, checked.
//
// Of the 2880 combinations qemu-img accepts 1172. A run takes every LUNKIT_MATRIX_STEP-th (default
// 61; 1 = all), beginning at LUNKIT_SEED (default: the day), so that runs rotate. 61 has no factor
// in common with 2880: a sample has every value of every option.
#include <chrono>
#include <iostream>

#include <fmt/format.h>

#include "rig/checker.hpp"
#include "rig/image_kind.hpp"
#include "rig/plugin_test.hpp"
#include "rig/workload.hpp"

namespace lunkit::qcow_rig {
namespace {

struct Combination {
    const char* cluster;
    const char* compat;
    const char* refcount_bits;
    const char* lazy;
    const char* extended;
    const char* compression;
    const char* preallocation;
    const char* data_file;

    [[nodiscard]] std::string options(const std::string& folder) const {
        std::string text = fmt::format(
            "cluster_size={},compat={},refcount_bits={},lazy_refcounts={},extended_l2={},"
            "compression_type={},preallocation={}",
            cluster, compat, refcount_bits, lazy, extended, compression, preallocation);
        if (*data_file != '\0') {
            text += fmt::format(",data_file={}/disk.data,data_file_raw={}", folder, data_file);
        }
        return text;
    }
    [[nodiscard]] std::uint64_t disk_size() const {
        return std::string_view(cluster) == "2M" ? 8ULL << 20 : 1ULL << 20;
    }
};

std::vector<Combination> all_combinations() {
    std::vector<Combination> all;
    for (const char* cluster : {"512", "4k", "16k", "64k", "2M"}) {
        for (const char* compat : {"0.10", "1.1"}) {
            for (const char* bits : {"1", "16", "64"}) {
                for (const char* lazy : {"off", "on"}) {
                    for (const char* extended : {"off", "on"}) {
                        for (const char* compression : {"zlib", "zstd"}) {
                            for (const char* fill : {"off", "metadata", "falloc", "full"}) {
                                for (const char* data : {"", "off", "on"}) {
                                    all.push_back({cluster, compat, bits, lazy, extended,
                                                   compression, fill, data});
                                }
                            }
                        }
                    }
                }
            }
        }
    }
    return all;
}

class CreateMatrix : public PluginTest {
  protected:
    struct Tally {
        unsigned tried = 0;
        unsigned impossible = 0;  // qemu-img refuses to create it
        unsigned served = 0;
    };

    void try_one(const Combination& combination, std::uint64_t seed, Tally& tally) {
        RunFolder folder;
        const std::string path = folder / "disk.qcow2";
        const std::string options = combination.options(folder.path());
        ++tally.tried;
        if (run_program({"qemu-img", "create", "-q", "-f", "qcow2", "-o", options, path,
                         std::to_string(combination.disk_size())})
                .exit_code != 0) {
            ++tally.impossible;
            return;
        }
        WriteLog log;
        SectorModel model(std::vector<bool>(combination.disk_size() / kSector));
        const char* const keys = *combination.data_file != '\0' ? ";data_file=confined" : "";
        ASSERT_NO_FATAL_FAILURE(serve(path + keys, seed, log, model)) << options;
        ++tally.served;
        compare(path, model, options);
    }

    void serve(const std::string& config, std::uint64_t seed, WriteLog& log, SectorModel& model) {
        RecordingHost host(seed, &log);
        auto subject = Subject::open(entry(), host, {.config = config});
        ASSERT_TRUE(subject) << subject.error().what;
        WorkloadOptions options;
        options.seed = seed;
        options.requests = 60;
        options.longest = 128 * 1024;
        Workload workload(options, **subject, host, log, model);
        const auto finding = workload.run();
        ASSERT_FALSE(finding) << *finding;
        const auto other = workload.read_all();
        ASSERT_FALSE(other) << *other;
        (*subject)->close();
    }

    static void compare(const std::string& path, const SectorModel& model,
                        const std::string& options) {
        const Finished check = run_program({"qemu-img", "check", path});
        EXPECT_EQ(0, check.exit_code) << options << ": " << check.output;
        const std::string raw = path + ".raw";
        const Status read =
            must_run({"qemu-img", "convert", "-f", "qcow2", "-O", "raw", path, raw});
        ASSERT_TRUE(read) << options << ": " << read.error().what;
        const auto content = read_file(raw);
        ASSERT_TRUE(content);
        for (std::uint64_t s = 0; s < model.sectors(); ++s) {
            const auto objection = model.objection(s, &(*content)[s * kSector], kNever - 1, kNever);
            ASSERT_FALSE(objection) << options << ": qemu-img reads: " << *objection;
        }
    }
};

std::uint64_t today() {
    const auto since = std::chrono::system_clock::now().time_since_epoch();
    return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::days>(since).count());
}

TEST_F(CreateMatrix, EveryCombinationIsServed) {
    const std::uint64_t step = std::max<std::uint64_t>(1, setting("LUNKIT_MATRIX_STEP", 61));
    const std::uint64_t seed = setting("LUNKIT_SEED", today());
    const std::vector<Combination> all = all_combinations();
    ASSERT_EQ(2880U, all.size());
    Tally tally;
    for (std::size_t i = seed % step; i < all.size() && !HasFatalFailure(); i += step) {
        SCOPED_TRACE(fmt::format("combination {}, LUNKIT_SEED={}", i, seed));
        // 1009 is prime: neighbours in the list are far from each other in a sample.
        try_one(all[i * 1009 % all.size()], seed + i, tally);
    }
    std::cout << fmt::format("{} of {} combinations: qemu-img accepts {}, served and sound {}\n",
                             tally.tried, all.size(), tally.tried - tally.impossible, tally.served);
    if (step == 1) {
        EXPECT_EQ(1172U, tally.tried - tally.impossible);  // of qemu 7.2
    }
    EXPECT_GT(tally.served, 0U);
    EXPECT_EQ(tally.tried - tally.impossible, tally.served);
}

}  // namespace
}  // namespace lunkit::qcow_rig

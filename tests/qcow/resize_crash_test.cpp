// SPDX-License-Identifier: Apache-2.0
// Power cuts while a disk grows and shrinks.
#include <algorithm>
#include <iostream>

#include "rig/crash_run.hpp"
#include "rig/plugin_test.hpp"

namespace lunkit::qcow_rig {
namespace {

/// Of the cuts, one of so many is made: the build says it.
constexpr unsigned kShare = LUNKIT_CRASH_SHARE;
constexpr std::uint64_t kIncompatibleFeatures = 72;  // where the header has them

/// Of a disk of some kind.
struct OtherSize {
    const char* kind;
    std::uint64_t size;
};
class CrashOfAGrowingDisk : public PluginTest, public testing::WithParamInterface<OtherSize> {};

TEST_P(CrashOfAGrowingDisk, LeavesTheOldOrTheNewSizeAndZerosBehind) {
    CrashOptions options;
    options.other_size = GetParam().size;
    options.workload.requests = 12;
    options.workload.longest = 128 * 1024;
    options.most_cuts = 120 / kShare;
    options.qemu_every = 100;
    options.script = [](Workload& workload, RecordingHost&) {
        if (auto finding = workload.run(); finding) {
            return finding;
        }
        workload.resize(GetParam().size);
        return workload.run();
    };
    for (const char* const config : {"", ";commit=flush"}) {
        options.config = config;
        const CrashReport report = run_crash(entry(), *find_kind(GetParam().kind), options);
        EXPECT_FALSE(report.finding) << *report.finding;
        EXPECT_FALSE(report.refused) << *report.refused;
        std::cout << report.cuts << " cuts, " << report.states << " states\n";
    }
}

// A larger L1 table, one that needs more refcount blocks too, remains in the last cluster, a
// backing file that is longer than the disk was, and a data file that must become as long as the
// disk.
INSTANTIATE_TEST_SUITE_P(Kind, CrashOfAGrowingDisk,
                         testing::Values(OtherSize{"c512", 8U << 20U},
                                         OtherSize{"c512-refcount64", 80U << 20U},
                                         OtherSize{"snapshot-c4k", 40U << 20U},
                                         OtherSize{"backing-long", 8U << 20U},
                                         OtherSize{"data-file-raw", 8U << 20U}),
                         [](const auto& made) {
                             std::string name = made.param.kind;
                             std::ranges::replace(name, '-', '_');
                             return name;
                         });

class CrashOfAShrinkingDisk : public PluginTest, public testing::WithParamInterface<OtherSize> {};

// The old size comes with all the old data, and what was cut off stays away when the disk grows
// again.
TEST_P(CrashOfAShrinkingDisk, LeavesTheOldDiskOrTheNewOne) {
    const ImageKind& kind = *find_kind(GetParam().kind);
    CrashOptions options;
    options.other_size = GetParam().size;
    options.workload.requests = 10;
    options.workload.longest = 128 * 1024;
    options.most_cuts = 120 / kShare;
    options.qemu_every = 100;
    options.reopen_every = 100;
    options.script = [&kind](Workload& workload, RecordingHost&) {
        if (auto finding = workload.run(); finding) {
            return finding;
        }
        workload.resize(GetParam().size);
        if (auto finding = workload.run(); finding) {
            return finding;
        }
        workload.resize(kind.size);
        return workload.run();
    };
    if (kind.dirty) {
        options.script = [](Workload& workload, RecordingHost& host) -> std::optional<std::string> {
            host.hold([](FileCall call, std::uint64_t offset, std::uint64_t) {
                return call == FileCall::kWrite && offset == kIncompatibleFeatures;
            });
            workload.start(Verb::kWrite, {0, 8}, LUNKIT_IO_FUA);
            while (workload.in_flight() != 0 && host.queue().step()) {
            }
            const bool mended = host.held() != 0;
            workload.resize(GetParam().size);
            host.release_held();
            auto finding = workload.run();
            return mended ? "the repair had ended before the disk shrank" : finding;
        };
    }
    // Either, by the kind.
    options.config = GetParam().size % 1024 == 0 ? ";shrink=on" : ";shrink=on;commit=flush";
    const CrashReport report = run_crash(entry(), kind, options);
    EXPECT_FALSE(report.finding) << *report.finding;
    EXPECT_FALSE(report.refused) << *report.refused;
    std::cout << report.cuts << " cuts, " << report.states << " states\n";
}

// Whole tables and a part of one, tables that a snapshot has too, an end within a cluster, shared
// host clusters, zeros over a backing file, data files, and counts that are mended meanwhile.
INSTANTIATE_TEST_SUITE_P(
    Kind, CrashOfAShrinkingDisk,
    testing::Values(OtherSize{"c512", 300 * 512}, OtherSize{"snapshot-c512", 513 * 512},
                    OtherSize{"v3", (2U << 20U) + 512}, OtherSize{"zlib-c4k", 1U << 20U},
                    OtherSize{"backing-long", 2U << 20U}, OtherSize{"extl2-16k", (1U << 20U) + 512},
                    OtherSize{"data-file", 2U << 20U}, OtherSize{"data-file-raw", 2U << 20U},
                    OtherSize{"luks-c4k", 1U << 20U}, OtherSize{"dirty-c512", 512U << 10U}),
    [](const auto& made) {
        std::string name = made.param.kind;
        std::ranges::replace(name, '-', '_');
        return name;
    });

}  // namespace
}  // namespace lunkit::qcow_rig

// SPDX-License-Identifier: Apache-2.0
// Power cuts at every step of random runs, for every kind of image. LUNKIT_SEED picks other runs,
// LUNKIT_CRASH_RUNS how many per kind; qcow_crash repeats a single one.
#include <algorithm>
#include <iostream>

#include "known_bugs.hpp"
#include "rig/crash_run.hpp"
#include "rig/plugin_test.hpp"

namespace lunkit::qcow_rig {
namespace {

/// Of the cuts, one of so many is made: the build says it.
constexpr unsigned kShare = LUNKIT_CRASH_SHARE;

/// Runs and kinds take turns with what matters for the order of writes.
std::string config_of(std::uint64_t turn) {
    constexpr const char* kConfigs[] = {"", ";commit=flush", ";cache=64K",
                                        ";commit=flush;cache=64K"};
    return kConfigs[turn % std::size(kConfigs)];
}

class Crash : public PluginTest, public testing::WithParamInterface<ImageKind> {
  protected:
    void run(CrashOptions options) {
        const std::uint64_t first = setting("LUNKIT_SEED", 1);
        CrashReport all;
        for (std::uint64_t i = 0; i < setting("LUNKIT_CRASH_RUNS", 1) && !all.finding; ++i) {
            options.seed = first + i;
            options.config = config_of(
                first + i +
                static_cast<std::uint64_t>(find_kind(GetParam().name) - image_kinds().data()));
            const CrashReport report = run_crash(entry(), GetParam(), options);
            if (report.refused) {
                GTEST_SKIP() << "the handler does not support this: " << *report.refused;
            }
            all.add(report);
        }
        EXPECT_FALSE(all.finding) << *all.finding;
        std::cout << all.cuts << " cuts, " << all.states << " states\n";
    }
};

TEST_P(Crash, LeavesWhatWasFlushedAndASoundImage) {
    CrashOptions options;
    options.workload.requests = 30;
    options.workload.hot_bytes = GetParam().size / 4;
    options.workload.longest = std::min<std::uint64_t>(256 * 1024, GetParam().size / 8);
    options.qemu_every = 250;
    options.reopen_every = 100;
    options.most_cuts = static_cast<unsigned>(setting("LUNKIT_CRASH_CUTS", 150 / kShare));
    run(options);
}

TEST_P(Crash, AfterFailedOperationsNothingIsLostEither) {
    CrashOptions options;
    options.workload.requests = 30;
    options.workload.hot_bytes = GetParam().size / 4;
    options.fault_every = 40;
    options.qemu_every = 0;
    options.reopen_every = 0;
    options.most_cuts = 20;
    options.clean_close = true;
    run(options);
}

constexpr std::uint64_t kIncompatibleFeatures = 72;  // where the header has them

class CrashOfADirtyImage : public PluginTest, public testing::WithParamInterface<const char*> {};
class CrashOfADirtyDevice : public CrashOfADirtyImage {};

constexpr std::uint64_t kDeviceTable = 64 * 1024;  // an L2 table of "dirty-device" as a whole

// The power goes, and the image is closed, while its clusters are counted. Where the dirty bit's
// removal is held back, the first write does not wait for it.
TEST_P(CrashOfADirtyImage, LosesNothingWhileItIsMended) {
    for (const bool held : {false, true}) {
        CrashOptions options;
        options.workload.requests = 20;
        options.workload.longest = 64 * 1024;
        options.most_cuts = 70 / kShare;
        options.qemu_every = 100;
        options.reopen_every = 40;
        options.seed = setting("LUNKIT_SEED", 1) + (held ? 1 : 0);
        options.config = config_of(options.seed);
        options.settle = false;
        if (held) {
            options.script = [](Workload& workload,
                                RecordingHost& host) -> std::optional<std::string> {
                host.hold([](FileCall call, std::uint64_t offset, std::uint64_t) {
                    return call == FileCall::kWrite && offset == kIncompatibleFeatures;
                });
                workload.start(Verb::kWrite, {kHole, 8}, LUNKIT_IO_FUA);
                workload.settle();
                const bool waited = workload.in_flight() != 0;
                host.release_held();
                auto finding = workload.run();
                return waited ? "the write waited for the repair" : finding;
            };
        }
        const CrashReport report = run_crash(entry(), *find_kind(GetParam()), options);
        EXPECT_FALSE(report.finding) << *report.finding;
        EXPECT_FALSE(report.refused) << *report.refused;
        std::cout << report.cuts << " cuts, " << report.states << " states\n";
    }
}

// There is no room behind the end of a block device, and nobody knows what is free in it before all
// tables have been read. What goes in place does not wait for that.
TEST_P(CrashOfADirtyDevice, IsWrittenInPlaceWhileItsClustersAreCounted) {
    CrashOptions options;
    options.workload.requests = 20;
    options.workload.longest = 64 * 1024;
    options.most_cuts = 70 / kShare;
    options.qemu_every = 100;
    options.reopen_every = 40;
    options.settle = false;
    const bool shares = find_kind(GetParam())->snapshot;  // then nothing is written in place
    options.script = [shares](Workload& workload,
                              RecordingHost& host) -> std::optional<std::string> {
        host.hold([](FileCall call, std::uint64_t, std::uint64_t length) {
            return call == FileCall::kRead && length == kDeviceTable;
        });
        workload.start(Verb::kWrite, {0, 8}, LUNKIT_IO_FUA);
        workload.settle();
        const std::size_t in_place = workload.in_flight();
        const bool counts = host.held() == 1;
        workload.start(Verb::kWrite, {kHole + kCluster, 8}, LUNKIT_IO_FUA);
        workload.start(Verb::kDiscard, {kVictim, kCluster});
        workload.settle();
        const std::size_t waiting = workload.in_flight();
        host.release_held();
        if (auto finding = workload.run(); finding) {
            return finding;
        }
        if (!counts) {
            return "the census has not begun, or reads something else";
        }
        if (in_place != (shares ? 1U : 0U)) {
            return "a write in place waited, or one elsewhere did not";
        }
        return waiting == in_place + 2 ? std::nullopt
                                       : std::optional("a cluster was given away uncounted");
    };
    const CrashReport report = run_crash(entry(), *find_kind(GetParam()), options);
    EXPECT_FALSE(report.finding) << *report.finding;
    EXPECT_FALSE(report.refused) << *report.refused;
    std::cout << report.cuts << " cuts, " << report.states << " states\n";
}

std::string name_of_kind(const testing::TestParamInfo<const char*>& made) {
    std::string name = made.param;
    std::ranges::replace(name, '-', '_');
    return name;
}
INSTANTIATE_TEST_SUITE_P(Kind, CrashOfADirtyDevice,
                         testing::Values("dirty-device", "dirty-device-snapshot"), name_of_kind);
INSTANTIATE_TEST_SUITE_P(Kind, CrashOfADirtyImage,
                         testing::Values("lazy-dirty", "dirty-c512", "dirty-snapshot", "dirty-zlib",
                                         "dirty-zstd-c2m", "dirty-refcount1", "dirty-refcount64",
                                         "dirty-extl2", "dirty-backing", "dirty-data-file",
                                         "dirty-luks", "dirty-device", "dirty-device-snapshot"),
                         name_of_kind);

INSTANTIATE_TEST_SUITE_P(Kind, Crash, testing::ValuesIn(image_kinds()), [](const auto& made) {
    std::string name = made.param.name;
    std::ranges::replace(name, '-', '_');
    return name;
});

}  // namespace
}  // namespace lunkit::qcow_rig

// SPDX-License-Identifier: Apache-2.0
// Four ways in which qemu 7.2's qcow2 driver loses data, each found by hand there and kept here.
// All of them end with a cut at every step, and with a read of the whole disk.
#include "lunkit/handler.h"
#include "rig/crash_run.hpp"
#include "rig/plugin_test.hpp"

namespace lunkit::qcow_rig {
namespace {

constexpr std::uint64_t kCluster = 128;          // sectors of 64 KiB
constexpr std::uint64_t kVictim = 1 * kCluster;  // holds data
constexpr std::uint64_t kHole = 15 * kCluster;   // five clusters from here on hold none

/// Data writes of whole clusters or parts; metadata writes are shorter here.
RecordingHost::Which data_writes_of(std::uint64_t length) {
    return [length](FileCall call, std::uint64_t /*offset*/, std::uint64_t bytes) {
        return call == FileCall::kWrite && bytes == length;
    };
}

class KnownBug : public PluginTest {
  protected:
    CrashReport run(const char* kind, Script script, bool close) {
        CrashOptions options;
        options.script = std::move(script);
        options.clean_close = close;
        options.qemu_every = 150;
        options.reopen_every = 60;
        CrashReport all;
        for (options.seed = 1; options.seed <= 3 && !all.finding; ++options.seed) {
            all.add(run_crash(entry(), *find_kind(kind), options));
        }
        return all;
    }
};

TEST_F(KnownBug, B1FreedCompressedClusterIsReusedBeforeItsUnlinkIsDurable) {
    const auto script = [](Workload& workload, RecordingHost&) {
        workload.perform(Verb::kWrite, {kVictim, 8});
        for (std::uint64_t i = 0; i < 4; ++i) {
            workload.perform(Verb::kWrite, {kHole + i * kCluster, kCluster});
        }
        return workload.drain();
    };
    const CrashReport report = run("zlib", script, false);
    EXPECT_FALSE(report.finding) << *report.finding;
    EXPECT_GT(report.states, 0U);
}

TEST_F(KnownBug, B2ZeroedClusterIsReusedBeforeItsUnlinkIsDurable) {
    const auto script = [](Workload& workload, RecordingHost&) {
        workload.perform(Verb::kWriteZeroes, {kVictim, kCluster}, LUNKIT_IO_MAY_UNMAP);
        for (std::uint64_t i = 0; i < 4; ++i) {
            workload.perform(Verb::kWrite, {kHole + i * kCluster, kCluster});
        }
        return workload.drain();
    };
    const CrashReport report = run("v3", script, false);
    EXPECT_FALSE(report.finding) << *report.finding;
    EXPECT_GT(report.states, 0U);
}

/// A write waits in the middle while its cluster is discarded and others look for space.
std::optional<std::string> race_with_discard(Workload& workload, RecordingHost& host,
                                             std::uint64_t victim) {
    constexpr std::uint64_t kPart = 24;
    host.hold(data_writes_of(kPart * kSector));
    workload.start(Verb::kWrite, {victim + 16, kPart});
    workload.settle();
    workload.start(Verb::kDiscard, {victim, kCluster});
    workload.settle();
    workload.start(Verb::kFlush, {});
    workload.settle();
    for (std::uint64_t i = 0; i < 4; ++i) {
        workload.start(Verb::kWrite, {kHole + i * kCluster, kCluster});
        workload.settle();
    }
    host.release_held();
    if (auto finding = workload.drain(); finding) {
        return finding;
    }
    return workload.read_all();
}

TEST_F(KnownBug, B3InPlaceWriteAgainstDiscardOfItsCluster) {
    const auto script = [](Workload& workload, RecordingHost& host) {
        return race_with_discard(workload, host, kVictim);
    };
    const CrashReport report = run("v3", script, true);
    EXPECT_FALSE(report.finding) << *report.finding;
    EXPECT_GT(report.states, 0U);
}

TEST_F(KnownBug, B4WriteToAllocatedZeroClusterAgainstItsDiscard) {
    const auto script = [](Workload& workload, RecordingHost& host) {
        return race_with_discard(workload, host, 4 * kCluster);  // "zeros": 256k..640k are such
    };
    const CrashReport report = run("zeros", script, true);
    EXPECT_FALSE(report.finding) << *report.finding;
    EXPECT_GT(report.states, 0U);
}

}  // namespace
}  // namespace lunkit::qcow_rig

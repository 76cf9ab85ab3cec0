// SPDX-License-Identifier: Apache-2.0
// The request sequences behind known_bugs_test.cpp, for the handler and for the toys that have the
// bug.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "rig/workload.hpp"

namespace lunkit::qcow_rig {

inline constexpr std::uint64_t kCluster = 128;          ///< sectors of 64 KiB
inline constexpr std::uint64_t kVictim = 1 * kCluster;  ///< holds data in every image kind
inline constexpr std::uint64_t kHole = 15 * kCluster;   ///< five clusters from here on hold none

/// Several new clusters: if the victim's is free, one of them gets it.
inline void fill_holes(Workload& workload) {
    for (std::uint64_t i = 0; i < 4; ++i) {
        workload.start(Verb::kWrite, {kHole + i * kCluster, kCluster});
        workload.settle();
    }
}

/// A write into `victim` waits halfway while the cluster is discarded and others look for space.
inline std::optional<std::string> race_with_discard(Workload& workload, RecordingHost& host,
                                                    std::uint64_t victim) {
    constexpr std::uint64_t kPart = 24;
    host.hold([](FileCall call, std::uint64_t /*offset*/, std::uint64_t length) {
        return call == FileCall::kWrite && length == kPart * kSector;
    });
    workload.start(Verb::kWrite, {victim + 16, kPart});
    workload.settle();
    workload.start(Verb::kDiscard, {victim, kCluster});
    workload.settle();
    workload.start(Verb::kFlush, {});
    workload.settle();
    fill_holes(workload);
    host.release_held();
    if (auto finding = workload.drain(); finding) {
        return finding;
    }
    return workload.read_all();
}

/// The victim's cluster is freed by `verb`, then others look for space; nothing is flushed.
inline std::optional<std::string> free_and_fill(Workload& workload, Verb verb,
                                                Workload::Range range, std::uint32_t flags) {
    workload.perform(verb, range, flags);
    fill_holes(workload);
    return workload.drain();
}

}  // namespace lunkit::qcow_rig

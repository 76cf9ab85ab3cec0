// SPDX-License-Identifier: Apache-2.0
// A crash run: random requests to a handler on an image of some kind, then the power goes at every
// step of the log, in several ways each, and each image that is left is judged:
//   - the rig's checker finds no corruption (leaks are allowed);
//   - every sector reads as SectorModel allows;
//   - when only the process has gone, all that was acknowledged is there;
//   - for a sample, qemu-img check agrees, and qemu-img convert reads what the rig's reader reads;
//   - for a sample, the handler itself opens it, reads the same, works on, and closes it clean.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "rig/image_kind.hpp"
#include "rig/subject.hpp"
#include "rig/workload.hpp"

namespace lunkit::qcow_rig {

/// Requests in a fixed order instead of random ones; what is wrong, or nothing.
using Script = std::function<std::optional<std::string>(Workload&, RecordingHost&)>;

struct CrashOptions {
    std::uint64_t seed = 1;
    WorkloadOptions workload = {};
    Script script = {};
    unsigned most_cuts = 0;        ///< 0 = at every step
    unsigned qemu_every = 500;     ///< states from one qemu-img confirmation to the next; 0 = none
    unsigned reopen_every = 400;   ///< the same for opening by the handler
    unsigned fault_every = 0;      ///< one of so many file operations fails; 0 = none
    std::string config = {};       ///< further ";key=value" for the handler
    std::uint64_t other_size = 0;  ///< bytes that the script makes of the disk; 0 = it does not
    bool clean_close = true;       ///< an orderly end, itself subject to cuts
    bool settle = true;            ///< what goes on in the background has ended before
    std::string keep;              ///< folder for the files of a bad cut; empty: not kept
};

struct CrashReport {
    std::uint64_t cuts = 0;    ///< times at which the power went
    std::uint64_t states = 0;  ///< images judged
    std::uint64_t qemu_checks = 0;
    std::uint64_t reopened = 0;
    std::uint64_t file_operations = 0;
    double seconds_judging = 0;
    std::optional<std::string> finding;
    std::optional<std::string> refused;  ///< the handler said that it does not support this kind

    void add(const CrashReport& other);
};

[[nodiscard]] CrashReport run_crash(HandlerEntry entry, const ImageKind& kind,
                                    const CrashOptions& options);

}  // namespace lunkit::qcow_rig

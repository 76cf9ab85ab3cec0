// SPDX-License-Identifier: Apache-2.0
// The daemon's settings with their defaults; read from /etc/lunkit/lunkitd.conf by runner/control.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "core/log.hpp"

namespace lunkit::core {

enum class EngineChoice : std::uint8_t { kAuto, kUring, kThreads };
enum class ForeignSubtype : std::uint8_t {
    kIgnore,  ///< never answer for a subtype that no handler of ours has
    kLate,    ///< answer -ENOENT when nobody else has within foreign_timeout
};

/// Copies may go from one to the other: "<handler>/<backstore>" each.
struct CopyPair {
    std::string source;
    std::string destination;
    bool operator==(const CopyPair&) const = default;
};

struct Settings {
    // [daemon]
    LogLevel log_level = LogLevel::kInfo;   // log_level
    std::string handler_dir;                // handler_dir; empty: the built-in default
    std::string run_dir = "/run/lunkit";    // run_dir
    std::vector<std::string> allowed_dirs;  // allowed_dirs; empty: everything
    bool lock_memory = false;               // lock_memory
    // [queues]
    EngineChoice engine = EngineChoice::kAuto;  // engine = auto|uring|threads
    unsigned queues = 0;                        // queues; 0: one per core
    std::chrono::microseconds spin{50};         // spin_us; 0: never poll the ring before sleeping
    // [tcmu]
    bool tcmu = true;                                         // enabled
    ForeignSubtype foreign_subtypes = ForeignSubtype::kLate;  // foreign_subtypes = ignore|late
    std::chrono::milliseconds foreign_timeout{10'000};        // foreign_timeout_ms
    std::chrono::milliseconds bring_up_timeout{30'000};       // bring_up_timeout_ms
    std::chrono::milliseconds drain_timeout{20'000};          // drain_timeout_ms
    std::vector<CopyPair> copy_pairs;                         // copy_pairs; empty: none
    // [ublk]
    bool ublk = true;  // enabled
    // [dm_user]
    bool dm_user = true;  // enabled
    // [dm_log]
    bool dm_log = true;  // enabled
};

}  // namespace lunkit::core

// SPDX-License-Identifier: Apache-2.0
// DeviceCounters: what the thread that serves a device counts of its commands.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/counter.hpp"
#include "core/error_counts.hpp"
#include "core/latency.hpp"

namespace lunkit::core {

struct DeviceStatus;

/// What commands are counted apart by.
enum class CommandClass : std::uint8_t { kRead, kWrite, kOther };
inline constexpr std::size_t kCommandClasses = 3;

/// A command that has ended.
struct CommandEnd {
    CommandClass kind = CommandClass::kOther;
    std::uint64_t bytes = 0;  ///< that it has read or written
    std::chrono::nanoseconds took{0};
    ErrorKind error;
};

/// Written by one thread only, without a locked instruction; read by anybody (relaxed).
struct DeviceCounters {
    std::atomic<std::uint64_t> read_commands{0};
    std::atomic<std::uint64_t> read_bytes{0};
    std::atomic<std::uint64_t> write_commands{0};
    std::atomic<std::uint64_t> write_bytes{0};
    std::atomic<std::uint64_t> other_commands{0};
    std::atomic<std::uint64_t> errors{0};  ///< ended in anything but success
    std::atomic<std::uint64_t> in_flight{0};
    std::atomic<std::uint64_t> kicks{0};                    ///< notifications to the kernel
    std::array<LatencyHistogram, kCommandClasses> latency;  ///< by CommandClass
    ErrorCounts error_counts;

    void begin() { count(in_flight); }
    /// A command leaves that began. What has ended is counted by ended().
    void leave() { count(in_flight, static_cast<std::uint64_t>(-1)); }
    void ended(const CommandEnd& end);
};

/// Tells the counters of what serves a device (its queues, its workers) as those of the device.
void tell_counters(std::span<const DeviceCounters* const> parts, DeviceStatus& status);

}  // namespace lunkit::core

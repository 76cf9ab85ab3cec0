// SPDX-License-Identifier: Apache-2.0
// Tracing: what becomes of a device's commands, one by one, for somebody who watches.
//
// The threads that serve the device put records into a buffer that does not grow; the control
// thread takes them out. Nobody waits: what finds the buffer full is lost, and counted.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>

#include "core/device_counters.hpp"
#include "lunkit/result.hpp"

namespace lunkit::core {

/// Operations of front ends without CDBs.
enum class BlockOperation : std::uint8_t { kOther, kRead, kWrite, kFlush, kDiscard, kWriteZeroes };
[[nodiscard]] constexpr CommandClass class_of(BlockOperation operation) {
    switch (operation) {
        case BlockOperation::kRead:
            return CommandClass::kRead;
        case BlockOperation::kWrite:
            return CommandClass::kWrite;
        default:
            return CommandClass::kOther;
    }
}

/// A command that has ended. Plain data, which another process reads: what changes it changes
/// kVersion.
struct TraceRecord {
    static constexpr std::uint32_t kVersion = 2;

    std::uint64_t ended_at = 0;  ///< CLOCK_REALTIME, nanoseconds; 0: no command, only `lost` counts
    std::uint64_t took = 0;      ///< nanoseconds, since it was fetched
    std::uint64_t tag = 0;
    std::uint64_t bytes = 0;   ///< that it has read or written
    std::uint64_t offset = 0;  ///< of block operations: where, in bytes
    std::uint64_t lost = 0;    ///< records that were lost directly before this one
    std::uint32_t error = 0;   ///< ErrorKind::packed()
    BlockOperation operation = BlockOperation::kOther;  ///< without a CDB
    CommandClass kind = CommandClass::kOther;
    std::uint16_t cdb_length = 0;        ///< 0: none
    std::array<std::uint8_t, 32> cdb{};  ///< as far as it has room

    [[nodiscard]] bool is_command() const { return ended_at != 0; }
};
static_assert(std::is_trivially_copyable_v<TraceRecord> && sizeof(TraceRecord) == 88);

/// Of a command that ends now, without what the front ends have each for themselves.
[[nodiscard]] TraceRecord trace_record(const CommandEnd& end, std::uint64_t tag);

/// Where a device can be watched. Shared by the device and who watches it.
class TraceTap {
  public:
    static constexpr std::size_t kRecords = 4096;  ///< that wait to be taken

    TraceTap() = default;
    TraceTap(const TraceTap&) = delete;
    TraceTap& operator=(const TraceTap&) = delete;
    TraceTap(TraceTap&&) = delete;
    TraceTap& operator=(TraceTap&&) = delete;
    ~TraceTap() = default;

    // The threads that serve the device.
    /// Whether to put() what ends; costs nothing.
    [[nodiscard]] bool is_watched() const { return watched_.load(std::memory_order_relaxed); }
    void put(const TraceRecord& record);
    /// The device goes: nothing more comes.
    void close() { closed_.store(true, std::memory_order_release); }

    // Who watches: one thread.
    /// EBUSY: somebody watches already.
    Status start();
    void stop() { watched_.store(false, std::memory_order_relaxed); }
    /// The next records, in the order in which they were put; fewer than `room` when there are no
    /// more now.
    std::size_t take(std::span<TraceRecord> room);
    /// How many records were lost after the last that was put; they are told once.
    std::uint64_t take_lost() { return lost_.exchange(0, std::memory_order_relaxed); }
    [[nodiscard]] bool is_closed() const { return closed_.load(std::memory_order_acquire); }

  private:
    // Of a round of the buffer: `turn` says whose it is. At a place p of all that were ever put:
    // p: it may be filled; p + 1: it is filled; p + kRecords: it is taken.
    struct Cell {
        std::atomic<std::uint64_t> turn{0};
        TraceRecord record;
    };
    static_assert((kRecords & (kRecords - 1)) == 0);

    std::unique_ptr<std::array<Cell, kRecords>> memory_;  // from the first start() on
    std::atomic<std::array<Cell, kRecords>*> cells_{nullptr};
    std::atomic<bool> watched_{false};
    std::atomic<bool> closed_{false};
    std::atomic<std::uint64_t> put_{0};
    std::atomic<std::uint64_t> lost_{0};
    std::uint64_t taken_ = 0;
};

}  // namespace lunkit::core

// SPDX-License-Identifier: Apache-2.0
// UnitMemory: what a logical unit knows and its initiators count on, in memory that outlives the
// process which serves it: mode parameters, a unit that was stopped, pending unit attentions and a
// deferred error, and a FORMAT UNIT or SANITIZE that goes on behind its status or has failed.
//
// Plain data without pointers, all zero when nothing is remembered; each fact changes by one store,
// so that a process may die between any two. What it holds is checked by the unit that recalls it.
// One thread: that of the device's queue.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace lunkit::scsi {

struct UnitMemory {
    static constexpr std::uint32_t kLayout = 0x6c6b7531;  ///< "lku1": of all that follows
    static constexpr std::size_t kMaxBlockSize = 4096;

    std::uint32_t layout;  ///< kLayout: the rest counts
    std::uint32_t state;   ///< see unit_memory.cpp
    /// ASC and ASCQ of up to four, the oldest in the lowest 16 bits; 0: no more.
    std::uint64_t attentions;

    /// The rewrite that goes on while the condition is that of one. See Rewrite.
    struct {
        std::uint64_t size;  ///< of the medium, bytes
        std::uint64_t done;  ///< MediumState::done
        std::uint32_t flags;
        std::uint32_t passes;
        std::uint8_t before;  ///< MediumState::Condition
        std::uint8_t has_pattern;
        std::uint8_t invert;
        std::uint8_t allows_exit;
        std::array<std::uint8_t, 4> reserved;
        std::array<std::byte, kMaxBlockSize> block;  ///< of the pattern
    } rewrite;
};
static_assert(std::is_trivially_copyable_v<UnitMemory> && sizeof(UnitMemory) % 8 == 0);

/// Values of Command::progress that the unit itself leaves; COMPARE AND WRITE has 1. Where the
/// word goes to a handler, only some bits are the handler's to use (handler.h), so that what it
/// left is not taken for one of these.
namespace command_progress {
inline constexpr std::uint64_t kHandlersBits = 0xffff;
/// The rewrite of the medium goes on in the background: only the status is still to be given.
inline constexpr std::uint64_t kRewriteBegun = 2;
/// A unit attention was taken for this command: ASC and ASCQ in the low 16 bits.
inline constexpr std::uint64_t kAttention = 0x10000;
/// The deferred error was taken for it.
inline constexpr std::uint64_t kDeferredError = 0x20000;
}  // namespace command_progress

}  // namespace lunkit::scsi

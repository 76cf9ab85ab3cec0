// SPDX-License-Identifier: Apache-2.0
// The layout of TCMU's shared memory, in our own words: byte offsets instead of structs, because
// the two versions of an entry differ and because nothing in it may be trusted to be a valid
// struct. Source: include/uapi/linux/target_core_user.h (a test compares the offsets), for version
// 1 the same header of Linux 3.18.
//
//   0          mailbox: version, flags, cmdr_off, cmdr_size, cmd_head | cmd_tail on its own line
//   cmdr_off   command ring, cmdr_size bytes: entries, each a multiple of 8 bytes, none wraps
//   behind it  data area, in which the iovecs of the entries lie
#pragma once

#include <cstddef>
#include <cstdint>

namespace lunkit::tcmu {

/// struct tcmu_mailbox; the same in both versions.
namespace mailbox {
inline constexpr std::size_t kVersion = 0;   // u16
inline constexpr std::size_t kFlags = 2;     // u16
inline constexpr std::size_t kCmdrOff = 4;   // u32
inline constexpr std::size_t kCmdrSize = 8;  // u32
inline constexpr std::size_t kCmdHead = 12;  // u32; the kernel's (release), read with acquire
inline constexpr std::size_t kCmdTail = 64;  // u32; ours, written with release
inline constexpr std::size_t kSize = 128;

// flags: TCMU_MAILBOX_FLAG_CAP_*
inline constexpr std::uint16_t kOutOfOrder = 1;
inline constexpr std::uint16_t kReadLen = 2;
inline constexpr std::uint16_t kTmr = 4;
inline constexpr std::uint16_t kKeepBuf = 8;
}  // namespace mailbox

/// Low bits of len_op; the rest is the entry's length.
inline constexpr std::uint32_t kOpMask = 7;
inline constexpr std::uint32_t kOpPad = 0;
inline constexpr std::uint32_t kOpCommand = 1;
inline constexpr std::uint32_t kOpTmr = 2;

/// uflags of an entry: TCMU_UFLAG_*
inline constexpr std::uint8_t kUflagUnknownOp = 1;
inline constexpr std::uint8_t kUflagReadLen = 2;
inline constexpr std::uint8_t kUflagKeepBuf = 4;

inline constexpr std::size_t kEntryAlignment = 8;
inline constexpr std::size_t kSenseSize = 96;  ///< TCMU_SENSE_BUFFERSIZE
inline constexpr std::size_t kIovSize = 16;    ///< u64 offset from the mapping's start, u64 length

/// Offsets within an entry, from its start; kAbsent where a version has no such field.
struct EntryLayout {
    static constexpr std::size_t kAbsent = SIZE_MAX;

    std::uint16_t version;
    std::size_t header_size;  ///< the smallest entry's (a PAD's) meaningful bytes
    // header
    std::size_t len_op;  // u32
    std::size_t cmd_id;  // u16
    std::size_t uflags;  // u8
    // request
    std::size_t iov_count;  // u32; version 1: u64
    std::size_t iov_count_size;
    std::size_t bidi_count;  // u32
    std::size_t cdb_off;     // u64, from the mapping's start
    std::size_t iov;
    // response, over the request
    std::size_t status;    // u8
    std::size_t read_len;  // u32
    std::size_t sense;     // kSenseSize bytes
    std::size_t size;      ///< smallest length of a command entry
};

inline constexpr EntryLayout kEntryVersion2{.version = 2,
                                            .header_size = 8,
                                            .len_op = 0,
                                            .cmd_id = 4,
                                            .uflags = 7,
                                            .iov_count = 8,
                                            .iov_count_size = 4,
                                            .bidi_count = 12,
                                            .cdb_off = 24,
                                            .iov = 48,
                                            .status = 8,
                                            .read_len = 12,
                                            .sense = 16,
                                            .size = 112};

/// Linux 3.18 to 4.0: the cmd_id is not in the header (but at the same place), no uflags, no bidi,
/// completion in order only.
inline constexpr EntryLayout kEntryVersion1{.version = 1,
                                            .header_size = 4,
                                            .len_op = 0,
                                            .cmd_id = 4,
                                            .uflags = EntryLayout::kAbsent,
                                            .iov_count = 16,
                                            .iov_count_size = 8,
                                            .bidi_count = EntryLayout::kAbsent,
                                            .cdb_off = 8,
                                            .iov = 24,
                                            .status = 8,
                                            .read_len = EntryLayout::kAbsent,
                                            .sense = 16,
                                            .size = 112};

/// struct tcmu_tmr_entry (version 2 only).
namespace tmr_entry {
inline constexpr std::size_t kType = 8;     // u8: TCMU_TMR_*
inline constexpr std::size_t kCmdCnt = 12;  // u32
inline constexpr std::size_t kCmdIds = 32;  // u16[cmd_cnt]
}  // namespace tmr_entry

}  // namespace lunkit::tcmu

// SPDX-License-Identifier: Apache-2.0
// What a dm-user target of the kernel and its server say to each other over the control node
// /dev/dm-user/<name>. Source: the dm-user patches of December 2020 (include/uapi/linux/dm-user.h),
// and the Android common kernels, which have them. No distribution installs the header.
//
// A message is a Message and, behind that of a WRITE and behind a SUCCESS to a READ, `len` bytes of
// payload; all in the machine's byte order. The server answers with the same `seq` and an Answer
// for its type; nothing else of an answer is looked at. Rules of the node:
//   read()   gives bytes of one message, and of its header or its payload only. It waits for a
//            message; EINTR ends the wait, ENOTBLK says that the target has gone.
//   write()  takes bytes up to the end of one answer. One for a message that this open has not
//            read whole, and a write of nothing, close it for answers: all later ones are EINVAL.
//   close()  fails what this open had read and not answered with EIO. When it was the last open,
//            kernels of today (not those of 2020) do the same to all that waits.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lunkit::dm_user::abi {

/// DM_USER_REQ_MAP_...
enum class RequestType : std::uint64_t {
    kRead = 0,
    kWrite = 1,
    kFlush = 2,
    kDiscard = 3,
    kSecureErase = 4,
    kWriteSame = 5,  ///< comes without the block that is to be written
    kWriteZeroes = 6,
    kZoneOpen = 7,
    kZoneClose = 8,
    kZoneFinish = 9,
    kZoneAppend = 10,
    kZoneReset = 11,
    kZoneResetAll = 12,
};

// DM_USER_REQ_MAP_FLAG_...: those that oblige the server to something. The others are hints.
inline constexpr std::uint64_t kFlagFua = 0x200;
inline constexpr std::uint64_t kFlagPreflush = 0x400;  ///< with a WRITE of nothing: a flush
inline constexpr std::uint64_t kFlagNoUnmap = 0x8000;

/// DM_USER_RESP_...; to the user of the device the last two are the same.
enum class Answer : std::uint64_t { kSuccess = 0, kError = 1, kUnsupported = 2 };

/// struct dm_user_message, less its payload.
struct Message {
    std::uint64_t seq;
    std::uint64_t type;    ///< RequestType, or Answer
    std::uint64_t flags;   ///< kFlag...
    std::uint64_t sector;  ///< of 512 bytes, from the start of the mapped device
    std::uint64_t len;     ///< bytes
};
static_assert(sizeof(Message) == 40 && offsetof(Message, len) == 32);

inline constexpr unsigned kSectorShift = 9;

}  // namespace lunkit::dm_user::abi

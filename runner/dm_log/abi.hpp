// SPDX-License-Identifier: Apache-2.0
// What the kernel module dm-log-userspace and its server say to each other over the netlink
// connector. Source: the kernel's include/uapi/linux/dm-log-userspace.h and connector.h;
// tests/dm_log compares with the distribution's.
//
// A datagram is nlmsghdr, ConnectorHeader, UlogRequest, data; all in the machine's byte order and
// without alignment: copied, never cast. The server sends the same back, with `error` set and the
// data of the reply; the kernel knows the request by `seq` alone.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace lunkit::dm_log::abi {

inline constexpr std::uint32_t kConnectorIdx = 7;    // CN_IDX_DM; also the multicast group
inline constexpr std::uint32_t kConnectorValue = 1;  // CN_VAL_DM_USERSPACE_LOG

/// struct cn_msg, less its data.
struct ConnectorHeader {
    std::uint32_t idx;
    std::uint32_t val;
    std::uint32_t seq;
    std::uint32_t ack;
    std::uint16_t len;  ///< of what follows
    std::uint16_t flags;
};
static_assert(sizeof(ConnectorHeader) == 20);

inline constexpr std::size_t kUuidRoom = 129;  // DM_UUID_LEN, with the NUL

/// struct dm_ulog_request, less its data.
struct UlogRequest {
    std::uint64_t luid;  ///< unique among the kernel's live logs, used again later
    std::array<char, kUuidRoom> uuid;
    std::array<char, 3> padding;
    std::uint32_t version;
    std::int32_t error;  ///< negative errno
    std::uint32_t seq;
    std::uint32_t request_type;
    std::uint32_t data_size;
};
static_assert(sizeof(UlogRequest) == 160);

inline constexpr std::uint32_t kRequestMask = 0xff;
inline constexpr std::uint32_t kNewestVersion = 3;
inline constexpr std::uint32_t kDeviceInReplyVersion = 2;  ///< the reply to CTR may name a device

/// DM_ULOG_...; what each carries stands at the answers (answers.cpp).
enum class RequestType : std::uint8_t {
    kCtr = 1,
    kDtr = 2,
    kPresuspend = 3,
    kPostsuspend = 4,
    kResume = 5,
    kGetRegionSize = 6,
    kIsClean = 7,
    kInSync = 8,
    kFlush = 9,
    kMarkRegion = 10,
    kClearRegion = 11,
    kGetResyncWork = 12,
    kSetRegionSync = 13,
    kGetSyncCount = 14,
    kStatusInfo = 15,
    kStatusTable = 16,
    kIsRemoteRecovering = 17,
};

/// The kernel's message fits its buffer of 512 bytes, so there is no more data than this.
inline constexpr std::size_t kDataRoom = 512 - sizeof(ConnectorHeader) - sizeof(UlogRequest);
static_assert(kDataRoom == 332);

}  // namespace lunkit::dm_log::abi

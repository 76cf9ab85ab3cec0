// SPDX-License-Identifier: Apache-2.0
// What the ublk driver (ublk_drv) and its servers say to each other, as Linux 6.0 to 6.12 have it:
// commands to /dev/ublk-control, parameters, and the request descriptors that /dev/ublkcN shows.
// Source: the kernel's include/uapi/linux/ublk_cmd.h; tests/ublk compares with the distribution's.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lunkit::ublk::abi {

// Commands are ioctl numbers (Linux 6.4): _IOR or _IOWR of type 'u' and the size of their struct.
enum class Direction : std::uint32_t { kRead = 2, kReadWrite = 3 };
constexpr std::uint32_t encode(Direction direction, std::uint32_t number, std::uint32_t size) {
    constexpr std::uint32_t kType = 'u';
    return static_cast<std::uint32_t>(direction) << 30U | size << 16U | kType << 8U | number;
}

/// Payload of a control command.
struct ControlCommand {
    std::uint32_t dev_id;
    std::uint16_t queue_id;  ///< 0xffff where the command is not about a queue
    std::uint16_t len;       ///< of the buffer at addr
    std::uint64_t addr;
    std::uint64_t data;
    std::uint16_t dev_path_len;
    std::uint16_t pad;
    std::uint32_t reserved;
};
static_assert(sizeof(ControlCommand) == 32);
inline constexpr std::uint16_t kNoQueue = 0xffff;
inline constexpr std::uint32_t kAnyDevice = 0xffff'ffff;  ///< ADD_DEV: the kernel chooses

constexpr std::uint32_t control(Direction direction, std::uint32_t number) {
    return encode(direction, number, sizeof(ControlCommand));
}
inline constexpr std::uint32_t kGetDevInfo = control(Direction::kRead, 0x02);
inline constexpr std::uint32_t kAddDev = control(Direction::kReadWrite, 0x04);
inline constexpr std::uint32_t kDelDev = control(Direction::kReadWrite, 0x05);
inline constexpr std::uint32_t kStartDev = control(Direction::kReadWrite, 0x06);
inline constexpr std::uint32_t kStopDev = control(Direction::kReadWrite, 0x07);
inline constexpr std::uint32_t kSetParams = control(Direction::kReadWrite, 0x08);
inline constexpr std::uint32_t kStartUserRecovery = control(Direction::kReadWrite, 0x10);
inline constexpr std::uint32_t kEndUserRecovery = control(Direction::kReadWrite, 0x11);
inline constexpr std::uint32_t kGetFeatures = control(Direction::kRead, 0x13);
inline constexpr std::uint32_t kUpdateSize = control(Direction::kReadWrite, 0x15);  // Linux 6.16

/// ublksrv_ctrl_dev_info: in and out of ADD_DEV.
struct DeviceInfo {
    std::uint16_t nr_hw_queues;
    std::uint16_t queue_depth;
    std::uint16_t state;
    std::uint16_t pad0;
    std::uint32_t max_io_buf_bytes;
    std::uint32_t dev_id;
    std::int32_t ublksrv_pid;
    std::uint32_t pad1;
    std::uint64_t flags;          ///< kFlag...; what the kernel does not know it clears
    std::uint64_t ublksrv_flags;  ///< the server's own
    std::uint32_t owner_uid;
    std::uint32_t owner_gid;
    std::uint64_t reserved1;
    std::uint64_t reserved2;
};
static_assert(sizeof(DeviceInfo) == 64 && offsetof(DeviceInfo, flags) == 24);

// DeviceInfo::state
inline constexpr std::uint16_t kStateDead = 0;      ///< no block device: not yet, or no more
inline constexpr std::uint16_t kStateLive = 1;      ///< served, or not known yet to be no more
inline constexpr std::uint16_t kStateQuiesced = 2;  ///< waits for the next server

/// The device outlives its server: requests wait for the next one.
inline constexpr std::uint64_t kFlagUserRecovery = 1U << 3U;
/// That gets those too that the server had when it died; else they fail.
inline constexpr std::uint64_t kFlagUserRecoveryReissue = 1U << 4U;
inline constexpr std::uint64_t kFlagCommandsAreIoctls = 1U << 6U;  // UBLK_F_CMD_IOCTL_ENCODE
inline constexpr std::uint64_t kFlagUpdateSize = 1U << 10U;

struct BasicParams {
    std::uint32_t attrs;  ///< kAttr...
    std::uint8_t logical_bs_shift;
    std::uint8_t physical_bs_shift;
    std::uint8_t io_opt_shift;
    std::uint8_t io_min_shift;
    std::uint32_t max_sectors;  // of 512 bytes, as all sectors here
    std::uint32_t chunk_sectors;
    std::uint64_t dev_sectors;
    std::uint64_t virt_boundary_mask;
};
static_assert(sizeof(BasicParams) == 32);
inline constexpr std::uint32_t kAttrReadOnly = 1U << 0U;
inline constexpr std::uint32_t kAttrRotational = 1U << 1U;
inline constexpr std::uint32_t kAttrVolatileCache = 1U << 2U;
inline constexpr std::uint32_t kAttrFua = 1U << 3U;

struct DiscardParams {
    std::uint32_t discard_alignment;
    std::uint32_t discard_granularity;  // bytes
    std::uint32_t max_discard_sectors;
    std::uint32_t max_write_zeroes_sectors;
    std::uint16_t max_discard_segments;  ///< 1
    std::uint16_t reserved0;
};
static_assert(sizeof(DiscardParams) == 20);

/// The first two blocks of ublk_params; those that follow are of no use here.
struct Params {
    std::uint32_t len;    ///< of this struct
    std::uint32_t types;  ///< kParam...
    BasicParams basic;
    DiscardParams discard;
    std::uint32_t padding;
};
static_assert(sizeof(Params) == 64 && offsetof(Params, discard) == 40);
inline constexpr std::uint32_t kParamBasic = 1U << 0U;
inline constexpr std::uint32_t kParamDiscard = 1U << 1U;

/// A request: what the kernel shows in queue memory while the server has its tag.
struct IoDescriptor {
    std::uint32_t op_flags;  ///< Op in bits 0-7; kIo... are bits of the whole word
    std::uint32_t nr_sectors;
    std::uint64_t start_sector;
    std::uint64_t addr;
};
static_assert(sizeof(IoDescriptor) == 24);
enum class Op : std::uint8_t {
    kRead = 0,
    kWrite = 1,
    kFlush = 2,
    kDiscard = 3,
    kWriteSame = 4,
    kWriteZeroes = 5,
};
inline constexpr std::uint32_t kOpMask = 0xff;
inline constexpr std::uint32_t kIoFua = 1U << 13U;
inline constexpr std::uint32_t kIoNoUnmap = 1U << 15U;

inline constexpr unsigned kSectorShift = 9;
inline constexpr std::size_t kMostTags = 4096;      ///< UBLK_MAX_QUEUE_DEPTH
inline constexpr std::uint32_t kMostQueues = 4096;  ///< UBLK_MAX_NR_QUEUES

/// Payload of an I/O command.
struct IoCommand {
    std::uint16_t q_id;
    std::uint16_t tag;
    std::int32_t result;  ///< COMMIT_AND_FETCH: bytes done, or -errno
    std::uint64_t addr;   ///< the tag's buffer
};
static_assert(sizeof(IoCommand) == 16);
inline constexpr std::uint32_t kFetchReq = encode(Direction::kReadWrite, 0x20, sizeof(IoCommand));
inline constexpr std::uint32_t kCommitAndFetchReq =
    encode(Direction::kReadWrite, 0x21, sizeof(IoCommand));
inline constexpr int kIoResOk = 0;  ///< what an I/O command completes with: a request is there

}  // namespace lunkit::ublk::abi

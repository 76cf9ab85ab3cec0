// SPDX-License-Identifier: Apache-2.0
// BlockDevice: the waist between whoever asks for blocks (SCSI, ublk, dm-user) and whoever has them
// (plugins, test doubles, the backing files of an image).
//
// Calls are made on the thread of the device's queue. The caller has checked bounds, alignment to
// the block size and read-only (host::PluginDevice does). Requests may overlap and may
// finish in any order; who needs an order waits or locks. The IoRequest and its data outlive the
// call.
#pragma once

#include <cerrno>
#include <cstdint>
#include <span>

#include "lunkit/handler.h"
#include "lunkit/io_request.hpp"
#include "lunkit/queue.hpp"
#include "lunkit/result.hpp"
#include "lunkit/task.hpp"

namespace lunkit {

/// What a device is to SCSI.
enum class DeviceType : std::uint8_t {
    kBlock = LUNKIT_DEVICE_TYPE_BLOCK,
    kCdDvd = LUNKIT_DEVICE_TYPE_CD_DVD,  ///< read only, blocks of 2048 bytes
    kZoned = LUNKIT_DEVICE_TYPE_ZONED,   ///< host managed zones
};

/// What a device is. Bytes throughout; 0 means "as lunkit_device_info says".
struct DeviceInfo {
    std::uint64_t size = 0;
    std::uint32_t min_block_size = 512;
    std::uint32_t physical_block_size = 0;
    std::uint32_t optimal_io_size = 0;
    std::uint32_t discard_granularity = 0;
    std::uint64_t max_transfer = 0;
    std::uint64_t max_discard = 0;
    std::uint64_t max_write_zeroes = 0;
    std::uint64_t max_atomic_write = 0;  ///< 0: no write is atomic
    std::uint64_t zone_size = 0;         ///< kZoned: a power of two; the last one may be smaller
    std::uint32_t max_open_zones = 0;    ///< kZoned: 0: any number
    DeviceType type = DeviceType::kBlock;
    bool read_only = false;
    bool write_cache = true;  ///< completed writes may be lost until flush()
    bool rotational = false;
    bool parallel = false;        ///< may be called from several queues at once
    bool thin = false;            ///< space is allocated when written
    bool discard_zeroes = false;  ///< discarded blocks read as zeros
    bool can_discard = false;     ///< discard() works: who overrides it says so here as well
    bool can_extents = false;     ///< extents() works, likewise
    bool can_tell_space = false;  ///< space() works, likewise
};

/// One run of bytes in the same state of allocation; flags LUNKIT_EXTENT_*.
using Extent = lunkit_extent;

/// A zone of a zoned device.
using Zone = lunkit_zone;

/// ZBC-2: OPEN ZONE, CLOSE ZONE, FINISH ZONE, RESET WRITE POINTER.
enum class ZoneAction : std::uint8_t { kOpen, kClose, kFinish, kReset };

/// How much room the storage below a device has. Bytes.
struct Space {
    std::uint64_t used = 0;       ///< what the device's blocks take
    std::uint64_t available = 0;  ///< what they can take more, before a write ends with ENOSPC
    bool shared = false;          ///< others take of it as well
};

class BlockDevice {
  public:
    virtual ~BlockDevice() = default;

    /// Any thread; a copy, because a resize may change it.
    [[nodiscard]] virtual DeviceInfo info() const = 0;

    /// Whole transfers only. Error::offset: first bad byte, from the start of the request.
    virtual Task<Status> read(Queue& queue, const IoRequest& io) = 0;
    /// LUNKIT_IO_FUA: durable before it completes. LUNKIT_IO_ATOMIC, up to max_atomic_write bytes:
    /// stored whole or not at all, also after a crash; no other request sees a part of it.
    virtual Task<Status> write(Queue& queue, const IoRequest& io) = 0;
    /// Everything that completed before this call is durable when it completes. A failure is
    /// latched by who has the data: later flushes fail too.
    virtual Task<Status> flush(Queue& queue) = 0;

    /// A hint to deallocate. Flags: ANCHOR, FUA. EOPNOTSUPP where the device cannot.
    virtual Task<Status> discard(Queue& /*queue*/, const IoRequest& /*io*/) {
        co_return failure(EOPNOTSUPP);
    }
    /// Flags: MAY_UNMAP, NO_FALLBACK, FUA. The range reads as zeros afterwards.
    virtual Task<Status> write_zeroes(Queue& /*queue*/, const IoRequest& /*io*/) {
        co_return failure(EOPNOTSUPP);
    }
    /// Compares io.data[data_offset, +length) with the device and, if equal, writes
    /// io.data[data_offset + length, +length); atomic against every other request of the device.
    /// EILSEQ with Error::offset = first byte that differs. EOPNOTSUPP where the device cannot.
    /// io.progress, if given, is 1 once the comparison has succeeded; if it is 1 when the call
    /// comes, the comparison is not made again (a predecessor did, and may have written).
    virtual Task<Status> compare_and_write(Queue& /*queue*/, const IoRequest& /*io*/) {
        co_return failure(EOPNOTSUPP);
    }
    /// Sets in the device the bits that are set in io.data[data_offset, +length); atomic as
    /// compare_and_write() is. Flags: FUA. EOPNOTSUPP where the device cannot.
    virtual Task<Status> or_write(Queue& /*queue*/, const IoRequest& /*io*/) {
        co_return failure(EOPNOTSUPP);
    }
    /// Fills `extents` from io.offset on, at least one; gives how many. May stop early.
    virtual Task<Result<std::uint32_t>> extents(Queue& /*queue*/, const IoRequest& /*io*/,
                                                std::span<Extent> /*extents*/) {
        co_return failure(EOPNOTSUPP);
    }
    /// Of a zoned device: fills `zones` from the one of io.offset on, at least one; gives how many.
    virtual Task<Result<std::uint32_t>> report_zones(Queue& /*queue*/, const IoRequest& /*io*/,
                                                     std::span<Zone> /*zones*/) {
        co_return failure(EOPNOTSUPP);
    }
    /// Of a zoned device: on the whole zones of io's range, or with LUNKIT_IO_ALL_ZONES on those of
    /// all zones that ZBC-2 says. Durable when it completes. Errors as LUNKIT_ERROR_ZONE says.
    virtual Task<Status> manage_zones(Queue& /*queue*/, ZoneAction /*action*/,
                                      const IoRequest& /*io*/) {
        co_return failure(EOPNOTSUPP);
    }
    /// EOPNOTSUPP where the device cannot tell.
    virtual Task<Result<Space>> space(Queue& /*queue*/) { co_return failure(EOPNOTSUPP); }

    /// Worker thread, blocking, requests go on meanwhile. A device that cannot says EOPNOTSUPP;
    /// the present size is always fine.
    virtual Status resize(std::uint64_t size) {
        if (size == info().size) {
            return {};
        }
        return failure(EOPNOTSUPP, "this handler cannot resize");
    }
    virtual Status set_write_cache(bool enabled) {
        if (enabled == info().write_cache) {
            return {};
        }
        return failure(EOPNOTSUPP, "this handler cannot switch its write cache");
    }

  protected:
    BlockDevice() = default;
    BlockDevice(const BlockDevice&) = default;
    BlockDevice& operator=(const BlockDevice&) = default;
    BlockDevice(BlockDevice&&) = default;
    BlockDevice& operator=(BlockDevice&&) = default;
};

}  // namespace lunkit

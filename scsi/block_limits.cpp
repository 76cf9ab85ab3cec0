// SPDX-License-Identifier: Apache-2.0
#include "scsi/block_limits.hpp"

#include <algorithm>
#include <limits>

#include "scsi/buffer.hpp"

namespace lunkit::scsi {
namespace {

// What one command may be without keeping the device busy for longer than a transport waits.
constexpr std::uint64_t kMaxTransferBytes = std::uint64_t{256} << 20U;
constexpr std::uint64_t kMaxWriteSameBytes = std::uint64_t{256} << 20U;  // a pattern is written out
constexpr std::uint32_t kMaxUnmapBlocks = 1U << 20U;
// The parameter list is copied before it is acted on: 16 bytes each.
constexpr std::uint32_t kMaxUnmapDescriptors = 1024;
constexpr std::uint16_t kMaxScatteredDescriptors = 512;  // 32 bytes each

// The smallest of the limits that are limits (not 0), rounded down to whole blocks, at least one.
std::uint64_t blocks_within(std::uint64_t ours, std::uint64_t theirs, std::uint64_t also,
                            std::uint32_t block_size) {
    std::uint64_t bytes = ours;
    for (const std::uint64_t limit : {theirs, also}) {
        if (limit != 0) {
            bytes = std::min(bytes, limit);
        }
    }
    return std::max<std::uint64_t>(bytes / block_size, 1);
}

}  // namespace

BlockLimits make_block_limits(const DeviceInfo& info, const LogicalUnitOptions& options) {
    const std::uint32_t block = options.block_size;
    BlockLimits limits;
    const std::uint64_t transfer =
        blocks_within(kMaxTransferBytes, info.max_transfer, options.max_transfer, block);
    limits.maximum_transfer_length = static_cast<std::uint32_t>(transfer);
    // Twice as much data: what to compare with and what to write.
    limits.maximum_compare_and_write_length = static_cast<std::uint8_t>(
        std::clamp<std::uint64_t>(transfer / 2, 1, std::numeric_limits<std::uint8_t>::max()));
    if (info.optimal_io_size >= block && info.optimal_io_size % block == 0) {
        limits.optimal_transfer_length = static_cast<std::uint32_t>(
            std::min<std::uint64_t>(info.optimal_io_size / block, transfer));
    }
    if (info.physical_block_size > block) {
        limits.optimal_transfer_length_granularity = static_cast<std::uint16_t>(
            std::min<std::uint32_t>(info.physical_block_size / block, 0xffff));
    }
    limits.maximum_write_same_length =
        blocks_within(kMaxWriteSameBytes, info.max_write_zeroes, 0, block);
    if (info.type == DeviceType::kZoned) {
        // In one piece: nothing else gets between, and a take-over repeats all of it or nothing.
        limits.maximum_write_same_length =
            blocks_within(kMaxBufferSize, info.max_write_zeroes, info.max_transfer, block);
        limits.maximum_compare_and_write_length = 0;
    }
    // TRANSFER LENGTH of WRITE ATOMIC(16) has two bytes.
    limits.maximum_atomic_transfer_length = static_cast<std::uint16_t>(std::min<std::uint64_t>(
        {info.max_atomic_write / block, transfer, std::numeric_limits<std::uint16_t>::max()}));
    limits.maximum_scattered_lba_range_descriptor_count = kMaxScatteredDescriptors;
    if (info.can_discard) {
        limits.maximum_unmap_lba_count = static_cast<std::uint32_t>(
            blocks_within(std::uint64_t{kMaxUnmapBlocks} * block, info.max_discard, 0, block));
        limits.maximum_unmap_block_descriptor_count = kMaxUnmapDescriptors;
        limits.optimal_unmap_granularity = std::max<std::uint32_t>(
            std::max(info.discard_granularity, info.physical_block_size) / block, 1);
    }
    return limits;
}

}  // namespace lunkit::scsi

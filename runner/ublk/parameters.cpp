// SPDX-License-Identifier: Apache-2.0
#include "ublk/parameters.hpp"

#include <algorithm>
#include <bit>

namespace lunkit::ublk {

namespace {

// One request shall not keep a stop waiting for long; zeros may have to be written.
constexpr std::uint64_t kMaxDiscard = 256U << 20U;     // bytes
constexpr std::uint64_t kMaxWriteZeroes = 16U << 20U;  // bytes
constexpr std::uint32_t kPage = 4096;

/// log2 of `size`; 0 for what is no power of two.
std::uint8_t shift_of(std::uint32_t size) {
    return std::has_single_bit(size) ? static_cast<std::uint8_t>(std::countr_zero(size)) : 0;
}

/// `limit` bytes in sectors of whole blocks; 0 means any.
std::uint32_t sectors_of(std::uint64_t limit, std::uint64_t most, std::uint32_t block_size) {
    const std::uint64_t bytes = limit == 0 ? most : std::min(limit, most);
    const std::uint64_t whole = std::max<std::uint64_t>(bytes / block_size, 1) * block_size;
    return static_cast<std::uint32_t>(whole >> abi::kSectorShift);
}

}  // namespace

abi::Params parameters_of(const DeviceInfo& device, std::uint32_t block_size,
                          std::uint32_t max_io_bytes) {
    abi::Params params{};
    params.len = sizeof params;
    params.types = abi::kParamBasic;

    abi::BasicParams& basic = params.basic;
    basic.attrs = (device.read_only ? abi::kAttrReadOnly : 0U) |
                  (device.rotational ? abi::kAttrRotational : 0U) |
                  (device.write_cache ? abi::kAttrVolatileCache | abi::kAttrFua : 0U);
    basic.logical_bs_shift = shift_of(block_size);
    // The kernel takes physical blocks of a page at most for what it is.
    const std::uint32_t physical =
        std::has_single_bit(device.physical_block_size)
            ? std::clamp(device.physical_block_size, block_size, std::max(block_size, kPage))
            : block_size;
    basic.physical_bs_shift = shift_of(physical);
    basic.io_min_shift = basic.physical_bs_shift;
    basic.io_opt_shift = std::max(shift_of(device.optimal_io_size), basic.io_min_shift);
    basic.max_sectors = max_io_bytes >> abi::kSectorShift;
    basic.dev_sectors = device.size >> abi::kSectorShift;
    if (device.read_only) {
        return params;
    }
    params.types |= abi::kParamDiscard;
    abi::DiscardParams& discard = params.discard;
    discard.discard_granularity = std::max(device.discard_granularity, block_size);
    discard.max_discard_sectors =
        device.can_discard ? sectors_of(device.max_discard, kMaxDiscard, block_size) : 0;
    discard.max_write_zeroes_sectors =
        sectors_of(device.max_write_zeroes, kMaxWriteZeroes, block_size);
    discard.max_discard_segments = 1;
    return params;
}

}  // namespace lunkit::ublk

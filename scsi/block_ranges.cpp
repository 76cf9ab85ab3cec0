// SPDX-License-Identifier: Apache-2.0
#include "scsi/block_ranges.hpp"

#include <algorithm>
#include <array>

#include "scsi/copy_limits.hpp"
#include "scsi/parameter_data.hpp"

namespace lunkit::scsi {
namespace {

constexpr std::size_t kDescriptorLength = 16;
constexpr std::size_t kNumberOfBlocksAt = 8;

/// What is wrong with one more range; `at`: where its descriptor is.
std::optional<Ending> add(BlockRanges& ranges, const Unit& unit, std::uint64_t lba,
                          std::uint32_t blocks, std::size_t at) {
    const auto range = unit.range(lba, blocks);
    if (!range) {
        return logical_block_address_out_of_range();
    }
    if (range->length == 0) {
        return {};
    }
    if (std::ranges::any_of(ranges.ranges,
                            [&](const ByteRange& other) { return other.overlaps(*range); })) {
        return invalid_field_in_parameter_list(static_cast<std::uint16_t>(at));
    }
    ranges.length += range->length;
    if (ranges.length > copy_limits::kMaximumTokenTransfer) {
        return invalid_field_in_parameter_list(static_cast<std::uint16_t>(at + kNumberOfBlocksAt));
    }
    ranges.ranges.push_back(*range);
    return {};
}

}  // namespace

std::expected<BlockRanges, Ending> fetch_block_ranges(const Unit& unit, const Command& command,
                                                      std::uint16_t length_at,
                                                      std::uint32_t parameter_list_length) {
    std::array<std::uint8_t, 2> length_bytes;
    fetch(command, length_at, length_bytes);
    const std::size_t length = get_be16(length_bytes);
    if (length < kDescriptorLength) {
        return std::unexpected(invalid_field_in_parameter_list(length_at));
    }
    // Incomplete descriptors, and those that PARAMETER LIST LENGTH cuts, are to be ignored.
    const std::size_t begin = length_at + length_bytes.size();
    const std::size_t count =
        std::min<std::size_t>(length, parameter_list_length - begin) / kDescriptorLength;
    if (count == 0) {
        return std::unexpected(parameter_list_length_error());
    }
    if (count > copy_limits::kMaximumRangeDescriptors) {
        return std::unexpected(
            check_condition(SenseKey::kIllegalRequest, asc::kTooManySegmentDescriptors));
    }
    BlockRanges ranges;
    for (std::size_t i = 0; i < count; ++i) {
        const std::size_t at = begin + i * kDescriptorLength;
        std::array<std::uint8_t, kDescriptorLength> descriptor;
        fetch(command, at, descriptor);
        const std::span<const std::uint8_t> bytes(descriptor);
        if (const auto refusal = add(ranges, unit, get_be64(bytes),
                                     get_be32(bytes.subspan(kNumberOfBlocksAt)), at)) {
            return std::unexpected(*refusal);
        }
    }
    return ranges;
}

}  // namespace lunkit::scsi

// SPDX-License-Identifier: Apache-2.0
// BlockLimits: how much one command may ask for. VPD page B0h tells them (SBC-4 6.6.4), the
// commands enforce them; one struct serves both, so that they cannot differ.
#pragma once

#include <cstdint>

#include "lunkit/block_device.hpp"
#include "scsi/logical_unit.hpp"

namespace lunkit::scsi {

/// In logical blocks unless it says otherwise.
struct BlockLimits {
    std::uint32_t maximum_transfer_length = 0;  ///< never 0: VERIFY must end some day
    std::uint32_t optimal_transfer_length = 0;  ///< 0 = not reported
    std::uint16_t optimal_transfer_length_granularity = 0;
    std::uint8_t maximum_compare_and_write_length = 0;
    std::uint32_t maximum_unmap_lba_count = 0;  ///< of all descriptors together; 0 = no UNMAP
    std::uint32_t maximum_unmap_block_descriptor_count = 0;
    std::uint32_t optimal_unmap_granularity = 0;
    std::uint64_t maximum_write_same_length = 0;
    std::uint16_t maximum_atomic_transfer_length = 0;  ///< 0 = no WRITE ATOMIC
    std::uint16_t maximum_scattered_lba_range_descriptor_count = 0;
};

[[nodiscard]] BlockLimits make_block_limits(const DeviceInfo& info,
                                            const LogicalUnitOptions& options);

}  // namespace lunkit::scsi

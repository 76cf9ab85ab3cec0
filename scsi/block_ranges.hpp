// SPDX-License-Identifier: Apache-2.0
// Block device range descriptors of POPULATE TOKEN and WRITE USING TOKEN (SBC-4 5.12.3).
#pragma once

#include <cstdint>
#include <expected>
#include <vector>

#include "lunkit/io_request.hpp"
#include "scsi/ending.hpp"
#include "scsi/unit.hpp"

namespace lunkit::scsi {

struct BlockRanges {
    std::vector<ByteRange> ranges;  ///< in order; those without blocks are left out
    std::uint64_t length = 0;       ///< of all of them
};

/// Those behind the BLOCK DEVICE RANGE DESCRIPTOR LENGTH field, which is at `length_at` of the
/// parameter list. They are within the unit and do not overlap. Nothing: why the command ends.
std::expected<BlockRanges, Ending> fetch_block_ranges(const Unit& unit, const Command& command,
                                                      std::uint16_t length_at,
                                                      std::uint32_t parameter_list_length);

}  // namespace lunkit::scsi

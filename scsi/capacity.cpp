// SPDX-License-Identifier: Apache-2.0
// READ CAPACITY (SBC-4 5.20, 5.21).
#include <algorithm>
#include <bit>
#include <limits>

#include "scsi/commands.hpp"
#include "scsi/parameter_data.hpp"

namespace lunkit::scsi {
namespace {

// A medium without a single block has no last address to return.
Ending no_capacity() {
    return check_condition(SenseKey::kNotReady, asc::kNotReadyCauseNotReportable);
}

// LOGICAL BLOCKS PER PHYSICAL BLOCK EXPONENT
unsigned physical_block_exponent(const Unit& unit) {
    const std::uint32_t ratio = unit.info.physical_block_size / unit.options.block_size;
    return ratio <= 1 ? 0U
                      : std::min<unsigned>(static_cast<unsigned>(std::bit_width(ratio)) - 1, 15);
}

}  // namespace

Ending read_capacity_10(Unit& unit, Command& command) {
    if (unit.capacity_blocks() == 0) {
        return no_capacity();
    }
    // Too large to tell: FFFFFFFFh sends the initiator to READ CAPACITY(16).
    constexpr std::uint64_t kMax = std::numeric_limits<std::uint32_t>::max();
    ParameterData data;
    data.be32(std::min(unit.capacity_blocks() - 1, kMax)).be32(unit.options.block_size);
    deliver(command, data.view(), data.size());
    return good();
}

Ending read_capacity_16(Unit& unit, Command& command) {
    if (unit.capacity_blocks() == 0) {
        return no_capacity();
    }
    constexpr unsigned kLbpme = 0x80;
    constexpr unsigned kLbprz = 0x40;
    unsigned provisioning = 0;
    if (unit.info.can_discard) {
        provisioning = kLbpme | (unit.info.discard_zeroes ? kLbprz : 0U);
    }
    ParameterData data;
    data.be64(unit.capacity_blocks() - 1).be32(unit.options.block_size);
    // ZBC-2, RC_BASIS: the last address of all zones. No protection information.
    constexpr unsigned kOfTheLogicalUnit = 0x10;
    data.u8(unit.is_zoned() ? kOfTheLogicalUnit : 0U);
    data.u8(physical_block_exponent(unit));
    data.u8(provisioning).u8(0);  // LOWEST ALIGNED LOGICAL BLOCK ADDRESS 0
    data.zeros(16);
    deliver(command, data.view(), Cdb(command.cdb).be32(10));
    return good();
}

}  // namespace lunkit::scsi

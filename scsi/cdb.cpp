// SPDX-License-Identifier: Apache-2.0
#include "scsi/cdb.hpp"

#include <array>
#include <cstddef>

#include "scsi/logical_unit.hpp"

namespace lunkit::scsi {

BlockCdb decode_block_cdb(const Cdb& cdb) {
    BlockCdb block;
    const unsigned group = cdb.operation_code() >> 5U;
    if (group == 0) {
        block.logical_block_address = cdb.be24(1) & 0x1fffffU;
        // SBC-4 5.8, READ(6) and its kin: zero means 256 blocks, in no other length.
        block.number_of_logical_blocks = cdb.byte(4) == 0 ? 256U : cdb.byte(4);
        block.length_at = 4;
        return block;
    }
    block.flags_at = group == 3 ? 10 : 1;
    block.protect = cdb.bits(block.flags_at, 7, 5);
    block.dpo = cdb.bit(block.flags_at, 4);
    block.fua = cdb.bit(block.flags_at, 3);
    block.bytchk = cdb.bits(block.flags_at, 2, 1);
    switch (group) {
        case 3:  // the tags of protection information, between the two, concern nobody here
            block.logical_block_address = cdb.be64(12);
            block.length_at = 28;
            block.number_of_logical_blocks = cdb.be32(28);
            break;
        case 4:
            block.logical_block_address = cdb.be64(2);
            block.length_at = 10;
            block.number_of_logical_blocks = cdb.be32(10);
            break;
        case 5:
            block.logical_block_address = cdb.be32(2);
            block.length_at = 6;
            block.number_of_logical_blocks = cdb.be32(6);
            break;
        default:
            block.logical_block_address = cdb.be32(2);
            block.length_at = 7;
            block.number_of_logical_blocks = cdb.be16(7);
            break;
    }
    return block;
}

std::optional<std::uint16_t> service_action_of(std::span<const std::uint8_t> cdb) {
    const bool is_variable = !cdb.empty() && cdb[0] == operation_code::kVariableLengthCdb;
    if (cdb.size() < (is_variable ? 10U : 2U)) {
        return {};
    }
    return is_variable ? get_be16(cdb.subspan(8)) : static_cast<std::uint16_t>(cdb[1] & 0x1fU);
}

std::size_t cdb_length(std::span<const std::uint8_t> bytes) {
    static constexpr std::array<std::uint8_t, 8> kByGroup{6, 10, 10, 12, 16, 12, 10, 10};
    if (bytes.empty()) {
        return 0;
    }
    if (bytes[0] == operation_code::kVariableLengthCdb) {
        return bytes.size() < 8 ? 0 : 8U + bytes[7];  // ADDITIONAL CDB LENGTH
    }
    return kByGroup[bytes[0] >> 5U];
}

}  // namespace lunkit::scsi

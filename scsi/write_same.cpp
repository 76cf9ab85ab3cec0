// SPDX-License-Identifier: Apache-2.0
// WRITE SAME (SBC-4 5.44, 5.46). Zeros become write_zeroes of the device, which may unmap when the
// UNMAP bit lets it; any other pattern is written out, also with UNMAP: unmapped blocks would not
// read as that pattern (SBC-4 4.7.3.4.4).
#include <algorithm>
#include <optional>

#include "scsi/buffer.hpp"
#include "scsi/commands.hpp"
#include "scsi/parameter_data.hpp"
#include "scsi/write_pattern.hpp"

namespace lunkit::scsi {
namespace {

struct WriteSameCdb {
    BlockCdb block;
    bool anchor = false;
    bool unmap = false;
    bool ndob = false;  ///< no Data-Out buffer: as if it held zeros
};

WriteSameCdb decode(const Cdb& cdb) {
    WriteSameCdb same;
    same.block = decode_block_cdb(cdb);
    same.anchor = cdb.bit(same.block.flags_at, 4);
    same.unmap = cdb.bit(same.block.flags_at, 3);
    same.ndob =
        cdb.operation_code() != operation_code::kWriteSame10 && cdb.bit(same.block.flags_at, 0);
    return same;
}

std::optional<Ending> check(const Unit& unit, const WriteSameCdb& same) {
    if (const auto refusal =
            check_block_cdb(unit, same.block, unit.limits.maximum_write_same_length)) {
        return refusal;
    }
    // Behind the range check, so that a bad address is told first. WSNZ = 1 in VPD page B0h: zero
    // does not mean "to the end of the medium", which is no accident anybody wants.
    if (same.block.number_of_logical_blocks == 0) {
        return invalid_field_in_cdb(same.block.length_at);
    }
    if (same.anchor) {  // ANC_SUP = 0
        return invalid_field_in_cdb(same.block.flags_at, 4);
    }
    if (same.unmap && !unit.info.can_discard) {  // LBPWS = LBPWS10 = 0
        return invalid_field_in_cdb(same.block.flags_at, 3);
    }
    if (same.block.bytchk != 0) {  // PBDATA and LBDATA of SBC-2 would change what is written
        return invalid_field_in_cdb(same.block.flags_at, 2);
    }
    return {};
}

bool is_zero(std::span<const std::byte> bytes) {
    return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

}  // namespace

Task<Ending> write_same(Unit& unit, Queue& queue, Command& command) {
    const WriteSameCdb same = decode(Cdb(command.cdb));
    if (const auto refusal = check(unit, same)) {
        co_return *refusal;
    }
    const std::uint32_t block_size = unit.options.block_size;
    Buffer block(block_size);
    if (!block) {
        co_return busy();
    }
    // Without Data-Out an unmapping WRITE SAME is taken as NDOB, which (10) has no bit for.
    if (same.ndob || (same.unmap && data_length(command) == 0)) {
        std::ranges::fill(block.bytes(), std::byte{0});
    } else if (data_length(command) == block_size) {
        copy_from_iov(*command.data, 0, block.bytes());
    } else {
        co_return wrong_data_out_length();
    }
    const ByteRange range{same.block.logical_block_address * block_size,
                          std::uint64_t{same.block.number_of_logical_blocks} * block_size};
    if (is_zero(block.bytes())) {
        co_return co_await write_zeros(unit, queue, command, range, same.unmap);
    }
    co_return co_await write_pattern(unit, queue, command, range, block.bytes());
}

}  // namespace lunkit::scsi

// SPDX-License-Identifier: Apache-2.0
// COMPARE AND WRITE (SBC-4 5.3). The device does it, atomically against every other request.
#include "scsi/commands.hpp"
#include "scsi/errno_sense.hpp"
#include "scsi/parameter_data.hpp"

namespace lunkit::scsi {

Task<Ending> compare_and_write(Unit& unit, Queue& queue, Command& command) {
    const Cdb cdb(command.cdb);
    BlockCdb block;
    block.protect = cdb.bits(1, 7, 5);
    block.dpo = cdb.bit(1, 4);
    block.fua = cdb.bit(1, 3);
    block.logical_block_address = cdb.be64(2);
    block.number_of_logical_blocks = cdb.byte(13);
    block.length_at = 13;
    if (const auto refusal =
            check_block_cdb(unit, block, unit.limits.maximum_compare_and_write_length)) {
        co_return *refusal;
    }
    if (block.number_of_logical_blocks == 0) {  // whatever was sent
        co_return good();
    }
    const std::uint32_t block_size = unit.options.block_size;
    const std::uint64_t length = std::uint64_t{block.number_of_logical_blocks} * block_size;
    if (data_length(command) != 2 * length) {
        co_return wrong_data_out_length();
    }
    IoRequest io(block.logical_block_address * block_size, *command.data,
                 Unit::io_flags(command) | (block.dpo ? LUNKIT_IO_DPO : 0U));
    io.length = length;
    io.tag = command.tag;
    io.progress = command.progress;
    const Status done = co_await unit.device.compare_and_write(queue, io);
    if (!done) {
        const Direction phase = done.error().while_reading ? Direction::kRead : Direction::kCompare;
        co_return ending_of(done.error(), {phase, block.logical_block_address, block_size});
    }
    // BlockDevice has no FUA for this one.
    if (block.fua || !unit.mode.write_cache_enabled) {
        co_return co_await unit.flush(queue);
    }
    co_return good();
}

}  // namespace lunkit::scsi

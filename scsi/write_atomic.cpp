// SPDX-License-Identifier: Apache-2.0
// WRITE ATOMIC(16) (SBC-4 5.48, 4.29): blocks that are written all or not at all, whatever happens,
// and of which no other command sees a part. The device promises it and says for how many blocks.
#include "scsi/commands.hpp"
#include "scsi/errno_sense.hpp"
#include "scsi/parameter_data.hpp"

namespace lunkit::scsi {

Task<Ending> write_atomic(Unit& unit, Queue& queue, Command& command) {
    const Cdb cdb(command.cdb);
    BlockCdb write = decode_block_cdb(cdb);
    write.length_at = 12;
    write.number_of_logical_blocks = cdb.be16(write.length_at);
    if (const auto refusal =
            check_block_cdb(unit, write, unit.limits.maximum_atomic_transfer_length)) {
        co_return *refusal;
    }
    if (cdb.be16(10) != 0) {  // ATOMIC BOUNDARY: MAXIMUM ATOMIC BOUNDARY SIZE is 0
        co_return invalid_field_in_cdb(10);
    }
    const std::uint64_t length =
        std::uint64_t{write.number_of_logical_blocks} * unit.options.block_size;
    if (data_length(command) < length) {  // a part of it is what must not be written
        co_return wrong_data_out_length();
    }
    if (length == 0) {
        co_return good();
    }
    const std::uint32_t flags = unit.write_flags(command, write.fua);
    IoRequest io(write.logical_block_address * unit.options.block_size, *command.data,
                 flags | LUNKIT_IO_ATOMIC | (write.dpo ? LUNKIT_IO_DPO : 0U));
    io.length = length;
    io.tag = command.tag;
    const Status done = co_await unit.device.write(queue, io);
    if (!done) {
        co_return unit.log.write.failed(
            ending_of(done.error(),
                      {Direction::kWrite, write.logical_block_address, unit.options.block_size}));
    }
    unit.log.write.bytes_processed += length;
    if (unit.is_unsettled(flags)) {
        co_return co_await unit.flush(queue);
    }
    co_return good();
}

}  // namespace lunkit::scsi

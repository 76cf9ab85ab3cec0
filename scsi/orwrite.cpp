// SPDX-License-Identifier: Apache-2.0
// ORWRITE (SBC-4 5.10). The device does it, atomically against every other request. As in WRITE,
// the blocks that were sent count.
#include <algorithm>

#include "scsi/commands.hpp"
#include "scsi/errno_sense.hpp"
#include "scsi/parameter_data.hpp"

namespace lunkit::scsi {

Task<Ending> orwrite(Unit& unit, Queue& queue, Command& command) {
    const BlockCdb cdb = decode_block_cdb(Cdb(command.cdb));
    if (const auto refusal = check_block_cdb(unit, cdb, unit.limits.maximum_transfer_length)) {
        co_return *refusal;
    }
    const std::uint32_t block_size = unit.options.block_size;
    const std::uint64_t length =
        std::min(std::uint64_t{cdb.number_of_logical_blocks} * block_size, data_length(command));
    if (length % block_size != 0) {
        co_return wrong_data_out_length();
    }
    if (length == 0) {
        co_return good();
    }
    const std::uint32_t flags = unit.write_flags(command, cdb.fua);
    IoRequest io(cdb.logical_block_address * block_size, *command.data,
                 flags | (cdb.dpo ? LUNKIT_IO_DPO : 0U));
    io.length = length;
    io.tag = command.tag;
    const Status done = co_await unit.device.or_write(queue, io);
    if (!done) {
        co_return ending_of(done.error(),
                            {Direction::kWrite, cdb.logical_block_address, block_size});
    }
    if (unit.is_unsettled(flags)) {
        co_return co_await unit.flush(queue);
    }
    co_return good();
}

}  // namespace lunkit::scsi

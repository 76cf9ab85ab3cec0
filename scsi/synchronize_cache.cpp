// SPDX-License-Identifier: Apache-2.0
// SYNCHRONIZE CACHE and PRE-FETCH (SBC-4 5.31, 5.12): the commands about a cache.
#include "scsi/commands.hpp"

namespace lunkit::scsi {

// The whole cache is written whatever the range, which may be more than was asked. IMMED lets the
// status come early; it comes when it is known instead, so that a failure is told with the command
// it belongs to.
Task<Ending> synchronize_cache(Unit& unit, Queue& queue, Command& command) {
    const BlockCdb cdb = decode_block_cdb(Cdb(command.cdb));
    if (!unit.range(cdb.logical_block_address, cdb.number_of_logical_blocks)) {
        co_return logical_block_address_out_of_range();
    }
    co_return co_await unit.flush(queue);
}

// The unit has no cache of its own to fill: GOOD (and not CONDITION MET) says that the blocks did
// not all get into one.
Ending pre_fetch(Unit& unit, Command& command) {
    const BlockCdb cdb = decode_block_cdb(Cdb(command.cdb));
    if (!unit.range(cdb.logical_block_address, cdb.number_of_logical_blocks)) {
        return logical_block_address_out_of_range();
    }
    return good();
}

}  // namespace lunkit::scsi

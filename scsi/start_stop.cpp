// SPDX-License-Identifier: Apache-2.0
// TEST UNIT READY, START STOP UNIT, PREVENT ALLOW MEDIUM REMOVAL (SPC-5 6.50, SBC-4 5.30, 5.15).
#include "scsi/commands.hpp"

namespace lunkit::scsi {

Ending test_unit_ready(Unit& /*unit*/, Command& /*command*/) {
    return good();  // the dispatch has seen that the unit is started
}

// IMMED: as in SYNCHRONIZE CACHE, the status comes when it is known.
Task<Ending> start_stop_unit(Unit& unit, Queue& queue, Command& command) {
    const Cdb cdb(command.cdb);
    if (cdb.bits(4, 7, 4) != 0) {  // POWER CONDITION: the unit has but active and stopped
        co_return invalid_field_in_cdb(4, 7);
    }
    if (cdb.bit(4, 1)) {  // LOEJ: the medium is not removable
        co_return invalid_field_in_cdb(4, 1);
    }
    const bool start = cdb.bit(4, 0);
    const bool no_flush = cdb.bit(4, 2);
    if (!start && unit.started && !no_flush) {
        const Ending flushed = co_await unit.flush(queue);
        if (!flushed.is_good()) {
            co_return flushed;
        }
    }
    unit.started = start;
    unit.remember();
    co_return good();
}

// There is nothing to remove, so nothing to prevent: accepted, as initiators send it in passing.
Ending prevent_allow_medium_removal(Unit& /*unit*/, Command& command) {
    if (Cdb(command.cdb).bits(4, 1, 0) > 1) {  // obsolete
        return invalid_field_in_cdb(4, 1);
    }
    return good();
}

}  // namespace lunkit::scsi

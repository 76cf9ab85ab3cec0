// SPDX-License-Identifier: Apache-2.0
// REQUEST SENSE (SPC-5 6.39). Sense data goes with each CHECK CONDITION, so what is left to ask for
// is the unit's state: a deferred error or a unit attention, which is thereby cleared, how far
// FORMAT UNIT or SANITIZE has come, or that the unit is stopped.
#include <array>

#include "scsi/commands.hpp"
#include "scsi/parameter_data.hpp"

namespace lunkit::scsi {

Ending request_sense(Unit& unit, Command& command) {
    const Cdb cdb(command.cdb);
    Sense sense;
    if (const auto pending = unit.take_pending(command)) {
        sense = *pending;
    } else if (const auto obstacle = unit.medium_state.obstacle()) {
        sense = *obstacle;
    } else if (!unit.started) {
        sense = {SenseKey::kNotReady, asc::kInitializingCommandRequired, {}, {}};
    }
    const auto format = cdb.bit(1, 0) ? SenseFormat::kDescriptor : SenseFormat::kFixed;
    std::array<std::uint8_t, kMaxSenseLength> bytes;
    const std::size_t length = encode_sense(sense, format, bytes);
    deliver(command, std::span(bytes).first(length), cdb.byte(4));
    return good();
}

}  // namespace lunkit::scsi

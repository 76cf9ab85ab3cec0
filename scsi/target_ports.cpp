// SPDX-License-Identifier: Apache-2.0
// REPORT TARGET PORT GROUPS and REPORT LUNS (SPC-5 6.36, 6.33): the unit's surroundings as far as
// it knows them. It is one logical unit with one group of ports that is always active/optimized;
// the target keeps the rest to itself and answers REPORT LUNS before the unit sees it.
#include "scsi/commands.hpp"
#include "scsi/device_identification.hpp"
#include "scsi/parameter_data.hpp"

namespace lunkit::scsi {

Ending report_target_port_groups(Unit& /*unit*/, Command& command) {
    const Cdb cdb(command.cdb);
    const std::uint8_t format = cdb.bits(1, 7, 5);  // PARAMETER DATA FORMAT
    if (format > 1) {
        return invalid_field_in_cdb(1, 7);
    }
    constexpr unsigned kActiveOptimized = 0x00;
    constexpr unsigned kAoSup = 0x01;
    ParameterData data;
    data.be32(0);
    if (format == 1) {
        data.u8(0x10).zeros(3);  // extended header; no implicit transition takes time
    }
    data.u8(kActiveOptimized).u8(kAoSup).be16(kTargetPortGroup);
    data.u8(0).u8(0).u8(0).u8(1);  // STATUS CODE 0; one port
    data.be16(0).be16(kRelativeTargetPort);
    data.set(0, data.size() - 4, 4);
    deliver(command, data.view(), cdb.be32(6));
    return good();
}

Ending report_luns(Unit& /*unit*/, Command& command) {
    const Cdb cdb(command.cdb);
    const std::uint8_t select_report = cdb.byte(2);
    ParameterData data;
    switch (select_report) {
        case 0x00:  // without well known logical units
        case 0x02:  // with them
            data.be32(8).be32(0).be64(0);
            break;
        case 0x01:  // well known logical units only: none
            data.be32(0).be32(0);
            break;
        default:
            return invalid_field_in_cdb(2);
    }
    deliver(command, data.view(), cdb.be32(6));
    return good();
}

}  // namespace lunkit::scsi

// SPDX-License-Identifier: Apache-2.0
// WRITE BUFFER and READ BUFFER (SPC-5 6.51, 6.19): the echo buffer, by which an initiator tests the
// way to the unit. There is nothing else to load or to look into; every other mode is refused.
#include "scsi/commands.hpp"
#include "scsi/parameter_data.hpp"

namespace lunkit::scsi {
namespace {

constexpr std::uint8_t kEcho = 0x0a;            // MODE: data
constexpr std::uint8_t kEchoDescriptor = 0x0b;  // READ BUFFER only
constexpr std::uint32_t kEchoCapacity = 4096;   // BUFFER CAPACITY has 13 bits

}  // namespace

// BUFFER ID and BUFFER OFFSET mean nothing in this mode.
Ending write_buffer(Unit& unit, Command& command) {
    const Cdb cdb(command.cdb);
    if (cdb.bits(1, 4, 0) != kEcho) {
        return invalid_field_in_cdb(1, 4);
    }
    const std::uint32_t parameter_list_length = cdb.be24(6);
    if (parameter_list_length > kEchoCapacity) {
        return invalid_field_in_cdb(6);
    }
    if (data_length(command) < parameter_list_length) {
        return wrong_data_out_length();
    }
    unit.echo.emplace(parameter_list_length);
    fetch(command, 0, *unit.echo);
    return good();
}

Ending read_buffer_10(Unit& unit, Command& command) {
    const Cdb cdb(command.cdb);
    const std::uint32_t allocation_length = cdb.be24(6);
    switch (cdb.bits(1, 4, 0)) {
        case kEcho:
            if (!unit.echo) {
                return check_condition(SenseKey::kIllegalRequest, asc::kCommandSequenceError);
            }
            deliver(command, *unit.echo, allocation_length);
            return good();
        case kEchoDescriptor: {
            // EBOS = 0: one buffer for all initiators, whom the unit cannot tell apart.
            ParameterData data;
            data.be16(0).be16(kEchoCapacity);
            deliver(command, data.view(), allocation_length);
            return good();
        }
        default:
            return invalid_field_in_cdb(1, 4);
    }
}

}  // namespace lunkit::scsi

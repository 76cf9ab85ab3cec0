// SPDX-License-Identifier: Apache-2.0
// REPORT SUPPORTED OPERATION CODES and ... TASK MANAGEMENT FUNCTIONS (SPC-5 6.34, 6.35).
#include "scsi/opcodes.hpp"
#include "scsi/parameter_data.hpp"

namespace lunkit::scsi {
namespace {

constexpr std::size_t kTimeoutsDescriptorLength = 12;
constexpr std::size_t kCommandDescriptorLength = 8;
static_assert(4 + kMaxOpcodes * (kCommandDescriptorLength + kTimeoutsDescriptorLength) <=
              ParameterData::kCapacity);

/// REPORTING OPTIONS.
enum class ReportingOptions : std::uint8_t {
    kAll = 0,
    kOneOperationCode = 1,
    kOneServiceAction = 2,
    kOneOfEither = 3,
};

void put_timeouts(ParameterData& data, const Opcode& opcode) {
    data.be16(kTimeoutsDescriptorLength - 2).u8(0).u8(0);
    data.be32(0);  // NOMINAL COMMAND PROCESSING TIMEOUT: not told
    data.be32(opcode.recommended_timeout);
}

void put_all(ParameterData& data, const Unit& unit, bool timeouts) {
    constexpr unsigned kCtdp = 0x02;
    constexpr unsigned kServactv = 0x01;
    data.be32(0);
    for (const Opcode& opcode : all_opcodes()) {
        if (!is_reported(opcode, unit)) {
            continue;
        }
        data.u8(opcode.operation_code).u8(0);
        data.be16(opcode.service_action.value_or(0)).u8(0);
        data.u8((timeouts ? kCtdp : 0U) | (opcode.service_action ? kServactv : 0U));
        data.be16(opcode.cdb_length);
        if (timeouts) {
            put_timeouts(data, opcode);
        }
    }
    data.set(0, data.size() - 4, 4);
}

void put_one(ParameterData& data, const Opcode* opcode, bool timeouts) {
    constexpr unsigned kNotSupported = 0x01;
    constexpr unsigned kSupported = 0x03;
    constexpr unsigned kCtdp = 0x80;
    if (opcode == nullptr) {
        data.u8(0).u8(kNotSupported).be16(0);
        return;
    }
    data.u8(0).u8(kSupported | (timeouts ? kCtdp : 0U)).be16(opcode->cdb_length);
    data.bytes(std::span(opcode->usage).first(opcode->cdb_length));
    if (timeouts) {
        put_timeouts(data, *opcode);
    }
}

// nullptr: the unit does not have it.
const Opcode* find_reported(const Unit& unit, std::uint8_t operation_code,
                            std::uint16_t service_action) {
    for (const Opcode& opcode : opcodes_of(operation_code)) {
        if (is_reported(opcode, unit) && opcode.service_action.value_or(0) == service_action) {
            return &opcode;
        }
    }
    return nullptr;
}

}  // namespace

Ending report_supported_operation_codes(Unit& unit, Command& command) {
    const Cdb cdb(command.cdb);
    const bool timeouts = cdb.bit(2, 7);  // RCTD
    const std::uint8_t requested_operation_code = cdb.byte(3);
    const std::uint16_t requested_service_action = cdb.be16(4);
    if (cdb.bits(2, 2, 0) > static_cast<std::uint8_t>(ReportingOptions::kOneOfEither)) {
        return invalid_field_in_cdb(2, 2);
    }
    const auto options = static_cast<ReportingOptions>(cdb.bits(2, 2, 0));
    const auto entries = opcodes_of(requested_operation_code);
    const bool is_known = !entries.empty() && is_reported(entries.front(), unit);
    const bool has_service_actions = is_known && entries.front().service_action.has_value();
    ParameterData data;
    switch (options) {
        case ReportingOptions::kAll:
            put_all(data, unit, timeouts);
            break;
        case ReportingOptions::kOneOperationCode:
            if (has_service_actions) {
                return invalid_field_in_cdb(2, 2);
            }
            put_one(data, find_reported(unit, requested_operation_code, 0), timeouts);
            break;
        case ReportingOptions::kOneServiceAction:
            if (is_known && !has_service_actions) {
                return invalid_field_in_cdb(2, 2);
            }
            [[fallthrough]];
        case ReportingOptions::kOneOfEither:
            put_one(data, find_reported(unit, requested_operation_code, requested_service_action),
                    timeouts);
            break;
    }
    deliver(command, data.view(), cdb.be32(6));
    return good();
}

// What the target (LIO) does, and the device with commands that have not begun; the unit itself
// never hears of a task management function.
Ending report_supported_task_management_functions(Unit& /*unit*/, Command& command) {
    const Cdb cdb(command.cdb);
    const bool extended = cdb.bit(2, 7);  // REPD
    const std::uint32_t allocation_length = cdb.be32(6);
    if (allocation_length < 4) {
        return invalid_field_in_cdb(6);
    }
    constexpr unsigned kAbortTask = 0x80;
    constexpr unsigned kLogicalUnitReset = 0x08;
    ParameterData data;
    data.u8(kAbortTask | kLogicalUnitReset).u8(0).u8(0).u8(extended ? 12 : 0);
    if (extended) {
        data.zeros(12);  // no timeouts are told
    }
    deliver(command, data.view(), allocation_length);
    return good();
}

}  // namespace lunkit::scsi

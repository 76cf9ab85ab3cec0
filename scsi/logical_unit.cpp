// SPDX-License-Identifier: Apache-2.0
// The way of every command: what is wrong with it whatever it is (admit), the command itself, and
// how its ending reaches the initiator (finish).
#include "scsi/logical_unit.hpp"

#include <algorithm>

#include "scsi/cdb.hpp"
#include "scsi/copy_access.hpp"
#include "scsi/ending.hpp"
#include "scsi/opcodes.hpp"
#include "scsi/unit.hpp"

namespace lunkit::scsi {

struct LogicalUnit::State : Unit {
    using Unit::Unit;
};

namespace {

/// nullptr: the unit does not have the command.
const Opcode* find_opcode(const Unit& unit, std::span<const std::uint8_t> cdb) {
    if (cdb.empty()) {
        return nullptr;
    }
    for (const Opcode& opcode : opcodes_of(cdb[0])) {
        if (is_executed(opcode, unit) &&
            (!opcode.service_action || service_action_of(cdb) == opcode.service_action)) {
            return &opcode;
        }
    }
    return nullptr;
}

/// Of a command that find_opcode() does not find: is it the service action that is not there?
Ending unknown_command(const Unit& unit, std::span<const std::uint8_t> cdb) {
    if (!cdb.empty()) {
        for (const Opcode& opcode : opcodes_of(cdb[0])) {
            if (is_executed(opcode, unit)) {
                return opcode.has_variable_length() ? invalid_field_in_cdb(8)
                                                    : invalid_field_in_cdb(1, 4);
            }
        }
    }
    return check_condition(SenseKey::kIllegalRequest, asc::kInvalidCommandOperationCode);
}

/// Shares the medium with others.
bool uses_medium(const Opcode& opcode) {
    return opcode.traits.accesses_medium && !opcode.traits.rewrites_medium;
}

/// SBC-4 4.33.2, 4.11.2, 4.33.3.1, 4.11.4, in this order.
bool may_run(const Opcode& opcode, MediumState::Condition condition) {
    switch (condition) {
        case MediumState::Condition::kUsable:
            return true;
        case MediumState::Condition::kFormatting:
            return opcode.traits.during_format;
        case MediumState::Condition::kSanitizing:
            return opcode.traits.during_sanitize;
        case MediumState::Condition::kFormatCorrupted:
            return !uses_medium(opcode) || opcode.traits.during_sanitize;
        case MediumState::Condition::kSanitizeFailed:
            return opcode.operation_code == operation_code::kSanitize ||
                   opcode.traits.during_sanitize;
    }
    return false;
}

/// Began before a predecessor died, beside a rewrite of the medium that goes on only when all of
/// these have been repeated; or is that rewrite itself.
bool was_admitted(const Unit& unit, const Opcode& opcode, const Command& command) {
    return command.replay && ((unit.medium_state.to_resume && uses_medium(opcode)) ||
                              is_rewrite_begun(unit, command));
}

void finish(const Unit& unit, const Ending& ending, Command& command) {
    command.status = ending.status;
    command.sense_length = 0;
    if (!ending.is_good()) {
        command.data_in_length = 0;
    }
    if (ending.status == StatusCode::kCheckCondition) {
        const auto format =
            unit.mode.descriptor_sense ? SenseFormat::kDescriptor : SenseFormat::kFixed;
        command.sense_length =
            static_cast<std::uint8_t>(encode_sense(ending.sense, format, command.sense));
    }
}

/// For admit(): always nullptr.
[[gnu::cold, gnu::noinline]] const Opcode* refuse(const Unit& unit, Command& command,
                                                  const Ending& why) {
    finish(unit, why, command);
    return nullptr;
}

/// Whether the unit's state and the CDB's frame let the command run; nullptr: it has ended. A unit
/// attention comes before everything that is wrong with the command itself.
const Opcode* admit(Unit& unit, Command& command) {
    const Opcode* const opcode = find_opcode(unit, command.cdb);
    if (unit.may_have_pending(command) &&
        (opcode == nullptr || !opcode->traits.ignores_attention)) {
        if (const auto pending = unit.take_pending(command)) {
            return refuse(unit, command, {StatusCode::kCheckCondition, *pending});
        }
    }
    if (opcode == nullptr) {
        return refuse(unit, command, unknown_command(unit, command.cdb));
    }
    if (opcode->has_variable_length() && command.cdb[7] != opcode->cdb_length - 8) {
        return refuse(unit, command, invalid_field_in_cdb(7));
    }
    if (command.cdb.size() < opcode->cdb_length) {
        return refuse(unit, command,
                      invalid_field_in_cdb(static_cast<std::uint16_t>(command.cdb.size())));
    }
    // SAM-5 5.2: NACA needs NORMACA in the standard INQUIRY data, which the unit does not have.
    const std::size_t control = opcode->control_at();
    if ((command.cdb[control] & 0x04U) != 0) {
        return refuse(unit, command, invalid_field_in_cdb(static_cast<std::uint16_t>(control), 2));
    }
    if (!may_run(*opcode, unit.medium_state.condition) && !was_admitted(unit, *opcode, command)) {
        return refuse(unit, command, {StatusCode::kCheckCondition, *unit.medium_state.obstacle()});
    }
    // A command that is repeated was admitted before the unit was stopped or write protected: its
    // initiator shall not hear that it was refused when it may have been carried out.
    if (opcode->traits.accesses_medium && !unit.started && !command.replay) {
        return refuse(unit, command,
                      check_condition(SenseKey::kNotReady, asc::kInitializingCommandRequired));
    }
    if (opcode->traits.writes && (command.replay ? unit.info.read_only : unit.write_protected())) {
        return refuse(
            unit, command,
            check_condition(SenseKey::kDataProtect, unit.info.read_only
                                                        ? asc::kWriteProtected
                                                        : asc::kLogicalUnitSoftwareWriteProtected));
    }
    return opcode;
}

}  // namespace

LogicalUnit::LogicalUnit(BlockDevice& device, Initiators& initiators, LogicalUnitOptions options)
    : state_(std::make_unique<State>(device, initiators, options)) {}

LogicalUnit::~LogicalUnit() = default;

Task<void> LogicalUnit::execute(Queue& queue, Command& command) {
    Unit& unit = *state_;
    command.data_in_length = 0;
    if (const Opcode* const opcode = admit(unit, command); opcode != nullptr) {
        const Gate::Pass pass =
            uses_medium(*opcode) ? unit.medium_state.users.enter() : Gate::Pass();
        if (opcode->answer != nullptr) {
            finish(unit, opcode->answer(unit, command), command);
        } else {
            const Ending ending = co_await opcode->run(unit, queue, command);
            finish(unit, ending, command);
        }
    }
    watch_space(unit, queue);
}

Task<Status> LogicalUnit::read_for_copy(Queue& queue, const IoRequest& io) {
    return scsi::read_for_copy(*state_, queue, io);
}

Task<Status> LogicalUnit::write_for_copy(Queue& queue, const IoRequest& io) {
    return scsi::write_for_copy(*state_, queue, io);
}

void LogicalUnit::resume_background(Queue& queue) {
    resume_rewrite(*state_, queue);
}

void LogicalUnit::end_background() {
    state_->medium_state.ending = true;
}

void LogicalUnit::capacity_changed() {
    state_->refresh();
    state_->has_new_media = state_->is_cd();
    state_->establish(state_->is_cd() ? asc::kNotReadyToReadyChange : asc::kCapacityDataHasChanged);
}

Task<Status> LogicalUnit::set_write_cache(Queue& queue, bool enabled) {
    AsyncMutex::Guard alone(state_->write_cache_switch);
    (void)co_await alone.acquire(queue);  // nobody withdraws it
    const bool switches = state_->mode.write_cache_enabled != enabled;
    Status status = co_await state_->set_write_cache(queue, enabled);
    if (!status) {
        state_->deferred_error = true;
        state_->remember();
    } else if (switches) {
        state_->establish(asc::kModeParametersChanged);
    }
    co_return status;
}

bool LogicalUnit::write_cache() const {
    return state_->mode.write_cache_enabled;
}

}  // namespace lunkit::scsi

// SPDX-License-Identifier: Apache-2.0
// SANITIZE (SBC-4 5.30, 4.11): by overwriting, or by erasing blocks where they can be unmapped.
// What is sanitized is the medium as the unit has it: copies that a file system or a snapshot below
// keeps are beyond its reach. Cryptographic erase would need a key of the unit's own.
#include <array>
#include <optional>
#include <utility>

#include "scsi/commands.hpp"
#include "scsi/parameter_data.hpp"

namespace lunkit::scsi {
namespace {

constexpr std::size_t kHeaderLength = 4;  // of OVERWRITE's parameter list

/// What is wrong with the CDB, whatever its service action does.
std::optional<Ending> check_cdb(const Cdb& cdb, std::size_t minimum, std::size_t maximum) {
    // ZNR. SBC-4 has units without zones ignore it; in SBC-3, which the unit claims, the bit is
    // reserved, and conformance suites want it refused.
    if (cdb.bit(1, 6)) {
        return invalid_field_in_cdb(1, 6);
    }
    for (std::uint16_t reserved = 2; reserved < 7; ++reserved) {
        if (cdb.byte(reserved) != 0) {  // what is this CDB? Too much to lose for a guess
            return invalid_field_in_cdb(reserved);
        }
    }
    const std::uint16_t parameter_list_length = cdb.be16(7);
    if (parameter_list_length < minimum || parameter_list_length > maximum) {
        return invalid_field_in_cdb(7);
    }
    return {};
}

// Behind a failure in restricted completion mode only another SANITIZE in that mode may follow.
bool is_restricted(const MediumState& medium) {
    return medium.condition == MediumState::Condition::kSanitizeFailed && !medium.allows_exit;
}

Rewrite make_rewrite(const Command& command) {
    Rewrite rewrite = rewrite_during(MediumState::Condition::kSanitizing);
    rewrite.allows_exit = Cdb(command.cdb).bit(1, 5);  // AUSE
    rewrite.flags = Unit::io_flags(command);
    rewrite.tag = command.tag;
    return rewrite;
}

// SBC-4 table 111.
Ending take_parameter_list(const Unit& unit, const Command& command, Rewrite& rewrite) {
    const std::uint16_t parameter_list_length = Cdb(command.cdb).be16(7);
    if (data_length(command) < parameter_list_length) {
        return wrong_data_out_length();
    }
    std::array<std::uint8_t, kHeaderLength> header;
    fetch(command, 0, header);
    const unsigned overwrite_count = header[0] & 0x1fU;
    if ((header[0] & 0x60U) != 0 || overwrite_count == 0) {  // TEST: none of a vendor's making
        return invalid_field_in_parameter_list(0);
    }
    const std::uint16_t initialization_pattern_length = get_be16(std::span(header).subspan(2));
    if (initialization_pattern_length == 0 ||
        initialization_pattern_length > unit.options.block_size) {
        return invalid_field_in_parameter_list(2);
    }
    if (kHeaderLength + initialization_pattern_length > parameter_list_length) {
        return parameter_list_length_error();
    }
    Buffer pattern(initialization_pattern_length);
    if (!pattern) {
        return busy();
    }
    copy_from_iov(*command.data, kHeaderLength, pattern.bytes());
    rewrite.pattern = make_pattern(unit, pattern.bytes());
    if (!rewrite.pattern) {
        return busy();
    }
    rewrite.passes = overwrite_count;
    rewrite.invert = (header[0] & 0x80U) != 0;
    return good();
}

}  // namespace

Task<Ending> sanitize_overwrite(Unit& unit, Queue& queue, Command& command) {
    const Cdb cdb(command.cdb);
    if (const auto refusal =
            check_cdb(cdb, kHeaderLength + 1, kHeaderLength + unit.options.block_size)) {
        co_return *refusal;
    }
    Rewrite rewrite = make_rewrite(command);
    if (rewrite.allows_exit && is_restricted(unit.medium_state)) {
        co_return invalid_field_in_cdb(1, 5);
    }
    const Ending taken = take_parameter_list(unit, command, rewrite);
    if (!taken.is_good()) {
        co_return taken;
    }
    co_return co_await rewrite_medium(unit, queue, command, std::move(rewrite), cdb.bit(1, 7));
}

Task<Ending> sanitize_block_erase(Unit& unit, Queue& queue, Command& command) {
    const Cdb cdb(command.cdb);
    if (const auto refusal = check_cdb(cdb, 0, 0)) {
        co_return *refusal;
    }
    Rewrite rewrite = make_rewrite(command);
    if (rewrite.allows_exit && is_restricted(unit.medium_state)) {
        co_return invalid_field_in_cdb(1, 5);
    }
    rewrite.flags |= LUNKIT_IO_MAY_UNMAP;
    co_return co_await rewrite_medium(unit, queue, command, std::move(rewrite), cdb.bit(1, 7));
}

// Without a failure there is nothing to exit from, which is where the initiator wants to be.
Ending sanitize_exit_failure_mode(Unit& unit, Command& command) {
    if (const auto refusal = check_cdb(Cdb(command.cdb), 0, 0)) {
        return *refusal;
    }
    if (is_restricted(unit.medium_state)) {
        return invalid_field_in_cdb(1, 4);
    }
    if (unit.medium_state.condition == MediumState::Condition::kSanitizeFailed) {
        unit.medium_state.condition = MediumState::Condition::kUsable;
        unit.medium_state.kept = unit.medium_state.condition;
        unit.remember();
    }
    return good();
}

}  // namespace lunkit::scsi

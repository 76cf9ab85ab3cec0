// SPDX-License-Identifier: Apache-2.0
// Opcode: what the unit knows of an operation code (and service action). One table serves the
// dispatch and REPORT SUPPORTED OPERATION CODES, so that the report cannot lie.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "scsi/cdb.hpp"
#include "scsi/commands.hpp"
#include "scsi/device_types.hpp"

namespace lunkit::scsi {

struct Opcode {
    /// What the dispatch checks before the command runs.
    struct Traits {
        bool accesses_medium = false;    ///< 02/04/02 when the unit is stopped
        bool writes = false;             ///< 07/27 when the unit is write protected
        bool ignores_attention = false;  ///< SAM-5 5.14: runs past a pending unit attention
        bool needs_discard = false;      ///< unknown to a unit whose device cannot discard
        bool needs_atomic = false;  ///< unknown to a unit whose device promises no atomic writes
        // SBC-4 4.33.2, 4.11.2: runs while that has the medium for itself; all else ends 02/04.
        bool during_format = false;
        bool during_sanitize = false;
        /// Takes the medium for itself, also one that was left unusable.
        bool rewrites_medium = false;
        bool by_target = false;  ///< reservations: LIO answers before the unit hears of it
        DeviceTypes types = kBlock | kZoned;  ///< unknown to a unit of another device type
    };

    std::uint8_t operation_code = 0;
    std::optional<std::uint16_t> service_action;
    std::uint8_t cdb_length = 0;
    /// CDB USAGE DATA (SPC-5 6.36.3): ones where the unit looks at a bit; byte 0 is the opcode,
    /// the service action field holds the service action.
    std::array<std::uint8_t, 32> usage{};
    std::uint16_t recommended_timeout = 0;  ///< seconds
    Traits traits;
    /// One of them, unless by_target.
    Ending (*answer)(Unit& unit, Command& command) = nullptr;
    Task<Ending> (*run)(Unit& unit, Queue& queue, Command& command) = nullptr;

    /// SPC-5 4.2.5.3: 7Fh, with ADDITIONAL CDB LENGTH in byte 7.
    [[nodiscard]] bool has_variable_length() const {
        return operation_code == scsi::operation_code::kVariableLengthCdb;
    }
    /// Byte of CONTROL.
    [[nodiscard]] std::size_t control_at() const {
        return has_variable_length() ? 1U : cdb_length - 1U;
    }
};

/// More than there are: what a report of them all must have room for.
inline constexpr std::size_t kMaxOpcodes = 100;

/// In ascending order of operation codes and service actions.
[[nodiscard]] std::span<const Opcode> all_opcodes();
/// Those of one operation code: none, one without a service action, or one for each.
[[nodiscard]] std::span<const Opcode> opcodes_of(std::uint8_t operation_code);
/// Whether this unit has the command at all, for a report.
[[nodiscard]] bool is_reported(const Opcode& opcode, const Unit& unit);
/// Whether this unit executes it.
[[nodiscard]] bool is_executed(const Opcode& opcode, const Unit& unit);

}  // namespace lunkit::scsi

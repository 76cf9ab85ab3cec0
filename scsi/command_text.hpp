// SPDX-License-Identifier: Apache-2.0
// CommandText: what a CDB asks for, for people.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace lunkit::scsi {

struct CommandText {
    std::string name;  ///< as the standards write it: "READ(10)"; "opcode c1h": unknown
    std::optional<std::uint64_t> logical_block_address;
    std::optional<std::uint32_t> number_of_logical_blocks;
};

/// Of any bytes; fields that a CDB is too short for are zero.
[[nodiscard]] CommandText describe_command(std::span<const std::uint8_t> cdb);

}  // namespace lunkit::scsi

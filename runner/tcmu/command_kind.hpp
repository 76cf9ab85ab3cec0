// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

namespace lunkit::tcmu {

/// What an opcode does with the data area, as far as the ring's bookkeeping needs it. TCMU passes
/// no direction, and the opcode says only what an honest initiator means.
enum class CommandKind : std::uint8_t {
    kRead,     ///< fills it with blocks of the medium
    kWrite,    ///< takes blocks for the medium from it
    kDataOut,  ///< takes something else from it
    kOther,    ///< fills it, has none, or is unknown
};

/// By operation code and service action (SPC-5 and SBC-4, tables of them). `cdb` is not empty.
[[nodiscard]] CommandKind kind_of(std::span<const std::uint8_t> cdb);

/// FORMAT UNIT or SANITIZE: may take hours. From the moment it is executed the unit refuses all
/// that it could disturb, by itself. `cdb` is not empty.
[[nodiscard]] bool is_rewrite(std::span<const std::uint8_t> cdb);

}  // namespace lunkit::tcmu

// SPDX-License-Identifier: Apache-2.0
// Device Identification (SPC-5 7.7.6): the designators that tell one unit from another, made the
// way LIO makes them, so that a backstore keeps its identity when its handler changes.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "scsi/logical_unit.hpp"
#include "scsi/parameter_data.hpp"

namespace lunkit::scsi {

/// The unit does not learn through which port it is asked: one group (LIO's default group is 0)
/// with one port.
inline constexpr std::uint16_t kTargetPortGroup = 0;
inline constexpr std::uint16_t kRelativeTargetPort = 1;

using NaaIdentifier = std::array<std::uint8_t, 16>;

/// NAA IEEE Registered Extended: 6h, the company, then the first 25 hexadecimal digits of the
/// serial number; other characters are skipped and missing digits are 0. Nothing when there is no
/// digit at all: units must not share an identifier.
[[nodiscard]] std::optional<NaaIdentifier> make_naa_identifier(std::string_view serial,
                                                               std::uint32_t company_id);

/// VPD page 83h, behind its header.
void put_designators(ParameterData& data, const Identity& identity);

}  // namespace lunkit::scsi

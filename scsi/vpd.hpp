// SPDX-License-Identifier: Apache-2.0
// Vital product data (SPC-5 7.7, SBC-4 6.6).
#pragma once

#include <cstdint>

#include "scsi/parameter_data.hpp"
#include "scsi/unit.hpp"

namespace lunkit::scsi {

/// Writes the page. False: the unit has no such page.
bool put_vpd_page(ParameterData& data, std::uint8_t page_code, const Unit& unit,
                  const Identity& identity);

}  // namespace lunkit::scsi

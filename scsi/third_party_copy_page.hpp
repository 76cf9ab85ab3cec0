// SPDX-License-Identifier: Apache-2.0
// VPD page 8Fh: which third-party copies the unit does, and how large they may be.
#pragma once

#include "scsi/parameter_data.hpp"
#include "scsi/unit.hpp"

namespace lunkit::scsi {

/// Behind the page's header.
void put_third_party_copy(ParameterData& data, const Unit& unit);

}  // namespace lunkit::scsi

// SPDX-License-Identifier: Apache-2.0
// SenseSummary: the three numbers of sense data that say what happened.
#pragma once

#include <cstdint>
#include <span>

#include "scsi/sense.hpp"

namespace lunkit::scsi {

struct SenseSummary {
    std::uint8_t key = 0;  ///< SENSE KEY
    AdditionalSense additional;
};

/// Of sense data in fixed or descriptor format (SPC-5 4.5), as far as it goes.
[[nodiscard]] SenseSummary summarize_sense(std::span<const std::uint8_t> sense);

}  // namespace lunkit::scsi

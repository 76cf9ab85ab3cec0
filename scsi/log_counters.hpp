// SPDX-License-Identifier: Apache-2.0
// What the error counter log pages (SPC-5 7.3.8 to 7.3.11) tell of READ, WRITE and VERIFY: as much
// of them as the unit knows. What the storage below corrects by itself it does not.
#pragma once

#include <cstdint>

#include "scsi/ending.hpp"

namespace lunkit::scsi {

struct ErrorCounters {
    std::uint64_t bytes_processed = 0;
    std::uint64_t uncorrected_errors = 0;

    /// Counts an ending that the medium is to blame for; gives it back.
    Ending failed(Ending ending) {
        if (ending.sense.key == SenseKey::kMediumError) {
            ++uncorrected_errors;
        }
        return ending;
    }
};

struct LogCounters {
    ErrorCounters write;
    ErrorCounters read;
    ErrorCounters verify;
};

}  // namespace lunkit::scsi

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace lunkit::cli {

/// Exit codes of lunkit, as its manual has them.
enum ExitCode : std::uint8_t {
    kExitOk = 0,
    kExitFailure = 1,  ///< the daemon does not answer, or says no
    kExitUsage = 2,
    kExitNotFound = 3,  ///< no such device
};

}  // namespace lunkit::cli

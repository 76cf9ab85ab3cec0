// SPDX-License-Identifier: Apache-2.0
// The command line of lunkitd.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "control/live_settings.hpp"

namespace lunkit::control {

/// Exit codes of lunkitd, as its manual has them.
enum ExitCode : std::uint8_t {
    kExitOk = 0,
    kExitFailure = 1,
    kExitUsage = 2,
    // Those of sysexits.h mean that another try would end the same way: the unit makes none.
    kExitUnavailable = 69,  ///< EX_UNAVAILABLE: the kernel has nothing to serve, or another does
    kExitConfig = 78,       ///< EX_CONFIG: the settings are broken, or what they name is
};

struct Options {
    enum class Action : std::uint8_t {
        kRun,
        kPrint,       ///< `text` to stdout, exit 0
        kUsageError,  ///< `text` to stderr, exit kExitUsage
        kCheckConfig,
    };
    Action action = Action::kRun;
    std::string text;
    bool foreground = false;
    SettingsSource source;
};

/// `arguments` with the program's name first.
[[nodiscard]] Options parse_options(std::vector<std::string> arguments);

}  // namespace lunkit::control

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "cli/exit_code.hpp"

namespace lunkit::cli {

/// What a run of lunkit came to.
struct Outcome {
    ExitCode code = kExitOk;
    std::string out;  ///< for stdout
    std::string err;  ///< for stderr
};

/// Runs the command line, without the program's name. Talks to the daemon where it has to.
[[nodiscard]] Outcome run_command(std::vector<std::string> arguments);

}  // namespace lunkit::cli

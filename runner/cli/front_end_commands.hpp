// SPDX-License-Identifier: Apache-2.0
// The commands of the front ends whose devices lunkit makes or looks into by itself.
#pragma once

#include <vector>

#include "cli/request.hpp"

namespace lunkit::cli {

/// "ublk" with its own commands.
[[nodiscard]] std::vector<Choice> add_ublk_commands(CLI::App& app, Request& request);
/// "dm-user" with its own commands.
[[nodiscard]] std::vector<Choice> add_dm_user_commands(CLI::App& app, Request& request);
/// "dm-log" with its own commands.
[[nodiscard]] std::vector<Choice> add_dm_log_commands(CLI::App& app, Request& request);

}  // namespace lunkit::cli

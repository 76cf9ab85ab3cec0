// SPDX-License-Identifier: Apache-2.0
// `lunkit log-level`: what the running daemon logs.
#pragma once

#include "cli/request.hpp"

namespace lunkit::cli {

[[nodiscard]] Choice add_log_level_command(CLI::App& app, Request& request);

}  // namespace lunkit::cli

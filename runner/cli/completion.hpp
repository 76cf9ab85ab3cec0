// SPDX-License-Identifier: Apache-2.0
// What a shell needs to complete a command line of ours, made from the command line's own
// description.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace lunkit::cli {

/// `shell`: "bash", "zsh" or "fish". Commands, options, and the names of devices where one is
/// wanted.
[[nodiscard]] std::string completion_script(const CLI::App& app, const std::string& shell);

}  // namespace lunkit::cli

// SPDX-License-Identifier: Apache-2.0
// lunkitd.conf: [group] lines, key=value lines, comments with '#' or ';', blanks. Strict: what is
// not understood is an error, and all errors of a file are told at once, each with its line.
// (GKeyFile reads the same format, but takes a key given twice silently and forgets line numbers.)
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "core/settings.hpp"

namespace lunkit::control {

/// Sentences "file:line: what", or "file: what" where no line is to blame.
using SettingsErrors = std::vector<std::string>;
using SettingsResult = std::expected<core::Settings, SettingsErrors>;

/// Keys that `text` does not name have their defaults. `file` is for messages.
[[nodiscard]] SettingsResult parse_settings(std::string_view text, const std::string& file);

enum class WhenMissing : bool { kDefaults, kError };

/// Reads and parses the file at `path`. Blocks as its file system does.
[[nodiscard]] SettingsResult read_settings(const std::string& path, WhenMissing when_missing);

/// A file with every key commented out at its default, and what the table says about it.
[[nodiscard]] std::string default_settings_text();

}  // namespace lunkit::control

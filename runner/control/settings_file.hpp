// SPDX-License-Identifier: Apache-2.0
// lunkitd.conf: a KeyFile with the groups and keys of the table of settings.
#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "control/key_file.hpp"
#include "core/settings.hpp"

namespace lunkit::control {

using SettingsErrors = KeyFileErrors;
using SettingsResult = std::expected<core::Settings, SettingsErrors>;

/// Keys that `text` does not name have their defaults. `file` is for messages.
[[nodiscard]] SettingsResult parse_settings(std::string_view text, const std::string& file);

enum class WhenMissing : bool { kDefaults, kError };

/// Reads and parses the file at `path`. Blocks as its file system does.
[[nodiscard]] SettingsResult read_settings(const std::string& path, WhenMissing when_missing);

/// A file with every key commented out at its default, and what the table says about it.
[[nodiscard]] std::string default_settings_text();

}  // namespace lunkit::control

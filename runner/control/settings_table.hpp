// SPDX-License-Identifier: Apache-2.0
// The table of settings: one row for each key of lunkitd.conf. The parser, the default file, the
// reload and the manual's test all go by it; a new setting is a field of core::Settings and a row.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "core/settings.hpp"
#include "lunkit/result.hpp"

namespace lunkit::control {

struct SettingKey {
    std::string_view group;
    std::string_view key;
    std::string_view values;  ///< what may be written, e.g. "auto|uring|threads"
    std::string_view help;    ///< sentences
    bool live;                ///< a reload changes it; else it takes a restart
    Status (*parse)(core::Settings& settings, std::string_view text);
    /// As parse() takes it; equal texts mean equal values.
    std::string (*print)(const core::Settings& settings);
    void (*copy)(core::Settings& to, const core::Settings& from);
};

/// Rows of a group stand together, in the order of the default file.
[[nodiscard]] std::span<const SettingKey> settings_table();

/// error|warning|notice|info|debug
[[nodiscard]] Result<core::LogLevel> parse_log_level(std::string_view text);
[[nodiscard]] std::string log_level_name(core::LogLevel level);

}  // namespace lunkit::control

// SPDX-License-Identifier: Apache-2.0
#include "control/live_settings.hpp"

#include <fmt/format.h>

#include <filesystem>

#include "control/settings_table.hpp"

namespace lunkit::control {

std::string device_folder(const SettingsSource& source) {
    return std::filesystem::path(source.path).parent_path() / "devices.d";
}

SettingsResult load_settings(const SettingsSource& source) {
    SettingsResult settings = read_settings(source.path, source.when_missing);
    if (settings && source.log_level) {
        settings->log_level = *source.log_level;
    }
    if (settings && source.handler_dir) {
        settings->handler_dir = *source.handler_dir;
    }
    return settings;
}

LiveSettings::Applied LiveSettings::apply(const core::Settings& fresh) {
    Applied applied;
    for (const SettingKey& row : settings_table()) {
        const std::string before = row.print(current_);
        const std::string after = row.print(fresh);
        if (before == after) {
            continue;
        }
        std::string change =
            fmt::format("[{}] {}: '{}' -> '{}'", row.group, row.key, before, after);
        if (row.live) {
            row.copy(current_, fresh);
            applied.changed.push_back(std::move(change));
        } else {
            applied.need_restart.push_back(std::move(change));
        }
    }
    return applied;
}

}  // namespace lunkit::control

// SPDX-License-Identifier: Apache-2.0
// LiveSettings: the settings that count now, and how a reload changes them.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "control/settings_file.hpp"
#include "core/log.hpp"
#include "core/settings.hpp"

namespace lunkit::control {

/// Where settings come from. What the command line says wins over the file, also after a reload.
struct SettingsSource {
    std::string path;
    WhenMissing when_missing = WhenMissing::kDefaults;
    std::optional<core::LogLevel> log_level;
    std::optional<std::string> handler_dir;
};

/// Where devices are declared (device_files.hpp): devices.d beside the file.
[[nodiscard]] std::string device_folder(const SettingsSource& source);

/// What the source says now. Any thread; blocks as the file system of the file does.
[[nodiscard]] SettingsResult load_settings(const SettingsSource& source);

/// What a look at this machine says of settings that read well.
struct SettingsDoubts {
    SettingsErrors errors;           ///< no daemon starts with them
    std::vector<std::string> notes;  ///< one does, and makes do
};
/// Any thread; blocks as the file systems do that the settings name.
using ExamineSettings = std::function<SettingsDoubts(const core::Settings&)>;

class LiveSettings {
  public:
    explicit LiveSettings(core::Settings settings) : current_(std::move(settings)) {}

    /// Stays at its address; its values change in apply() only, on the loop thread.
    [[nodiscard]] const core::Settings& current() const { return current_; }

    struct Applied {
        std::vector<std::string> changed;       ///< "[group] key: old -> new"
        std::vector<std::string> need_restart;  ///< the same, and not applied
    };
    /// Loop thread. Takes over what may change in a running daemon.
    Applied apply(const core::Settings& fresh);

  private:
    core::Settings current_;
};

}  // namespace lunkit::control

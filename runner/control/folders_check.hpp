// SPDX-License-Identifier: Apache-2.0
// Whether the folders that the settings name are such that a daemon could start with them.
#pragma once

#include "control/live_settings.hpp"

namespace lunkit::control {

/// handler_dir as the handlers are loaded from it, run_dir, which the daemon makes if need be, and
/// allowed_dirs, which may come later.
[[nodiscard]] SettingsDoubts check_folders(const core::Settings& settings);

}  // namespace lunkit::control

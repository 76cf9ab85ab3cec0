// SPDX-License-Identifier: Apache-2.0
// Modules of the running kernel. Both calls block (they read /lib/modules); any thread. Their error
// is ENODEV where what the module is for cannot be had here, and everything else can
// (Service::start); the text says why. Another code is of something that may pass.
#pragma once

#include <string>

#include "lunkit/result.hpp"

namespace lunkit::core {

/// Whether the module is built in, loaded, or there to be loaded.
[[nodiscard]] Status find_kernel_module(const std::string& name);

/// Loads the module unless it is there already; a blacklist is respected. The error says why not,
/// without the module's name.
Status load_kernel_module(const std::string& name);

}  // namespace lunkit::core

// SPDX-License-Identifier: Apache-2.0
// Modules of the running kernel. Both calls block (they read /lib/modules); any thread.
#pragma once

#include <string>

#include "lunkit/result.hpp"

namespace lunkit::core {

/// Whether the module is built in, loaded, or there to be loaded. ENOENT: it is not.
[[nodiscard]] Status find_kernel_module(const std::string& name);

/// Loads the module unless it is there already; a blacklist is respected (EPERM). The error says
/// why not, without the module's name.
Status load_kernel_module(const std::string& name);

}  // namespace lunkit::core

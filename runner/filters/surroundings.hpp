// SPDX-License-Identifier: Apache-2.0
// What filters need of the daemon. Tests have their own.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "lunkit/result.hpp"

namespace lunkit::filters {

/// All of them: any thread.
struct Surroundings {
    /// Of a clock that nobody sets.
    std::function<std::chrono::nanoseconds()> now = [] {
        return std::chrono::duration_cast<std::chrono::nanoseconds>(
            std::chrono::steady_clock::now().time_since_epoch());
    };
    /// The daemon stops and a successor goes on with the device: nothing waits any more.
    std::function<bool()> handing_over = [] { return false; };
    /// What lines of the log call the device.
    std::function<std::string()> label = [] { return std::string(); };
    /// Blocks: whether there is such a file. EPERM: the daemon may not know.
    std::function<Result<bool>(const std::string& path)> file_exists =
        [](const std::string& /*path*/) -> Result<bool> { return false; };
};

}  // namespace lunkit::filters

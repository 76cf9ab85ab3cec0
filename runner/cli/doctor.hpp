// SPDX-License-Identifier: Apache-2.0
// doctor: what on this machine keeps devices from being made or served, each finding with its cure.
// Looks only; changes nothing, loads nothing, starts nothing.
#pragma once

#include <cerrno>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "cli/findings.hpp"
#include "lunkit/result.hpp"

namespace lunkit::cli {

/// Where to look. Tests give a machine of their own.
struct Patient {
    std::string root = {};  ///< before /proc, /sys, ...
    /// As core::find_kernel_module().
    std::function<Status(const std::string& module)> find_module;
    std::string own_version;
    /// What the daemon says of itself, or why it does not: as DaemonClient.
    struct Daemon {
        std::string version;
        std::vector<std::string> devices;   ///< names it serves, "user_<hba>/<dev>"
        std::vector<std::string> handlers;  ///< names
    };
    Result<Daemon> daemon = failure(ENOTCONN, "it was not asked");
};

[[nodiscard]] std::vector<Finding> examine(const Patient& patient);

}  // namespace lunkit::cli

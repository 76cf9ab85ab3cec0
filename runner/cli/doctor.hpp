// SPDX-License-Identifier: Apache-2.0
// doctor: what on this machine keeps devices from being made or served, each finding with its cure.
// Looks only; changes nothing, loads nothing, starts nothing.
#pragma once

#include <cerrno>
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "lunkit/result.hpp"

namespace lunkit::cli {

struct Finding {
    enum class Kind : std::uint8_t {
        kFine,
        kNote,     ///< nothing is wrong; somebody may want to know
        kTrouble,  ///< something does not work, or will not
    };
    Kind kind = Kind::kFine;
    std::string what;
    std::string cure = {};  ///< empty: none is needed
};

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

[[nodiscard]] bool has_trouble(const std::vector<Finding>& findings);
[[nodiscard]] std::string findings_report(const std::vector<Finding>& findings);
[[nodiscard]] nlohmann::json findings_json(const std::vector<Finding>& findings);

}  // namespace lunkit::cli

// SPDX-License-Identifier: Apache-2.0
// migrate: what of tcmu-runner's configuration holds for lunkit, and what has to be done. Looks
// only; changes nothing.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cli/findings.hpp"
#include "lunkit/result.hpp"

namespace lunkit::cli {

struct Predecessor {
    std::string tcmu_conf;                 ///< path; it need not be there
    std::vector<std::string> saveconfigs;  ///< paths: of the first that is there
    /// Whether there is a handler for a device's configuration, "<handler>/<rest>".
    std::function<bool(const std::string& config)> has_handler;
    /// What is wrong with it.
    std::function<Status(const std::string& config)> check;
};

[[nodiscard]] std::vector<Finding> compare(const Predecessor& predecessor);

}  // namespace lunkit::cli

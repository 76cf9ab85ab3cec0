// SPDX-License-Identifier: Apache-2.0
// What a look at this machine has found: for people and in JSON.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

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

[[nodiscard]] bool has_trouble(const std::vector<Finding>& findings);
[[nodiscard]] std::string findings_report(const std::vector<Finding>& findings);
[[nodiscard]] nlohmann::json findings_json(const std::vector<Finding>& findings);

}  // namespace lunkit::cli

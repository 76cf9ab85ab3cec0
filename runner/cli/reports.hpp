// SPDX-License-Identifier: Apache-2.0
// What lunkit prints for people, from answers in JSON.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "lunkit/facts.hpp"

namespace lunkit::cli {

[[nodiscard]] std::string devices_report(const nlohmann::json& devices);
/// Devices of the front end "dm-log".
[[nodiscard]] std::string dirty_logs_report(const nlohmann::json& logs);
[[nodiscard]] std::string regions_report(const nlohmann::json& runs);
[[nodiscard]] std::string device_report(const nlohmann::json& device);
[[nodiscard]] std::string handlers_report(const nlohmann::json& handlers);
[[nodiscard]] std::string stats_report(const nlohmann::json& devices);
[[nodiscard]] std::string facts_report(const Facts& facts);

[[nodiscard]] nlohmann::json facts_json(const Facts& facts);

/// The counters of a device with its name, for `stats --json`.
[[nodiscard]] nlohmann::json counters_of(const nlohmann::json& device);

/// Devices called `name`: the full name ("user_0/disk1"), or, if there is none, its last part.
[[nodiscard]] std::vector<nlohmann::json> find_devices(const nlohmann::json& devices,
                                                       const std::string& name);

}  // namespace lunkit::cli

// SPDX-License-Identifier: Apache-2.0
// The counters of devices as Prometheus reads them: OpenMetrics 1.0, the text format.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace lunkit::cli {

/// Of `devices` as the daemon lists them; ends with "# EOF". Labels: front_end, device.
[[nodiscard]] std::string openmetrics(const nlohmann::json& devices);

}  // namespace lunkit::cli

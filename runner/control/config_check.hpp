// SPDX-License-Identifier: Apache-2.0
// ConfigCheck: whether a device could be opened with a configuration string. What it says is the
// only diagnosis that a user of targetcli ever sees.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>

#include "control/blocking_calls.hpp"
#include "control/handler_catalog.hpp"
#include "lunkit/result.hpp"

namespace lunkit::control {

/// "<handler>/<rest>" as the ways through configfs and targetcli let it pass: at most 255 bytes
/// (TCMU_CONFIG_LEN); no ',' and no line break, which separate keys in `control`; no ':' and no
/// blank, at which rtslib ends the value when it reads it back to save it.
[[nodiscard]] Status check_config_string(std::string_view config);

class ConfigCheck {
  public:
    using Done = std::move_only_function<void(Status)>;

    /// Catalog and calls outlive it, the catalog also the running calls (BlockingCalls::running).
    ConfigCheck(const HandlerCatalog& handlers, BlockingCalls& calls,
                std::chrono::milliseconds limit)
        : handlers_(handlers), calls_(calls), limit_(limit) {}

    /// Loop thread. `done` comes from the loop, within the limit.
    void run(const std::string& config, bool syntax_only, Done done);

  private:
    const HandlerCatalog& handlers_;
    BlockingCalls& calls_;
    std::chrono::milliseconds limit_;
};

}  // namespace lunkit::control

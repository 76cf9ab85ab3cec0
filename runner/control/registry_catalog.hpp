// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "control/handler_catalog.hpp"
#include "host/handler_registry.hpp"

namespace lunkit::control {

/// The catalog of the plugins that were loaded. The registry outlives it.
class RegistryCatalog : public HandlerCatalog {
  public:
    explicit RegistryCatalog(const host::HandlerRegistry& registry) : registry_(registry) {}
    [[nodiscard]] std::vector<host::HandlerInfo> list() const override { return registry_.list(); }
    [[nodiscard]] Status check_config(const std::string& config, bool syntax_only) const override {
        return registry_.check_config(config, syntax_only);
    }

  private:
    const host::HandlerRegistry& registry_;
};

}  // namespace lunkit::control

// SPDX-License-Identifier: Apache-2.0
// HandlerCatalog: what the control side asks about handlers. The daemon gives it the registry of
// plugins (registry_catalog.hpp), tests a fake.
#pragma once

#include <string>
#include <vector>

#include "host/handler_registry.hpp"
#include "lunkit/result.hpp"

namespace lunkit::control {

class HandlerCatalog {
  public:
    virtual ~HandlerCatalog() = default;
    /// Loop thread; does not block.
    [[nodiscard]] virtual std::vector<host::HandlerInfo> list() const = 0;
    /// Any thread, several at once; may block for as long as storage does. The error is a sentence.
    /// syntax_only: nothing may be learnt about files.
    [[nodiscard]] virtual Status check_config(const std::string& config,
                                              bool syntax_only) const = 0;

    HandlerCatalog(const HandlerCatalog&) = delete;
    HandlerCatalog& operator=(const HandlerCatalog&) = delete;

  protected:
    HandlerCatalog() = default;
};

}  // namespace lunkit::control

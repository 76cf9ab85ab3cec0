// SPDX-License-Identifier: Apache-2.0
// What lunkit does with storage by itself: it loads the handler as the daemon does, and needs none.
#pragma once

#include <string>

#include "host/handler_registry.hpp"
#include "lunkit/facts.hpp"
#include "lunkit/result.hpp"

namespace lunkit::cli {

/// What the handler of `config` ("<handler>/<path or name>[;key=value]...") tells. Blocks.
/// `handler_dir`: empty: where they are installed.
[[nodiscard]] Result<Facts> inspect_storage(const std::string& handler_dir,
                                            const std::string& config, host::Inspection how);

}  // namespace lunkit::cli

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>

#include "control/glib_handle.hpp"

namespace lunkit::control {

/// Asks the bus which user sent `invocation`; `then` gets the answer from the loop, later, or
/// nothing when the bus does not say (the sender has gone). The bus policy lets only root call;
/// methods ask all the same, for a policy may have been changed by hand.
void with_caller(GDBusMethodInvocation* invocation,
                 std::move_only_function<void(std::optional<uid_t>)> then);

}  // namespace lunkit::control

// SPDX-License-Identifier: Apache-2.0
// Names of dm-user targets: the last word of a table line "user ... <name>". A name may have
// slashes, which make folders below /dev/dm-user.
#pragma once

#include <string>
#include <string_view>

#include "lunkit/result.hpp"

namespace lunkit::core {

/// The control node: "/dev/dm-user/<name>"
[[nodiscard]] std::string dm_user_node(std::string_view name);
/// The name in a name or a node. EINVAL: it is neither.
[[nodiscard]] Result<std::string> parse_dm_user_name(std::string_view text);

}  // namespace lunkit::core

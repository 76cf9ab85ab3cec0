// SPDX-License-Identifier: Apache-2.0
// Control nodes, /dev/dm-user/<name>: the last word of a table line "user ... <name>". A name may
// have slashes, which make folders.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "dm_user/channel.hpp"
#include "lunkit/result.hpp"
#include "lunkit/unique_fd.hpp"

namespace lunkit::dm_user {

/// "/dev/dm-user/<name>"
[[nodiscard]] std::string control_node(std::string_view name);
/// The name in a name or a node. EINVAL: it is neither.
[[nodiscard]] Result<std::string> parse_control_name(std::string_view text);
/// ENODEV: the kernel has no dm-user targets.
[[nodiscard]] Status find_dm_user();
/// Whether the node is there. ENOENT: it is not, and what to do about it.
[[nodiscard]] Status check_control_node(const std::string& name);
/// Who opens it has to read from it at once: as long as it is open, users of the target wait.
[[nodiscard]] Result<std::unique_ptr<Channel>> open_control_node(const std::string& name);
/// An open for nothing but that: to have users of the target wait.
[[nodiscard]] Result<UniqueFd> hold_control_node(const std::string& name);

}  // namespace lunkit::dm_user

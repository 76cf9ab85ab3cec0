// SPDX-License-Identifier: Apache-2.0
// Control nodes: by them a target is served.
#pragma once

#include <memory>
#include <string>

#include "core/file_identity.hpp"
#include "dm_user/channel.hpp"
#include "lunkit/result.hpp"
#include "lunkit/unique_fd.hpp"

namespace lunkit::dm_user {

/// ENODEV: the kernel has no dm-user targets.
[[nodiscard]] Status find_dm_user();
/// The node; of another target of the name it is another one. ENOENT: there is none, and what to do
/// about it.
[[nodiscard]] Result<core::FileIdentity> find_control_node(const std::string& name);
/// Of an open node: another target of the same name has another one.
[[nodiscard]] Result<core::FileIdentity> identity_of(const UniqueFd& node);
/// Who opens it has to read from it at once: as long as it is open, users of the target wait.
/// ENOTBLK: it is not `node` any more.
[[nodiscard]] Result<std::unique_ptr<Channel>> open_control_node(const std::string& name,
                                                                 const core::FileIdentity& node);
/// An open for nothing but that: to have users of the target wait.
[[nodiscard]] Result<UniqueFd> hold_control_node(const std::string& name);

}  // namespace lunkit::dm_user

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "lunkit/result.hpp"
#include "lunkit/unique_fd.hpp"

namespace lunkit::core {

/// The folder <run_dir>/<name>, made if it is missing, for this user alone: what lies in it was put
/// there by us. EPERM: it belongs to another user. Names below it are opened relative to the
/// descriptor, without following links.
[[nodiscard]] Result<UniqueFd> open_private_folder(const std::string& run_dir,
                                                   const std::string& name);

}  // namespace lunkit::core

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace lunkit::cli {

/// What a command ended in, as the daemon tells it, with the name of a sense key behind it:
/// "03/11/00 MEDIUM ERROR", "BUSY", "EIO".
[[nodiscard]] std::string error_text(const std::string& error);

}  // namespace lunkit::cli

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace lunkit::host {

/// `configured` unless it is empty; else <libdir>/lunkit as seen from the running executable, so
/// that an installation may be moved; else where it was to be installed.
[[nodiscard]] std::string handler_directory(const std::string& configured);

}  // namespace lunkit::host

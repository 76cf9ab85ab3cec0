// SPDX-License-Identifier: Apache-2.0
// The error that a system call has left in errno.
#pragma once

#include <cerrno>
#include <expected>
#include <string>
#include <string_view>
#include <system_error>

#include "lunkit/result.hpp"

namespace lunkit::core {

/// "<what>: <why>", by errno.
[[nodiscard]] inline std::unexpected<Error> system_failure(std::string_view what) {
    const int error = errno;
    return failure(error, std::string(what) + ": " + std::generic_category().message(error));
}

}  // namespace lunkit::core

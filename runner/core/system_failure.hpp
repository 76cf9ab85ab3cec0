// SPDX-License-Identifier: Apache-2.0
// The error that a system call has left in errno.
#pragma once

#include <cerrno>
#include <expected>
#include <string>
#include <system_error>

#include "lunkit/result.hpp"

namespace lunkit::core {

/// "<what>: <why>", by errno.
[[nodiscard]] inline std::unexpected<Error> system_failure(const std::string& what) {
    const int error = errno;
    return failure(error, what + ": " + std::generic_category().message(error));
}

}  // namespace lunkit::core

// SPDX-License-Identifier: Apache-2.0
// Results as types: a value, or an Error that a caller cannot overlook.
#pragma once

#include <cerrno>
#include <cstdint>
#include <expected>
#include <string>
#include <utility>

#include "lunkit/handler.h"

namespace lunkit {

/// Which part failed; see enum lunkit_error_class.
// NOLINTNEXTLINE(performance-enum-size): as wide as the ABI's field, which it is cast from
enum class ErrorClass : std::uint32_t {
    kUnspecified = LUNKIT_ERROR_UNSPECIFIED,
    kMedium = LUNKIT_ERROR_MEDIUM,
    kInternal = LUNKIT_ERROR_INTERNAL,
    kTransport = LUNKIT_ERROR_TRANSPORT,
    kZone = LUNKIT_ERROR_ZONE,
};

/// Why something failed. `what` is a sentence for people and may be empty on the data path, where
/// `code` says enough; an empty string allocates nothing.
struct Error {
    int code = EIO;                           ///< positive errno
    std::string what = {};                    ///< for people; no trailing dot
    std::uint64_t offset = LUNKIT_NO_OFFSET;  ///< bytes from the start of the request
    ErrorClass error_class = ErrorClass::kUnspecified;
    bool while_reading = false;  ///< compare_and_write: nothing had been written yet
};

template <typename T>
using Result = std::expected<T, Error>;
using Status = std::expected<void, Error>;

/// `return failure(EINVAL, "size is zero");`
[[nodiscard]] inline std::unexpected<Error> failure(int code, std::string what = {}) {
    return std::unexpected<Error>(Error{code, std::move(what)});
}

}  // namespace lunkit

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <expected>
#include <string>
#include <system_error>

#include <fmt/format.h>

#include "lunkit/handler.h"
#include "lunkit/result.hpp"

namespace lunkit::host {

/// The error of a call of `handler` that gave `status`: what the handler said, or else what its
/// errno says.
inline std::unexpected<Error> complaint(const lunkit_handler& handler, int status,
                                        const char* said) {
    return failure(-status, *said != '\0' ? std::string(said)
                                          : fmt::format("handler '{}': {}", handler.name,
                                                        std::generic_category().message(-status)));
}

}  // namespace lunkit::host

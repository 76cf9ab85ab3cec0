// SPDX-License-Identifier: Apache-2.0
// What a handler tells about storage (lunkit_handler.inspect), in the order in which it tells it.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace lunkit {

struct Fact {
    std::string key;  ///< lower case, '_' between words; bytes where no unit is named
    /// Texts may have any bytes: they come from inside an image.
    std::variant<std::string, std::uint64_t, bool, std::vector<std::string>> value;
};
using Facts = std::vector<Fact>;

}  // namespace lunkit

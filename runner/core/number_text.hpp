// SPDX-License-Identifier: Apache-2.0
// Numbers as people write them, in files and on command lines. An error says what the text is not.
#pragma once

#include <cstdint>
#include <limits>
#include <string_view>

#include "lunkit/result.hpp"
#include "lunkit/try.hpp"

namespace lunkit::core {

/// No file and no device is larger: offsets are signed to the kernel.
inline constexpr auto kMostBytes =
    static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());

/// Decimal, without a sign or a unit; zeros in front mean nothing.
Status parse_number(std::string_view text, std::uint64_t least, std::uint64_t most,
                    std::uint64_t& value);
/// `most` fits.
inline Status parse_number(std::string_view text, std::uint64_t least, std::uint64_t most,
                           std::uint32_t& value) {
    std::uint64_t number = 0;
    CHECK(parse_number(text, least, most, number));
    value = static_cast<std::uint32_t>(number);
    return {};
}

/// Bytes, or with K, M, G or T; from 1 to kMostBytes.
Status parse_size(std::string_view text, std::uint64_t& value);

}  // namespace lunkit::core

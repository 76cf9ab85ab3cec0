// SPDX-License-Identifier: Apache-2.0
// Values of filter keys as people write them. An error says what the text is not.
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

#include "lunkit/result.hpp"

namespace lunkit::filters {

/// A whole is so many parts: the smallest share is 0.0001 %.
inline constexpr std::uint32_t kWhole = 1'000'000;

/// `5ms`, `100us`, `2s`; at most an hour.
Result<std::chrono::nanoseconds> parse_duration(std::string_view text);
/// `1%`, `0.25%`; above 0 and up to 100%. Gives parts of kWhole.
Result<std::uint32_t> parse_share(std::string_view text);
/// on|off|yes|no|true|false|1|0
Result<bool> parse_switch(std::string_view text);

}  // namespace lunkit::filters

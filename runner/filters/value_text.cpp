// SPDX-License-Identifier: Apache-2.0
#include "filters/value_text.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <string>

#include "core/number_text.hpp"

namespace lunkit::filters {

Result<std::chrono::nanoseconds> parse_duration(std::string_view text) {
    constexpr std::chrono::nanoseconds kMost = std::chrono::hours(1);
    struct Unit {
        std::string_view suffix;
        std::chrono::nanoseconds one;
    };
    constexpr Unit kUnits[] = {{"us", std::chrono::microseconds(1)},
                               {"ms", std::chrono::milliseconds(1)},
                               {"s", std::chrono::seconds(1)}};
    for (const Unit& unit : kUnits) {
        if (!text.ends_with(unit.suffix)) {
            continue;
        }
        std::uint64_t count = 0;
        if (core::parse_number(text.substr(0, text.size() - unit.suffix.size()), 0,
                               static_cast<std::uint64_t>(kMost / unit.one), count)) {
            return unit.one * count;
        }
        break;
    }
    return failure(EINVAL, fmt::format("'{}' is no time such as 100us, 5ms or 2s, of at most "
                                       "3600s",
                                       text));
}

Result<std::uint32_t> parse_share(std::string_view text) {
    constexpr std::size_t kDigits = 4;  // behind the point
    constexpr std::uint64_t kPercent = kWhole / 100;
    const auto bad = [text] {
        return failure(EINVAL,
                       fmt::format("'{}' is no share such as 1% or 0.25%, of at most 100%", text));
    };
    if (!text.ends_with('%')) {
        return bad();
    }
    const std::string_view number = text.substr(0, text.size() - 1);
    const std::size_t point = number.find('.');
    std::uint64_t whole = 0;
    if (!core::parse_number(number.substr(0, point), 0, 100, whole)) {
        return bad();
    }
    std::uint64_t rest = 0;
    if (point != std::string_view::npos) {
        std::string digits(number.substr(point + 1));
        if (digits.empty() || digits.size() > kDigits) {
            return bad();
        }
        digits.resize(kDigits, '0');
        if (!core::parse_number(digits, 0, kPercent - 1, rest)) {
            return bad();
        }
    }
    const std::uint64_t share = whole * kPercent + rest;
    if (share == 0 || share > kWhole) {
        return bad();
    }
    return static_cast<std::uint32_t>(share);
}

Result<bool> parse_switch(std::string_view text) {
    if (text == "on" || text == "yes" || text == "true" || text == "1") {
        return true;
    }
    if (text == "off" || text == "no" || text == "false" || text == "0") {
        return false;
    }
    return failure(EINVAL, fmt::format("'{}' is neither on nor off", text));
}

}  // namespace lunkit::filters

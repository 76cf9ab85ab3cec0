// SPDX-License-Identifier: Apache-2.0
#include "core/number_text.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <charconv>
#include <system_error>

namespace lunkit::core {

Status parse_number(std::string_view text, std::uint64_t least, std::uint64_t most,
                    std::uint64_t& value) {
    const char* const end = text.data() + text.size();
    // NOLINTNEXTLINE(bugprone-suspicious-stringview-data-usage): the end is the next argument
    const auto [rest, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc() || rest != end || value < least || value > most) {
        return failure(EINVAL,
                       fmt::format("'{}' is not a number from {} to {}", text, least, most));
    }
    return {};
}

Status parse_size(std::string_view text, std::uint64_t& value) {
    constexpr std::string_view kUnits = "KMGT";
    constexpr unsigned kShift = 10;
    const std::size_t unit = text.empty() ? std::string_view::npos : kUnits.find(text.back());
    const bool has_unit = unit != std::string_view::npos;
    const auto shift = has_unit ? static_cast<unsigned>(unit + 1) * kShift : 0U;
    std::uint64_t number = 0;
    if (!parse_number(text.substr(0, text.size() - (has_unit ? 1 : 0)), 1, kMostBytes >> shift,
                      number)) {
        return failure(EINVAL, fmt::format("'{}' is no size: bytes, or with K, M, G or T", text));
    }
    value = number << shift;
    return {};
}

}  // namespace lunkit::core

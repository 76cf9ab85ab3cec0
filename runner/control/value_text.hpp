// SPDX-License-Identifier: Apache-2.0
// Values as they stand behind key= in a KeyFile. An error says what the value is not.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/number_text.hpp"
#include "lunkit/result.hpp"

namespace lunkit::control {

/// A word and what it means.
template <typename T>
using Word = std::pair<std::string_view, T>;

/// The first spelling of a value is the one that is printed.
inline constexpr std::array kBooleans = {
    Word<bool>{"yes", true},  Word<bool>{"no", false},  Word<bool>{"on", true},
    Word<bool>{"off", false}, Word<bool>{"true", true}, Word<bool>{"false", false},
};

template <typename Words, typename T>
Status parse_word(const Words& words, std::string_view text, T& value) {
    for (const auto& [word, meaning] : words) {
        if (word == text) {
            value = meaning;
            return {};
        }
    }
    std::vector<std::string_view> known;
    known.reserve(words.size());
    for (const auto& [word, meaning] : words) {
        known.push_back(word);
    }
    return failure(EINVAL, fmt::format("'{}' is none of {}", text, fmt::join(known, ", ")));
}

template <typename Words, typename T>
std::string print_word(const Words& words, T value) {
    const auto found =
        std::ranges::find_if(words, [&](const auto& w) { return w.second == value; });
    return found == words.end() ? std::string() : std::string(found->first);
}

using core::parse_number;
using core::parse_size;

}  // namespace lunkit::control

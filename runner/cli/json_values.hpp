// SPDX-License-Identifier: Apache-2.0
// Values of the daemon's answers. A daemon of another version may leave keys out, or give them
// another type; that is no reason to fail.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

namespace lunkit::cli {

[[nodiscard]] inline std::string text_of(const nlohmann::json& object, const char* key) {
    const auto item = object.find(key);
    return item != object.end() && item->is_string() ? item->get<std::string>() : std::string();
}
[[nodiscard]] inline std::uint64_t number_of(const nlohmann::json& object, const char* key) {
    const auto item = object.find(key);
    return item != object.end() && item->is_number_unsigned() ? item->get<std::uint64_t>() : 0;
}
[[nodiscard]] inline bool flag_of(const nlohmann::json& object, const char* key) {
    const auto item = object.find(key);
    return item != object.end() && item->is_boolean() && item->get<bool>();
}

}  // namespace lunkit::cli

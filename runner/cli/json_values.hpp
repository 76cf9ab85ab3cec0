// SPDX-License-Identifier: Apache-2.0
// Values of the daemon's answers. A daemon of another version may leave keys out, or give them
// another type; that is no reason to fail.
#pragma once

#include <cstdint>
#include <map>
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

/// What a device says of the latency of a class of commands: "read", "write" or "other".
[[nodiscard]] inline nlohmann::json latency_of(const nlohmann::json& device,
                                               const std::string& kind) {
    const auto item = device.find(kind + "_latency");
    return item != device.end() && item->is_object() ? *item : nlohmann::json::object();
}
/// An object of counts.
[[nodiscard]] inline std::map<std::string, std::uint64_t> counts_of(const nlohmann::json& object,
                                                                    const char* key) {
    std::map<std::string, std::uint64_t> counts;
    if (const auto item = object.find(key); item != object.end() && item->is_object()) {
        for (const auto& entry : item->items()) {
            if (entry.value().is_number_unsigned()) {
                counts.emplace(entry.key(), entry.value().get<std::uint64_t>());
            }
        }
    }
    return counts;
}

}  // namespace lunkit::cli

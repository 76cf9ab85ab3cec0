// SPDX-License-Identifier: Apache-2.0
// Structs that cross the plugin boundary begin with struct_size; a plugin's may be smaller or
// larger than ours. Only what both know is copied.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace lunkit::host {

/// What `from` holds of a T; the rest is zero.
template <typename T>
[[nodiscard]] T copy_in(const T* from) {
    T result{};
    std::memcpy(&result, from, std::min<std::size_t>(from->struct_size, sizeof(T)));
    return result;
}

/// Fills as much as `to` has room for, and keeps its struct_size.
template <typename T>
void copy_out(const T& from, T* to) {
    const std::uint32_t size = to->struct_size;
    std::memcpy(to, &from, std::min<std::size_t>(size, sizeof(T)));
    to->struct_size = size;
}

/// Puts a sentence where a caller wants it, cut to its room. `room` may be NULL.
inline void put_sentence(std::string_view sentence, char* room, std::size_t size) {
    if (room == nullptr || size == 0) {
        return;
    }
    const std::size_t length = std::min(size - 1, sentence.size());
    std::memcpy(room, sentence.data(), length);
    room[length] = '\0';
}

}  // namespace lunkit::host

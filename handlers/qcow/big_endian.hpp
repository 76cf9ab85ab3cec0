// SPDX-License-Identifier: Apache-2.0
// Numbers as qcow2 stores them: big endian, at any alignment.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace lunkit::qcow {

static_assert(std::endian::native == std::endian::little ||
              std::endian::native == std::endian::big);

template <std::unsigned_integral T>
[[nodiscard]] T load_be(const std::byte* from) {
    T value;
    std::memcpy(&value, from, sizeof value);
    if constexpr (std::endian::native == std::endian::little && sizeof(T) > 1) {
        value = std::byteswap(value);
    }
    return value;
}

template <std::unsigned_integral T>
void store_be(std::byte* to, T value) {
    if constexpr (std::endian::native == std::endian::little && sizeof(T) > 1) {
        value = std::byteswap(value);
    }
    std::memcpy(to, &value, sizeof value);
}

}  // namespace lunkit::qcow

// SPDX-License-Identifier: Apache-2.0
// Numbers as qcow2 stores them.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstring>
#include <type_traits>

namespace lunkit::qcow_rig {

template <std::unsigned_integral T>
T load_be(const std::byte* from) {
    T value{};
    std::memcpy(&value, from, sizeof value);
    return std::byteswap(value);
}

/// `store_be<std::uint32_t>(at, 3)`: the width is always said.
template <std::unsigned_integral T>
void store_be(std::byte* to, std::type_identity_t<T> value) {
    const T swapped = std::byteswap(value);
    std::memcpy(to, &swapped, sizeof swapped);
}

static_assert(std::endian::native == std::endian::little);

}  // namespace lunkit::qcow_rig

// SPDX-License-Identifier: Apache-2.0
// Counters of 2^order bits in a refcount block (qcow2.rst "Reference count structures"). Those
// narrower than a byte are packed from the least significant bit on.
#pragma once

#include <cstddef>
#include <cstdint>

#include "qcow/big_endian.hpp"

namespace lunkit::qcow {

[[nodiscard]] inline std::uint64_t max_refcount(std::uint32_t order) {
    return order == 6 ? UINT64_MAX : (1ULL << (1U << order)) - 1;
}

/// Counter `index` of the counters that begin at `block`.
[[nodiscard]] inline std::uint64_t load_refcount(const std::byte* block, std::uint32_t order,
                                                 std::uint64_t index) {
    switch (order) {
        case 3:
            return std::to_integer<std::uint8_t>(block[index]);
        case 4:
            return load_be<std::uint16_t>(block + index * 2);
        case 5:
            return load_be<std::uint32_t>(block + index * 4);
        case 6:
            return load_be<std::uint64_t>(block + index * 8);
        default: {
            const std::uint64_t bit = index << order;
            return (std::to_integer<std::uint64_t>(block[bit / 8]) >> (bit % 8)) &
                   max_refcount(order);
        }
    }
}

inline void store_refcount(std::byte* block, std::uint32_t order, std::uint64_t index,
                           std::uint64_t value) {
    switch (order) {
        case 3:
            block[index] = static_cast<std::byte>(value);
            return;
        case 4:
            store_be(block + index * 2, static_cast<std::uint16_t>(value));
            return;
        case 5:
            store_be(block + index * 4, static_cast<std::uint32_t>(value));
            return;
        case 6:
            store_be(block + index * 8, value);
            return;
        default: {
            const std::uint64_t bit = index << order;
            const auto mask = static_cast<std::byte>(max_refcount(order) << (bit % 8));
            const auto bits = static_cast<std::byte>(value << (bit % 8));
            block[bit / 8] = (block[bit / 8] & ~mask) | (bits & mask);
        }
    }
}

}  // namespace lunkit::qcow

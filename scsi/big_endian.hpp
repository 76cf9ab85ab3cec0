// SPDX-License-Identifier: Apache-2.0
// SCSI's numbers: most significant byte first. The caller has checked that the bytes are there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace lunkit::scsi {

[[nodiscard]] constexpr std::uint64_t get_be(std::span<const std::uint8_t> bytes,
                                             std::size_t width) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < width; ++i) {
        value = (value << 8) | bytes[i];
    }
    return value;
}
// Without a loop: compilers make one load and a swap of these.
[[nodiscard]] constexpr std::uint16_t get_be16(std::span<const std::uint8_t> bytes) {
    return static_cast<std::uint16_t>(bytes[0] << 8U | bytes[1]);
}
[[nodiscard]] constexpr std::uint32_t get_be24(std::span<const std::uint8_t> bytes) {
    return std::uint32_t{bytes[0]} << 16U | std::uint32_t{bytes[1]} << 8U | bytes[2];
}
[[nodiscard]] constexpr std::uint32_t get_be32(std::span<const std::uint8_t> bytes) {
    return std::uint32_t{bytes[0]} << 24U | std::uint32_t{bytes[1]} << 16U |
           std::uint32_t{bytes[2]} << 8U | bytes[3];
}
[[nodiscard]] constexpr std::uint64_t get_be64(std::span<const std::uint8_t> bytes) {
    return std::uint64_t{get_be32(bytes)} << 32U | get_be32(bytes.subspan(4));
}

constexpr void put_be(std::span<std::uint8_t> bytes, std::uint64_t value, std::size_t width) {
    for (std::size_t i = width; i-- > 0;) {
        bytes[i] = static_cast<std::uint8_t>(value);
        value >>= 8;
    }
}
constexpr void put_be16(std::span<std::uint8_t> bytes, std::uint16_t value) {
    put_be(bytes, value, 2);
}
constexpr void put_be24(std::span<std::uint8_t> bytes, std::uint32_t value) {
    put_be(bytes, value, 3);
}
constexpr void put_be32(std::span<std::uint8_t> bytes, std::uint32_t value) {
    put_be(bytes, value, 4);
}
constexpr void put_be64(std::span<std::uint8_t> bytes, std::uint64_t value) {
    put_be(bytes, value, 8);
}

}  // namespace lunkit::scsi

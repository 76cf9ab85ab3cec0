// SPDX-License-Identifier: Apache-2.0
// A qcow2 header in memory that is right until a test spoils it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "qcow/big_endian.hpp"
#include "qcow/header.hpp"

namespace lunkit::qcow {

class ImageBytes {
  public:
    static constexpr std::uint64_t kCluster = 65536;
    /// Version 3, 64 KiB clusters, 1 GiB; L1 table in cluster 3, refcount table in cluster 1.
    ImageBytes() : bytes_(4 * kCluster) {
        put32(0, kMagic);
        put32(4, 3);
        put32(20, 16);
        put64(24, 1ULL << 30U);
        put32(36, 2);
        put64(40, 3 * kCluster);
        put64(48, 1 * kCluster);
        put32(56, 1);
        put32(96, 4);
        put32(100, 104);
    }
    ImageBytes& put8(std::size_t at, std::uint8_t value) {
        bytes_[at] = std::byte{value};
        return *this;
    }
    ImageBytes& put16(std::size_t at, std::uint16_t value) {
        store_be(&bytes_[at], value);
        return *this;
    }
    ImageBytes& put32(std::size_t at, std::uint32_t value) {
        store_be(&bytes_[at], value);
        return *this;
    }
    ImageBytes& put64(std::size_t at, std::uint64_t value) {
        store_be(&bytes_[at], value);
        return *this;
    }
    ImageBytes& put_text(std::size_t at, std::string_view text) {
        for (std::size_t i = 0; i < text.size(); ++i) {
            bytes_[at + i] = static_cast<std::byte>(text[i]);
        }
        return *this;
    }
    /// A header extension; gives the place behind it.
    std::size_t extension(std::size_t at, std::uint32_t type, std::string_view data) {
        put32(at, type).put32(at + 4, static_cast<std::uint32_t>(data.size()));
        put_text(at + 8, data);
        return at + 8 + (data.size() + 7) / 8 * 8;
    }
    [[nodiscard]] Result<Header> parse() const { return parse_header(bytes_, bytes_.size()); }
    /// What is wrong with it, or "".
    [[nodiscard]] std::string why() const {
        const Result<Header> header = parse();
        return header ? "" : header.error().what;
    }
    std::vector<std::byte>& bytes() { return bytes_; }

  private:
    std::vector<std::byte> bytes_;
};

}  // namespace lunkit::qcow

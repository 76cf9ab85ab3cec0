// SPDX-License-Identifier: Apache-2.0
// What the targets read their input with, and how they say that something is wrong.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

namespace lunkit::fuzz {

/// The input, byte by byte; zeros behind its end.
class Script {
  public:
    explicit Script(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}
    [[nodiscard]] bool empty() const { return bytes_.empty(); }
    std::uint8_t byte() {
        if (bytes_.empty()) {
            return 0;
        }
        const std::uint8_t first = bytes_.front();
        bytes_ = bytes_.subspan(1);
        return first;
    }
    std::uint16_t word() {
        const std::uint8_t low = byte();
        return static_cast<std::uint16_t>(low | byte() << 8);
    }
    void fill(std::span<std::byte> to) {
        const std::size_t count = std::min(to.size(), bytes_.size());
        std::ranges::copy(std::as_bytes(bytes_.first(count)), to.begin());
        bytes_ = bytes_.subspan(count);
    }

  private:
    std::span<const std::uint8_t> bytes_;
};

/// The fuzzer takes it for a crash.
inline void must(bool condition) {
    if (!condition) {
        std::abort();
    }
}

}  // namespace lunkit::fuzz

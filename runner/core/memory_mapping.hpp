// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include "lunkit/result.hpp"

namespace lunkit::core {

/// Owns an mmap()ed range; unmaps it when it goes.
class MemoryMapping {
  public:
    MemoryMapping() = default;
    MemoryMapping(MemoryMapping&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
    MemoryMapping& operator=(MemoryMapping&& other) noexcept {
        if (this != &other) {
            release();
            bytes_ = std::exchange(other.bytes_, {});
        }
        return *this;
    }
    MemoryMapping(const MemoryMapping&) = delete;
    MemoryMapping& operator=(const MemoryMapping&) = delete;
    ~MemoryMapping() { release(); }

    /// All of what `fd` offers from offset 0, shared, readable and writable. `what` names it in the
    /// error.
    static Result<MemoryMapping> of_file(int fd, std::size_t size, std::string_view what);
    /// What it offers from `offset` on, readable only.
    static Result<MemoryMapping> of_file_read_only(int fd, std::uint64_t offset, std::size_t size,
                                                   std::string_view what);
    /// Zeroed memory that takes no page before it is touched.
    static Result<MemoryMapping> anonymous(std::size_t size);

    [[nodiscard]] std::span<std::byte> bytes() const { return bytes_; }

  private:
    static Result<MemoryMapping> of_file(int fd, std::uint64_t offset, std::size_t size,
                                         std::string_view what, int protection);
    void release();
    std::span<std::byte> bytes_;
};

}  // namespace lunkit::core

// SPDX-License-Identifier: Apache-2.0
// Memory for I/O: buffers that are kept for the next request, and a page of zeros to write from.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

namespace lunkit::host {

inline constexpr std::size_t kPageSize = 4096;

/// Aligned to a page; nullptr when there is none.
[[nodiscard]] void* allocate_pages(std::size_t size);
void release_pages(void* memory);

/// Buffers of one size. A few are kept, so that the steady state allocates nothing. Any thread.
class BufferPool {
  public:
    explicit BufferPool(std::size_t size, std::size_t kept = 4) : size_(size), kept_(kept) {}

    struct Giver {
        BufferPool* pool;
        void operator()(std::byte* memory) const { pool->give_back(memory); }
    };
    using Buffer = std::unique_ptr<std::byte[], Giver>;

    /// Empty when there is no memory.
    [[nodiscard]] Buffer take();
    [[nodiscard]] std::size_t size() const { return size_; }

    BufferPool(const BufferPool&) = delete;
    BufferPool& operator=(const BufferPool&) = delete;
    BufferPool(BufferPool&&) = delete;
    BufferPool& operator=(BufferPool&&) = delete;
    ~BufferPool();

  private:
    void give_back(std::byte* memory);
    const std::size_t size_;
    const std::size_t kept_;
    std::mutex mutex_;
    std::vector<std::byte*> free_;
};

/// Zeros, aligned to a page; nobody writes there. Not const because iovec is not.
inline constexpr std::size_t kZeroesSize = 256U << 10U;
[[nodiscard]] std::span<std::byte> zeroes();

}  // namespace lunkit::host

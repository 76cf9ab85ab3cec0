// SPDX-License-Identifier: Apache-2.0
#include "host/io_memory.hpp"

#include <cstdlib>

namespace lunkit::host {

void* allocate_pages(std::size_t size) {
    const std::size_t whole = (size + kPageSize - 1) / kPageSize * kPageSize;
    return whole < size ? nullptr : std::aligned_alloc(kPageSize, whole);
}

void release_pages(void* memory) {
    std::free(memory);
}

BufferPool::Buffer BufferPool::take() {
    {
        const std::lock_guard hold(mutex_);
        if (!free_.empty()) {
            std::byte* memory = free_.back();
            free_.pop_back();
            return Buffer(memory, Giver{this});
        }
    }
    return Buffer(static_cast<std::byte*>(allocate_pages(size_)), Giver{this});
}

void BufferPool::give_back(std::byte* memory) {
    {
        const std::lock_guard hold(mutex_);
        if (free_.size() < kept_) {
            free_.reserve(kept_);
            free_.push_back(memory);
            return;
        }
    }
    release_pages(memory);
}

BufferPool::~BufferPool() {
    for (std::byte* memory : free_) {
        release_pages(memory);
    }
}

std::span<std::byte> zeroes() {
    alignas(kPageSize) static std::array<std::byte, kZeroesSize> zeros{};
    return zeros;
}

}  // namespace lunkit::host

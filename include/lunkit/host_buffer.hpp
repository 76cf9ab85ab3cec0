// SPDX-License-Identifier: Apache-2.0
// HostBuffer: memory for I/O from the host, aligned as direct I/O asks for (lunkit_host::allocate).
// Belongs to one thread at a time; the host must outlive it.
#pragma once

#include <cerrno>
#include <cstddef>
#include <span>
#include <utility>

#include "lunkit/handler.h"
#include "lunkit/result.hpp"

namespace lunkit {

class HostBuffer {
  public:
    HostBuffer() = default;
    /// ENOMEM when there is none. The content is not initialised.
    static Result<HostBuffer> allocate(const lunkit_host& host, std::size_t size) {
        HostBuffer buffer;
        buffer.memory_ = static_cast<std::byte*>(host.allocate(size));
        if (buffer.memory_ == nullptr) {
            return failure(ENOMEM);
        }
        buffer.host_ = &host;
        buffer.size_ = size;
        return buffer;
    }
    HostBuffer(HostBuffer&& other) noexcept
        : host_(other.host_),
          memory_(std::exchange(other.memory_, nullptr)),
          size_(std::exchange(other.size_, 0)) {}
    HostBuffer& operator=(HostBuffer&& other) noexcept {
        std::swap(host_, other.host_);
        std::swap(memory_, other.memory_);
        std::swap(size_, other.size_);
        return *this;
    }
    HostBuffer(const HostBuffer&) = delete;
    HostBuffer& operator=(const HostBuffer&) = delete;
    ~HostBuffer() {
        if (memory_ != nullptr) {
            host_->release(memory_, size_);
        }
    }

    [[nodiscard]] std::byte* data() const { return memory_; }
    [[nodiscard]] std::size_t size() const { return size_; }
    [[nodiscard]] std::span<std::byte> span() const { return {memory_, size_}; }

  private:
    const lunkit_host* host_ = nullptr;
    std::byte* memory_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace lunkit

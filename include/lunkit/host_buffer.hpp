// SPDX-License-Identifier: Apache-2.0
// Buffer: memory for I/O from the host, aligned to a page.
#pragma once

#include <cerrno>
#include <cstddef>
#include <span>
#include <utility>

#include "lunkit/handler.h"
#include "lunkit/result.hpp"

namespace lunkit::qcow {

class Buffer {
  public:
    Buffer() = default;
    /// ENOMEM when there is none. The content is not initialised.
    static Result<Buffer> allocate(const lunkit_host& host, std::size_t size) {
        Buffer buffer;
        buffer.memory_ = static_cast<std::byte*>(host.allocate(size));
        if (buffer.memory_ == nullptr) {
            return failure(ENOMEM);
        }
        buffer.host_ = &host;
        buffer.size_ = size;
        return buffer;
    }
    Buffer(Buffer&& other) noexcept
        : host_(other.host_),
          memory_(std::exchange(other.memory_, nullptr)),
          size_(std::exchange(other.size_, 0)) {}
    Buffer& operator=(Buffer&& other) noexcept {
        std::swap(host_, other.host_);
        std::swap(memory_, other.memory_);
        std::swap(size_, other.size_);
        return *this;
    }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    ~Buffer() {
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

}  // namespace lunkit::qcow

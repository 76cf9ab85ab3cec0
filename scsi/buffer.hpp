// SPDX-License-Identifier: Apache-2.0
// Buffer: memory of the unit's own for I/O (compare, repeat a pattern), page aligned so that
// O_DIRECT takes it. Its size follows what an initiator asks for, hence it may be refused: then the
// command ends BUSY.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <span>

namespace lunkit::scsi {

/// The most that one command takes at a time; longer ranges go in pieces.
inline constexpr std::size_t kMaxBufferSize = std::size_t{256} << 10U;

class Buffer {
  public:
    explicit Buffer(std::size_t size)
        : memory_(static_cast<std::byte*>(
              std::aligned_alloc(kAlignment, (size + kAlignment - 1) & ~(kAlignment - 1)))),
          size_(size) {}

    /// False: there was no memory.
    explicit operator bool() const { return memory_ != nullptr; }
    [[nodiscard]] std::span<std::byte> bytes() { return {memory_.get(), size_}; }

  private:
    static constexpr std::size_t kAlignment = 4096;
    struct Free {
        void operator()(std::byte* memory) const { std::free(memory); }
    };
    std::unique_ptr<std::byte, Free> memory_;
    std::size_t size_;
};

}  // namespace lunkit::scsi

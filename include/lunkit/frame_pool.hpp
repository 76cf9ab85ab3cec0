// SPDX-License-Identifier: Apache-2.0
// Memory for coroutine frames: free lists by size, one set per thread, so that a request in the
// steady state allocates nothing. A frame is freed on the thread that made it (a Task never leaves
// its queue). Sanitizer builds go to the heap each time, so that a frame used after its end shows.
#pragma once

#include <array>
#include <cstddef>
#include <new>

namespace lunkit {

class FramePool {
  public:
    FramePool() = default;
    FramePool(const FramePool&) = delete;
    FramePool& operator=(const FramePool&) = delete;
    FramePool(FramePool&&) = delete;
    FramePool& operator=(FramePool&&) = delete;
    ~FramePool() {
        for (Block*& list : free_) {
            while (list != nullptr) {
                Block* block = list;
                list = block->next;
                ::operator delete(block);
            }
        }
    }

    /// The calling thread's pool. Hidden: each plugin has its own, whatever it was built with.
    [[gnu::visibility("hidden")]] static FramePool& local() {
        if (local_ == nullptr) [[unlikely]] {
            make_local();
        }
        return *local_;
    }

    [[nodiscard]] void* allocate(std::size_t size) {
        const std::size_t index = (size - 1) / kStep;
        if (index >= kClasses) {
            return ::operator new(size);
        }
        if (Block* block = free_[index]; block != nullptr) {
            free_[index] = block->next;
            return block;
        }
        return ::operator new((index + 1) * kStep);
    }

#pragma GCC diagnostic push
// Inlined where a frame ends, g++ 12 takes the promise's operator new for another kind than ours.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
    void release(void* memory, std::size_t size) noexcept {
        const std::size_t index = (size - 1) / kStep;
        if (!kPooled || index >= kClasses) {
            ::operator delete(memory);
            return;
        }
        auto* block = static_cast<Block*>(memory);
        block->next = free_[index];
        free_[index] = block;
    }
#pragma GCC diagnostic pop

  private:
    [[gnu::visibility("hidden"), gnu::noinline]] static void make_local() {
        static thread_local FramePool pool;
        local_ = &pool;
    }

#if defined(__SANITIZE_ADDRESS__)
    static constexpr bool kPooled = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
    static constexpr bool kPooled = false;
#else
    static constexpr bool kPooled = true;
#endif
#else
    static constexpr bool kPooled = true;
#endif
    static constexpr std::size_t kStep = 64;     // bytes between two size classes
    static constexpr std::size_t kClasses = 64;  // frames above 4 KiB go to the heap

    struct Block {
        Block* next;
    };
    std::array<Block*, kClasses> free_{};

    // A word that needs no guard. Not of the initial-exec model, which would save plugins a call
    // into the loader: then all that they keep for each thread takes of the little that the loader
    // has left for plugins, and some few of them fill it.
    [[gnu::visibility("hidden")]] static inline constinit thread_local FramePool* local_ = nullptr;
};

}  // namespace lunkit

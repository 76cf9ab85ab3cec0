// SPDX-License-Identifier: Apache-2.0
#include "support/counted_new.hpp"

#include <cstdlib>
#include <new>

namespace lunkit::test {

constinit std::atomic<std::size_t> allocations{0};

}  // namespace lunkit::test

void* operator new(std::size_t size) {
    lunkit::test::allocations.fetch_add(1, std::memory_order_relaxed);
    if (void* memory = std::malloc(size); memory != nullptr) {
        return memory;
    }
    std::abort();
}
// NOLINTBEGIN(clang-analyzer-cplusplus.NewDelete): this is the allocator
void operator delete(void* memory) noexcept {
    std::free(memory);
}
void operator delete(void* memory, std::size_t /*size*/) noexcept {
    std::free(memory);
}
// NOLINTEND(clang-analyzer-cplusplus.NewDelete)

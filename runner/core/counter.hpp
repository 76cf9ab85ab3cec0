// SPDX-License-Identifier: Apache-2.0
// Counters that one thread writes and anybody reads.
#pragma once

#include <atomic>
#include <cstdint>

namespace lunkit::core {

/// Single writer: no locked instruction.
inline void count(std::atomic<std::uint64_t>& counter, std::uint64_t more = 1) {
    counter.store(counter.load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
}

}  // namespace lunkit::core

// SPDX-License-Identifier: Apache-2.0
// TimerHeap: timers by due time (of those due at the same time, the one added first). One thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/record_pool.hpp"
#include "lunkit/handler.h"

namespace lunkit::core {

using TimePoint = std::chrono::steady_clock::time_point;

class TimerHeap {
  public:
    struct Timer {
        TimePoint due;
        std::uint64_t number = 0;  // of timers added before it
        std::size_t place = 0;     // in heap_
        lunkit_completion* completion = nullptr;
        Timer* next = nullptr;  // RecordPool's
    };

    [[nodiscard]] bool empty() const { return heap_.empty(); }
    /// The next to be due; not when empty().
    [[nodiscard]] TimePoint next_due() const { return heap_.front()->due; }

    Timer* add(TimePoint due, lunkit_completion* completion);
    /// Takes it out and gives its completion; `timer` is gone.
    lunkit_completion* remove(Timer* timer);
    /// Takes out a timer that is due at `now`; nullptr when there is none.
    lunkit_completion* pop_due(TimePoint now);

  private:
    [[nodiscard]] static bool earlier(const Timer& a, const Timer& b) {
        return a.due != b.due ? a.due < b.due : a.number < b.number;
    }
    void put(Timer* timer, std::size_t place);
    void sift_up(std::size_t place);
    void sift_down(std::size_t place);

    std::vector<Timer*> heap_;  // binary, the earliest first
    RecordPool<Timer> records_;
    std::uint64_t added_ = 0;
};

}  // namespace lunkit::core

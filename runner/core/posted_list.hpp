// SPDX-License-Identifier: Apache-2.0
// PostedList: completions that any thread hands to the loop, in the order of their arrival. The
// links are in the completions: nothing is allocated.
#pragma once

#include <atomic>

#include "core/completion_mark.hpp"
#include "lunkit/handler.h"

namespace lunkit::core {

class PostedList {
  public:
    /// Any thread.
    void push(lunkit_completion* completion) {
        lunkit_completion* newest = newest_.load(std::memory_order_relaxed);
        do {
            mark(completion, WaitsFor::kNothing, newest);
        } while (!newest_.compare_exchange_weak(newest, completion, std::memory_order_seq_cst,
                                                std::memory_order_relaxed));
    }
    /// seq_cst, as push(): see QueueCore::sleep().
    [[nodiscard]] bool empty() const { return newest_.load(std::memory_order_seq_cst) == nullptr; }

    /// The loop's thread: everything that is there, oldest first; go on with next().
    [[nodiscard]] lunkit_completion* take_all() {
        lunkit_completion* newest = newest_.exchange(nullptr, std::memory_order_acquire);
        lunkit_completion* oldest = nullptr;
        while (newest != nullptr) {
            lunkit_completion* older = next(newest);
            mark(newest, WaitsFor::kNothing, oldest);
            oldest = newest;
            newest = older;
        }
        return oldest;
    }
    [[nodiscard]] static lunkit_completion* next(const lunkit_completion* completion) {
        return marked_record<lunkit_completion>(completion);
    }

  private:
    std::atomic<lunkit_completion*> newest_{nullptr};
};

}  // namespace lunkit::core

// SPDX-License-Identifier: Apache-2.0
// RigQueue: the event loop under a handler in the rig. What is ready runs in an order drawn from a
// seed, so a seed replays a run; some things stay behind for long, so that whole sequences of
// others overtake them. Time passes only when nothing else can happen. Any thread may submit (open
// and close of a handler run on a thread of their own); one thread turns it.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <mutex>
#include <random>
#include <vector>

#include "lunkit/handler.h"

namespace lunkit::qcow_rig {

class RigQueue {
  public:
    explicit RigQueue(std::uint64_t seed) : random_(seed) {}

    static RigQueue& of(lunkit_queue* handle) { return *reinterpret_cast<RigQueue*>(handle); }
    [[nodiscard]] lunkit_queue* handle() { return reinterpret_cast<lunkit_queue*>(this); }

    /// Runs something that is ready, or the timer that is due first. False: nothing is left.
    bool step() {
        Entry chosen{};
        {
            const std::lock_guard lock(mutex_);
            if (!take(chosen)) {
                return false;
            }
        }
        if (chosen.function != nullptr) {
            chosen.completion->result = chosen.function(chosen.argument);
        }
        chosen.completion->done(chosen.completion);
        return true;
    }

    int offload(std::int64_t (*function)(void*), void* argument, lunkit_completion* completion) {
        const std::lock_guard lock(mutex_);
        ready_.push_back({completion, function, argument, steps_ + delay()});
        return LUNKIT_PENDING;
    }
    void post(lunkit_completion* completion) {
        const std::lock_guard lock(mutex_);
        ready_.push_back({completion, nullptr, nullptr, 0});
    }
    int timer(std::uint64_t nanoseconds, lunkit_completion* completion) {
        const std::lock_guard lock(mutex_);
        timers_.push_back({completion, nullptr, nullptr, now_ + nanoseconds});
        return LUNKIT_PENDING;
    }
    void cancel(lunkit_completion* completion) {
        const std::lock_guard lock(mutex_);
        const auto removed = std::erase_if(
            timers_, [completion](const Entry& entry) { return entry.completion == completion; });
        if (removed > 0) {
            completion->result = -ECANCELED;
            ready_.push_back({completion, nullptr, nullptr, 0});
        }
    }

  private:
    struct Entry {
        lunkit_completion* completion;
        std::int64_t (*function)(void*);
        void* argument;
        std::uint64_t due;  // ready_: a step; timers_: a time
    };
    /// In steps: mostly none.
    std::uint64_t delay() {
        constexpr std::uint64_t kOneIn = 8;
        constexpr std::uint64_t kLongest = 100;
        return random_() % kOneIn == 0 ? random_() % kLongest : 0;
    }
    bool take(Entry& chosen) {
        ++steps_;
        if (!ready_.empty()) {
            const auto end = std::partition(ready_.begin(), ready_.end(),
                                            [this](const Entry& e) { return e.due <= steps_; });
            const auto due = end - ready_.begin();
            const auto position =
                due > 0
                    ? ready_.begin() +
                          static_cast<std::ptrdiff_t>(random_() % static_cast<std::uint64_t>(due))
                    : std::ranges::min_element(ready_, {}, &Entry::due);
            chosen = *position;
            ready_.erase(position);
            return true;
        }
        if (timers_.empty()) {
            return false;
        }
        const auto first = std::ranges::min_element(timers_, {}, &Entry::due);
        chosen = *first;
        chosen.completion->result = 0;
        now_ = std::max(now_, chosen.due);
        timers_.erase(first);
        return true;
    }

    std::mutex mutex_;
    std::vector<Entry> ready_;
    std::vector<Entry> timers_;
    std::uint64_t now_ = 0;
    std::uint64_t steps_ = 0;
    std::mt19937_64 random_;
};

}  // namespace lunkit::qcow_rig

// SPDX-License-Identifier: Apache-2.0
// FakeQueue: a Queue whose test decides when, and in which order, completions run. Nothing happens
// by itself: what was submitted waits until the test says run_one(), run_all(), advance() or
// make_ready(). Time is a number that only advance() moves; offloaded work runs on the test's
// thread at the moment its completion is chosen.
//
//   FakeQueue queue;
//   queue.shuffle();                       // optional: any order, from a printed seed
//   start_two_writes(queue);               // both pending
//   queue.run_one();                       // one of them ends
//   queue.advance(5s);                     // its timeout fires: ready, not yet run
//   queue.run_all();
//
// One thread, except post(), which any thread may call.
#pragma once

#include <poll.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <iostream>
#include <iterator>
#include <mutex>
#include <optional>
#include <random>
#include <vector>

#include "lunkit/handler.h"
#include "lunkit/queue.hpp"

namespace lunkit::test {

class FakeQueue final : public Queue {
  public:
    using Nanoseconds = std::chrono::nanoseconds;

    FakeQueue() = default;
    FakeQueue(const FakeQueue&) = delete;
    FakeQueue& operator=(const FakeQueue&) = delete;
    FakeQueue(FakeQueue&&) = delete;
    FakeQueue& operator=(FakeQueue&&) = delete;
    ~FakeQueue() override = default;

    /// The queue behind handle(), for fake host calls.
    static FakeQueue& of(lunkit_queue* handle) { return *reinterpret_cast<FakeQueue*>(handle); }
    [[nodiscard]] lunkit_queue* handle() override { return reinterpret_cast<lunkit_queue*>(this); }

    // What the test decides.

    /// From now on run_one() takes any of the ready completions instead of the oldest. The seed
    /// comes from the environment's LUNKIT_SEED, else it is a new one; it is printed either way.
    void shuffle() {
        // NOLINTNEXTLINE(concurrency-mt-unsafe): nobody sets the environment of a test
        const char* given = std::getenv("LUNKIT_SEED");
        shuffle(given != nullptr ? std::strtoull(given, nullptr, 0) : std::random_device{}());
    }
    void shuffle(std::uint64_t seed) {
        std::cout << "FakeQueue: order from LUNKIT_SEED=" << seed << '\n';
        order_.emplace(seed);
    }

    /// Completions that could run now.
    [[nodiscard]] std::size_t ready() const {
        const std::lock_guard lock(mutex_);
        return ready_.size();
    }
    /// Everything submitted that has not completed: ready, timers, polls.
    [[nodiscard]] std::size_t pending() const { return ready() + timers_.size() + polls_.size(); }
    [[nodiscard]] std::size_t timers() const { return timers_.size(); }
    [[nodiscard]] std::size_t polls() const { return polls_.size(); }

    /// Runs one ready completion; false when there is none.
    bool run_one() {
        const std::size_t count = ready();
        if (count == 0) {
            return false;
        }
        const std::size_t chosen =
            order_ ? std::uniform_int_distribution<std::size_t>(0, count - 1)(*order_) : 0;
        return run_at(chosen);
    }
    /// Runs the ready completion `index`, 0 being the oldest.
    bool run_at(std::size_t index) {
        std::unique_lock lock(mutex_);
        if (index >= ready_.size()) {
            return false;
        }
        const auto position = ready_.begin() + static_cast<std::ptrdiff_t>(index);
        const Ready chosen = *position;
        ready_.erase(position);
        lock.unlock();
        if (chosen.function != nullptr) {
            chosen.completion->result = chosen.function(chosen.argument);
        }
        chosen.completion->done(chosen.completion);
        return true;
    }
    /// Runs until nothing is ready (timers that are not due stay); how many it ran.
    std::size_t run_all() {
        std::size_t count = 0;
        while (run_one()) {
            ++count;
        }
        return count;
    }
    /// run_one(), or when nothing is ready moves the time to the next timer and runs that. False
    /// when there is neither: whoever still waits would wait for ever.
    bool step() {
        if (run_one()) {
            return true;
        }
        if (timers_.empty()) {
            return false;
        }
        advance(next_timer()->due - now_);
        return run_one();
    }

    [[nodiscard]] Nanoseconds now() const { return now_; }
    /// Moves the time; timers that become due are ready in the order of their times, not run.
    void advance(Nanoseconds duration) {
        now_ += duration;
        while (!timers_.empty() && next_timer()->due <= now_) {
            const auto due = next_timer();
            finish(due->completion, 0);
            timers_.erase(due);
        }
    }

    /// Polls of `fd` that ask for one of `events` (or: error, hang-up) are ready with these.
    void make_ready(int fd, std::uint32_t events) {
        for (auto poll = polls_.begin(); poll != polls_.end();) {
            const std::uint32_t seen = events & (poll->events | POLLERR | POLLHUP | POLLNVAL);
            if (poll->fd == fd && seen != 0) {
                finish(poll->completion, seen);
                poll = polls_.erase(poll);
            } else {
                ++poll;
            }
        }
    }
    /// Asks the kernel, without waiting, which pending polls have events: for real descriptors.
    void look_at_descriptors() {
        const std::vector<Poll> asked = polls_;
        for (const Poll& poll : asked) {
            pollfd entry{poll.fd, static_cast<short>(poll.events), 0};
            if (::poll(&entry, 1, 0) > 0) {
                make_ready(poll.fd, static_cast<std::uint16_t>(entry.revents));
            }
        }
    }

    // Queue.

    int submit_timer(std::uint64_t nanoseconds, lunkit_completion* completion) override {
        timers_.push_back({now_ + Nanoseconds(nanoseconds), completion});
        return LUNKIT_PENDING;
    }
    int submit_poll(int fd, std::uint32_t events, lunkit_completion* completion) override {
        polls_.push_back({fd, events, completion});
        return LUNKIT_PENDING;
    }
    int submit_offload(const void* /*lane*/, std::int64_t (*function)(void*), void* argument,
                       lunkit_completion* completion) override {
        const std::lock_guard lock(mutex_);
        ready_.push_back({completion, function, argument});
        return LUNKIT_PENDING;
    }
    void cancel(lunkit_completion* completion) override {
        const auto is_it = [completion](const auto& entry) {
            return entry.completion == completion;
        };
        if (std::erase_if(timers_, is_it) + std::erase_if(polls_, is_it) > 0) {
            finish(completion, -ECANCELED);
        }
    }
    void post(lunkit_completion* completion) override {
        const std::lock_guard lock(mutex_);
        ready_.push_back({completion, nullptr, nullptr});
    }

  private:
    struct Ready {
        lunkit_completion* completion;
        std::int64_t (*function)(void*);  // offloaded work that runs first, or nullptr
        void* argument;
    };
    struct Timer {
        Nanoseconds due;
        lunkit_completion* completion;
    };
    struct Poll {
        int fd;
        std::uint32_t events;
        lunkit_completion* completion;
    };

    void finish(lunkit_completion* completion, std::int64_t result) {
        completion->result = result;
        post(completion);
    }
    /// The earliest; of several at the same time the one submitted first.
    [[nodiscard]] std::vector<Timer>::iterator next_timer() {
        return std::min_element(timers_.begin(), timers_.end(),
                                [](const Timer& a, const Timer& b) { return a.due < b.due; });
    }

    mutable std::mutex mutex_;  // ready_ only
    std::deque<Ready> ready_;
    std::vector<Timer> timers_;
    std::vector<Poll> polls_;
    Nanoseconds now_{0};
    std::optional<std::mt19937_64> order_;
};

}  // namespace lunkit::test

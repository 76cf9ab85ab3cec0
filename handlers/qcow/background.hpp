// SPDX-License-Identifier: Apache-2.0
// Background: the manners of work that goes on beside the requests of a device: it gives way to
// them, and ends before its owner does.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>

#include "lunkit/queue.hpp"
#include "lunkit/range_lock.hpp"
#include "lunkit/result.hpp"
#include "lunkit/task.hpp"

namespace lunkit::qcow {

class Background {
  public:
    /// `requests`: held by the device's requests while they run; outlives this.
    explicit Background(const RangeLock& requests) : requests_(requests) {}

    /// Between two small steps, on the queue's thread: lets requests run, and rests now and then
    /// while there are some. ECANCELED: it is to end.
    Task<Status> rest(Queue& queue) {
        constexpr std::uint64_t kBurst = 16;  // steps
        constexpr std::chrono::milliseconds kRest(1);
        if (++steps_ % kBurst == 0 && !requests_.empty()) {
            (void)co_await queue.sleep(kRest);
        } else {
            (void)co_await queue.yield();
        }
        co_return stopping_.load() ? Status{failure(ECANCELED)} : Status{};
    }

    /// On the queue's thread, before another try of what has failed. ECANCELED: it is to end.
    Task<Status> pause(Queue& queue, std::chrono::seconds time) {
        constexpr std::chrono::milliseconds kStep(50);  // so long stop() may wait
        for (std::chrono::milliseconds slept(0); slept < time && !stopping_.load();
             slept += kStep) {
            (void)co_await queue.sleep(kStep);
        }
        co_return stopping_.load() ? Status{failure(ECANCELED)} : Status{};
    }
    /// On the queue's thread: the next rest() or pause() says that it is to end.
    void cancel() { stopping_.store(true); }

    // On the queue's thread. When end() is called, nothing of the owner is used any more.
    void begin() {
        const std::lock_guard lock(mutex_);
        running_ = true;
    }
    void end() {
        const std::lock_guard lock(mutex_);
        running_ = false;
        ended_.notify_all();
    }
    /// Another thread than the queue's, which runs; blocks until the work has ended, if there is
    /// any: for a few steps.
    void stop() {
        stopping_.store(true);
        std::unique_lock lock(mutex_);
        ended_.wait(lock, [this] { return !running_; });
    }

  private:
    const RangeLock& requests_;
    std::uint64_t steps_ = 0;
    std::atomic<bool> stopping_{false};
    std::mutex mutex_;
    std::condition_variable ended_;
    bool running_ = false;
};

}  // namespace lunkit::qcow

// SPDX-License-Identifier: Apache-2.0
// CountedCalls: calls onto worker threads that are waited for at the end. A step of a service goes
// on behind its word that the service has stopped; what it works on must not go before it. As the
// last member of a class it goes first, while the others are still there. Any thread.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <utility>

#include "core/posted_call.hpp"
#include "core/worker_pool.hpp"

namespace lunkit::core {

class CountedCalls {
  public:
    CountedCalls() = default;
    CountedCalls(const CountedCalls&) = delete;
    CountedCalls& operator=(const CountedCalls&) = delete;
    CountedCalls(CountedCalls&&) = delete;
    CountedCalls& operator=(CountedCalls&&) = delete;
    ~CountedCalls() { wait(); }

    /// Blocks until all have ended.
    void wait() {
        std::unique_lock lock(mutex_);
        ended_.wait(lock, [this] { return running_ == 0; });
    }

    /// As call_in_worker(). A call counts until what it holds is gone.
    void in_worker(WorkerPool& workers, const void* lane, std::move_only_function<void()> call) {
        {
            const std::lock_guard lock(mutex_);
            ++running_;
        }
        call_in_worker(workers, lane, [this, call = std::move(call)]() mutable {
            call();
            call = nullptr;
            const std::lock_guard lock(mutex_);
            --running_;
            ended_.notify_all();
        });
    }

  private:
    std::mutex mutex_;
    std::condition_variable ended_;
    std::size_t running_ = 0;
};

}  // namespace lunkit::core

// SPDX-License-Identifier: Apache-2.0
// QueueCaller: lets a thread of its own have tasks run on a queue, one at a time, and waits for
// each. Allocates nothing but the tasks' frames.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <utility>

#include "lunkit/queue.hpp"
#include "lunkit/result.hpp"
#include "lunkit/task.hpp"

namespace lunkit::dm_user {

class QueueCaller {
  public:
    /// The queue's loop runs, on another thread, and outlives it.
    explicit QueueCaller(Queue& queue) : queue_(queue) {}
    QueueCaller(const QueueCaller&) = delete;
    QueueCaller& operator=(const QueueCaller&) = delete;
    QueueCaller(QueueCaller&&) = delete;
    QueueCaller& operator=(QueueCaller&&) = delete;
    ~QueueCaller() = default;

    /// `make(queue)` is called on the queue's thread and gives a Task<Status>.
    template <typename Make>
    Status run(Make make) {
        struct Call : lunkit_completion {
            QueueCaller* caller = nullptr;
            Make* make = nullptr;
        };
        Call call;
        call.caller = this;
        call.make = &make;
        call.done = [](lunkit_completion* completion) {
            const Call& self = *static_cast<Call*>(completion);
            drive(*self.caller, (*self.make)(self.caller->queue_));
        };
        queue_.post(&call);
        std::unique_lock lock(mutex_);
        ended_.wait(lock, [this] { return outcome_.has_value(); });
        return *std::exchange(outcome_, std::nullopt);
    }

  private:
    static Detached drive(QueueCaller& caller, Task<Status> task) {
        std::optional<Status> outcome;
        {
            const Task<Status> running = std::move(task);  // its frame goes on this thread
            outcome = co_await running;
        }
        const std::lock_guard lock(caller.mutex_);
        caller.outcome_ = std::move(outcome);
        caller.ended_.notify_one();
    }

    Queue& queue_;
    std::mutex mutex_;
    std::condition_variable ended_;
    std::optional<Status> outcome_;
};

}  // namespace lunkit::dm_user

// SPDX-License-Identifier: Apache-2.0
// QueueCall: work that belongs on a queue's thread, asked for by a thread that waits for it.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <utility>

#include "lunkit/handler.h"
#include "lunkit/handler.hpp"
#include "lunkit/queue.hpp"
#include "lunkit/task.hpp"

namespace lunkit::qcow {

/// `Start`: called on the queue's thread as start(Queue&), gives a Task<T>.
template <typename T, typename Start>
class QueueCall : private lunkit_completion {
  public:
    /// `host` and `queue` outlive this; `queue` runs.
    QueueCall(const lunkit_host& host, lunkit_queue* queue, Start start)
        : lunkit_completion{}, host_(host), queue_(queue), start_(std::move(start)) {
        done = [](lunkit_completion* completion) { serve(*static_cast<QueueCall*>(completion)); };
    }
    /// Any thread but the queue's, once; blocks until the task has ended.
    T run() {
        host_.post(queue_, this);
        std::unique_lock lock(mutex_);
        ended_.wait(lock, [this] { return result_.has_value(); });
        return std::move(*result_);
    }

  private:
    static Detached serve(QueueCall& call) {
        HostQueue queue(call.host_, call.queue_);
        T result = co_await call.start_(queue);
        const std::lock_guard lock(call.mutex_);
        call.result_ = std::move(result);
        call.ended_.notify_one();
    }

    const lunkit_host& host_;
    lunkit_queue* const queue_;
    Start start_;
    std::mutex mutex_;
    std::condition_variable ended_;
    std::optional<T> result_;
};

template <typename T, typename Start>
T call_on(const lunkit_host& host, lunkit_queue* queue, Start start) {
    return QueueCall<T, Start>(host, queue, std::move(start)).run();
}

}  // namespace lunkit::qcow

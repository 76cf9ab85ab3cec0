// SPDX-License-Identifier: Apache-2.0
// WaitingThread: a thread that may block (a worker) waits for what coroutines wait for: a lock, a
// range. It is the Queue of one coroutine, with completions and nothing else.
//
//   WaitingThread waiting;
//   waiting.run(lock_it(waiting));      // a Task<void>; what it awaits may be released anywhere
#pragma once

#include <cerrno>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

#include "lunkit/handler.h"
#include "lunkit/queue.hpp"
#include "lunkit/task.hpp"

namespace lunkit::host {

class WaitingThread final : public Queue {
  public:
    WaitingThread() = default;
    WaitingThread(const WaitingThread&) = delete;
    WaitingThread& operator=(const WaitingThread&) = delete;
    WaitingThread(WaitingThread&&) = delete;
    WaitingThread& operator=(WaitingThread&&) = delete;
    ~WaitingThread() override = default;

    /// Returns when the task has ended.
    void run(Task<void> task) {
        bool ended = false;
        drive(std::move(task), ended);
        while (!ended) {
            std::unique_lock lock(mutex_);
            posted_one_.wait(lock, [this] { return !posted_.empty(); });
            const std::vector<lunkit_completion*> ready = std::exchange(posted_, {});
            lock.unlock();
            for (lunkit_completion* completion : ready) {
                completion->done(completion);
            }
        }
    }

    void post(lunkit_completion* completion) override {
        const std::lock_guard lock(mutex_);
        posted_.push_back(completion);
        posted_one_.notify_one();
    }
    [[nodiscard]] lunkit_queue* handle() override { return nullptr; }
    int submit_timer(std::uint64_t /*nanoseconds*/, lunkit_completion* /*completion*/) override {
        return -EOPNOTSUPP;
    }
    int submit_poll(int /*fd*/, std::uint32_t /*events*/,
                    lunkit_completion* /*completion*/) override {
        return -EOPNOTSUPP;
    }
    int submit_offload(const void* /*lane*/, std::int64_t (* /*function*/)(void*),
                       void* /*argument*/, lunkit_completion* /*completion*/) override {
        return -EOPNOTSUPP;
    }
    void cancel(lunkit_completion* /*completion*/) override {}

  private:
    static Detached drive(Task<void> task, bool& ended) {
        Task<void> running = std::move(task);
        co_await running;
        ended = true;
    }

    std::mutex mutex_;
    std::condition_variable posted_one_;
    std::vector<lunkit_completion*> posted_;
};

}  // namespace lunkit::host

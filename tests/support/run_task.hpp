// SPDX-License-Identifier: Apache-2.0
// Runs a Task to its end and gives what it returns.
//
//   Status status = run_task(queue, device.write(queue, io));     // FakeQueue, or an engine's
//   queue Status status = run_task_on(running, [&](Queue& queue) { return device.flush(queue); });
//
// run_task() turns the loop on the calling thread. run_task_on() is for a queue whose loop runs on
// a thread of its own (a QueueSet's): the task is made, and runs, over there.
#pragma once

#include <condition_variable>
#include <cstdlib>
#include <iostream>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>

#include "lunkit/handler.h"
#include "lunkit/queue.hpp"
#include "lunkit/task.hpp"

namespace lunkit::test {

namespace detail {

/// Stands in for void where a value is kept.
struct Nothing {};
template <typename T>
using Kept = std::conditional_t<std::is_void_v<T>, Nothing, T>;

/// Starts `task`; when it ends, keeps its value in `kept` and calls finished().
template <typename T, typename Finished>
Detached drive(Task<T> task, std::optional<Kept<T>>& kept, Finished finished) {
    {
        Task<T> running = std::move(task);  // its frame goes before finished() is called
        if constexpr (std::is_void_v<T>) {
            co_await running;
            kept.emplace();
        } else {
            T value = co_await running;
            kept.emplace(std::move(value));
        }
    }
    finished();
}

template <typename T>
T unwrap(std::optional<Kept<T>>& kept) {
    if constexpr (!std::is_void_v<T>) {
        return std::move(*kept);
    }
}

/// Tells a waiting thread that something has ended; may go as soon as wait() returns.
class Ended {
  public:
    void set() {
        const std::lock_guard lock(mutex_);
        set_ = true;
        changed_.notify_one();
    }
    void wait() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return set_; });
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool set_ = false;
};

/// A completion that calls `call` once, on the queue's thread.
template <typename Call>
struct Posted : lunkit_completion {
    explicit Posted(Call function) : lunkit_completion{}, call(std::move(function)) {
        done = [](lunkit_completion* completion) { static_cast<Posted*>(completion)->call(); };
    }
    Call call;
};

}  // namespace detail

/// On a FakeQueue, steps until the task has ended (timers fire at once, in order); a task that
/// waits for something nobody will complete ends the test program with a message. On an engine's
/// queue, runs its loop and stops it when the task has ended.
template <typename QueueType, typename T>
T run_task(QueueType& queue, Task<T> task) {
    std::optional<detail::Kept<T>> kept;
    if constexpr (requires { queue.step(); }) {
        detail::drive(std::move(task), kept, [] {});
        while (!kept) {
            if (!queue.step()) {
                std::cerr << "run_task: the task waits, and nothing is left that could wake it ("
                          << queue.polls() << " polls pending)\n";
                std::abort();
            }
        }
    } else {
        detail::Posted start(
            [&] { detail::drive(std::move(task), kept, [&queue] { queue.stop(); }); });
        queue.post(&start);
        queue.run();
    }
    return detail::unwrap<T>(kept);
}

/// `make(queue)` gives the Task. Blocks the calling thread, which must not be the queue's.
template <typename QueueType, typename Make>
auto run_task_on(QueueType& queue, Make make) {
    using T = decltype(std::declval<decltype(make(queue))>().operator co_await().await_resume());
    std::optional<detail::Kept<T>> kept;
    detail::Ended ended;
    detail::Posted start([&] { detail::drive(make(queue), kept, [&ended] { ended.set(); }); });
    queue.post(&start);
    ended.wait();
    return detail::unwrap<T>(kept);
}

}  // namespace lunkit::test

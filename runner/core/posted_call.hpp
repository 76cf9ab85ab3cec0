// SPDX-License-Identifier: Apache-2.0
// Calls that cross threads: onto a queue's thread, and onto a worker. For the control path; each
// allocates.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>

#include "core/worker_pool.hpp"
#include "lunkit/handler.h"
#include "lunkit/queue.hpp"

namespace lunkit::core {

/// Any thread: `call` runs once, later, on the queue's thread.
inline void call_on(Queue& queue, std::move_only_function<void()> call) {
    struct Posted : lunkit_completion {
        explicit Posted(std::move_only_function<void()> to_call)
            : lunkit_completion{}, function(std::move(to_call)) {}
        std::move_only_function<void()> function;
    };
    auto* posted = new Posted(std::move(call));  // deletes itself when it is called
    posted->done = [](lunkit_completion* completion) {
        auto* self = static_cast<Posted*>(completion);
        self->function();
        delete self;
    };
    queue.post(posted);
}

/// Any thread: `call` runs once on a worker thread and may block. See WorkerPool for `lane`.
inline void call_in_worker(WorkerPool& workers, const void* lane,
                           std::move_only_function<void()> call) {
    struct Job {
        WorkerPool::Work work;
        std::move_only_function<void()> function;
    };
    auto* job = new Job{{}, std::move(call)};  // deleted when the pool has finished with it
    job->work.function = [](void* argument) -> std::int64_t {
        static_cast<Job*>(argument)->function();
        return 0;
    };
    job->work.argument = job;
    job->work.finished = [](WorkerPool::Work* work) { delete static_cast<Job*>(work->argument); };
    workers.submit(lane, &job->work);
}

}  // namespace lunkit::core

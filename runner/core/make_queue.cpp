// SPDX-License-Identifier: Apache-2.0
#include "core/make_queue.hpp"

#include <chrono>
#include <memory>
#include <utility>

#include "core/log.hpp"
#include "core/threads_queue.hpp"
#include "core/uring_queue.hpp"

namespace lunkit::core {

Result<std::unique_ptr<EngineQueue>> make_queue(EngineChoice engine, WorkerPool& pool,
                                                std::chrono::microseconds spin,
                                                const UringAttempt& make_uring) {
    if (engine == EngineChoice::kThreads) {
        return ThreadsQueue::create(pool, spin);
    }
    auto queue = make_uring(pool, spin);
    if (queue) {
        return queue;
    }
    Error error = std::move(queue.error());
    if (engine == EngineChoice::kUring) {
        return failure(error.code, "io_uring cannot be used: " + error.what);
    }
    log(LogLevel::kNotice, {}, "io_uring cannot be used: {}; using epoll and worker threads",
        error.what);
    return ThreadsQueue::create(pool, spin);
}

Result<std::unique_ptr<EngineQueue>> make_queue(EngineChoice engine, WorkerPool& pool,
                                                std::chrono::microseconds spin) {
    return make_queue(engine, pool, spin,
                      [](WorkerPool& workers, std::chrono::microseconds longest_spin) {
                          return UringQueue::create(workers, longest_spin);
                      });
}

}  // namespace lunkit::core

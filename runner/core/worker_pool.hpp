// SPDX-License-Identifier: Apache-2.0
// WorkerPool: threads for what can only block. Work belongs to a lane (a file, a device); a lane
// has a bounded number of calls running, the rest wait in its own line. So one stuck file occupies
// its own share of the workers and nobody else's.
//
// Threads are made when work finds none idle, up to the sum of what the busy lanes may use, and go
// after a while without work. Any thread may call.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "lunkit/handler.h"

namespace lunkit::core {

class WorkerPool {
  public:
    /// One piece of work, owned by the caller until `finished` is called (on the worker thread).
    struct Work {
        std::int64_t (*function)(void* argument) = nullptr;
        void* argument = nullptr;
        std::int64_t result = 0;
        void (*finished)(Work* work) = nullptr;
        const void* lane = nullptr;  // the pool's
        Work* next = nullptr;        // the pool's
    };

    /// `lane_width`: calls of one lane at a time. `idle`: a thread without work for so long goes.
    explicit WorkerPool(std::size_t lane_width = 8,
                        std::chrono::milliseconds idle = std::chrono::seconds(10));
    WorkerPool(const WorkerPool&) = delete;
    WorkerPool& operator=(const WorkerPool&) = delete;
    WorkerPool(WorkerPool&&) = delete;
    WorkerPool& operator=(WorkerPool&&) = delete;
    /// Waits for running work; work still waiting is run first.
    ~WorkerPool();

    /// Runs work->function(work->argument). Should no thread at all be possible, it runs here.
    void submit(const void* lane, Work* work);
    /// Threads there are now.
    [[nodiscard]] std::size_t threads() const;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace lunkit::core

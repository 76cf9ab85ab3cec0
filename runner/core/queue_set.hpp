// SPDX-License-Identifier: Apache-2.0
// QueueSet: the daemon's queues, one thread each, as many as cores; devices are spread over them.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/engine_queue.hpp"
#include "core/worker_pool.hpp"
#include "lunkit/result.hpp"

namespace lunkit::core {

class QueueSet {
  public:
    struct Threads {
        std::string name = "lunkit-q";  ///< of a thread, less its number; 13 characters at most
        std::function<void()> prepare;  ///< the first thing that each of them does; may be empty
    };
    /// Starts the threads. `count` 0: one per core that the process may use.
    static Result<std::unique_ptr<QueueSet>> start(EngineChoice engine, unsigned count,
                                                   std::chrono::microseconds spin,
                                                   const Threads& threads);
    static Result<std::unique_ptr<QueueSet>> start(EngineChoice engine, unsigned count,
                                                   std::chrono::microseconds spin) {
        return start(engine, count, spin, Threads());
    }
    QueueSet(const QueueSet&) = delete;
    QueueSet& operator=(const QueueSet&) = delete;
    QueueSet(QueueSet&&) = delete;
    QueueSet& operator=(QueueSet&&) = delete;
    /// Stops and joins. No device may be left on a queue.
    ~QueueSet();

    /// Any thread: the queue with the fewest devices; release() when the device has gone.
    EngineQueue& assign();
    void release(EngineQueue& queue);
    [[nodiscard]] std::size_t size() const;
    [[nodiscard]] EngineQueue& at(std::size_t index);
    [[nodiscard]] WorkerPool& workers();

  private:
    QueueSet();
    struct Member;
    std::unique_ptr<WorkerPool> pool_;
    std::vector<std::unique_ptr<Member>> members_;  // does not change after start()
    std::mutex mutex_;                              // for how many devices each member has
};

}  // namespace lunkit::core

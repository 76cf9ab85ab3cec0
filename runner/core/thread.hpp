// SPDX-License-Identifier: Apache-2.0
// Thread: a named thread of the data path, as a type that joins.
#pragma once

#include <pthread.h>

#include <functional>
#include <string>

#include "lunkit/result.hpp"

namespace lunkit::core {

class Thread {
  public:
    Thread() = default;
    /// Runs `body` on a new thread called `name` (the kernel keeps 15 characters). All signals but
    /// those that a fault of its own raises (SIGBUS, ...) are blocked there: the control thread
    /// takes the others.
    static Result<Thread> start(const std::string& name, std::function<void()> body);
    Thread(Thread&& other) noexcept;
    Thread& operator=(Thread&& other) noexcept;
    Thread(const Thread&) = delete;
    Thread& operator=(const Thread&) = delete;
    /// Joins.
    ~Thread();
    void join();

  private:
    pthread_t handle_{};
    bool joinable_ = false;
};

/// CPUs that this process may use (sched_getaffinity), at least 1.
[[nodiscard]] unsigned usable_cpus();

}  // namespace lunkit::core

// SPDX-License-Identifier: Apache-2.0
// ServingThread: a thread that another can wake from a wait in the kernel, which then ends with
// EINTR. Reading from a control node is such a wait, and nothing else ends it: it cannot be polled.
#pragma once

#include <pthread.h>

#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "core/thread.hpp"
#include "lunkit/result.hpp"

namespace lunkit::dm_user {

class ServingThread {
  public:
    /// Runs `body` on a new thread; see core::Thread. The first one takes SIGURG for the process,
    /// which does nothing else with it.
    static Result<ServingThread> start(const std::string& name, std::function<void()> body);

    /// Any thread: ends a wait that has begun. Does nothing once the body has ended.
    void interrupt() const;

  private:
    struct State {
        std::mutex mutex;
        pthread_t handle{};
        bool is_running = false;  // in the body
    };
    std::shared_ptr<State> state_;
    core::Thread thread_;
};

}  // namespace lunkit::dm_user

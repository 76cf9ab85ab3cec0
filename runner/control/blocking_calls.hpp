// SPDX-License-Identifier: Apache-2.0
// BlockingCalls: runs what may wait for storage on threads of its own, so that the loop never does,
// and answers in time whatever the storage does.
//
// Calls belong to a lane (a handler's name); a lane has a few threads at a time and the rest of its
// calls wait. So a handler whose storage hangs uses up its own lane, and nobody else's. A thread
// that hangs is left behind; it ends when the kernel lets it.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "lunkit/result.hpp"

namespace lunkit::control {

class BlockingCalls {
  public:
    using Work = std::move_only_function<Status()>;
    using Done = std::move_only_function<void(Status)>;

    /// `lane_width`: threads of one lane; `lane_depth`: calls of it that may wait for one.
    explicit BlockingCalls(std::size_t lane_width = 4, std::size_t lane_depth = 64);
    BlockingCalls(const BlockingCalls&) = delete;
    BlockingCalls& operator=(const BlockingCalls&) = delete;
    BlockingCalls(BlockingCalls&&) = delete;
    BlockingCalls& operator=(BlockingCalls&&) = delete;
    /// Ends what is open with ECANCELED and waits for nobody; see running().
    ~BlockingCalls();

    struct Limit {
        std::chrono::milliseconds after;
        std::string message;  ///< of the error
    };
    /// Loop thread. `work` runs on a thread; `done` is called once, from the loop, later: with what
    /// work returned, or with ETIMEDOUT and the limit's message, or with EBUSY when the lane is
    /// full. What `work` captures must live for as long as it runs, even past the limit: own it,
    /// or see running().
    void run(const std::string& lane, Limit limit, Work work, Done done);

    /// Any thread: calls that run now. Those left when the process ends still use what their work
    /// refers to: the process must then end without destroying that (_exit).
    [[nodiscard]] std::size_t running() const;

  private:
    struct Call;
    struct State;
    std::shared_ptr<State> state_;
};

}  // namespace lunkit::control

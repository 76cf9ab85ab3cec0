// SPDX-License-Identifier: Apache-2.0
// ControlLoop: the thread on which TCMU's control side runs. It waits for one descriptor (netlink),
// for calls from other threads and for times; what it runs never waits for storage.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "lunkit/result.hpp"
#include "lunkit/unique_fd.hpp"

namespace lunkit::tcmu {

class ControlLoop {
  public:
    using Call = std::move_only_function<void()>;
    using TimerId = std::uint64_t;

    /// The way in for other threads. It outlives the loop: what is posted after the end is dropped
    /// (destroyed on the thread that posts).
    class Inbox {
      public:
        Inbox(const Inbox&) = delete;
        Inbox& operator=(const Inbox&) = delete;
        /// Any thread.
        void post(Call call);

      private:
        friend ControlLoop;
        explicit Inbox(UniqueFd event) : event_(std::move(event)) {}
        std::mutex mutex_;
        std::vector<Call> calls_;  // under mutex_
        bool closed_ = false;      // under mutex_
        UniqueFd event_;           // eventfd; readable: something was posted
    };

    static Result<std::unique_ptr<ControlLoop>> make();
    ControlLoop(const ControlLoop&) = delete;
    ControlLoop& operator=(const ControlLoop&) = delete;
    ControlLoop(ControlLoop&&) = delete;
    ControlLoop& operator=(ControlLoop&&) = delete;
    /// stop()s.
    ~ControlLoop();

    /// Begins; `readable` is called whenever `fd` is. fd -1: nothing to wait for.
    void start(int fd, std::function<void()> readable);
    /// Ends the thread after the call it is in, and closes the inbox. Not from the loop itself.
    void stop();
    [[nodiscard]] const std::shared_ptr<Inbox>& inbox() const { return inbox_; }

    // On the loop's thread.

    /// Runs `call` once after `delay`.
    TimerId after(std::chrono::milliseconds delay, Call call);
    /// It will not run; an id that has run is fine.
    void cancel(TimerId id);
    /// Waits for the descriptor no more.
    void forget_descriptor() { fd_ = -1; }

  private:
    using Time = std::chrono::steady_clock::time_point;

    explicit ControlLoop(std::shared_ptr<Inbox> inbox) : inbox_(std::move(inbox)) {}
    void run(const std::stop_token& stop);
    void run_posted();
    void run_due();
    [[nodiscard]] int timeout() const;

    std::shared_ptr<Inbox> inbox_;
    int fd_ = -1;
    std::function<void()> readable_;
    std::map<std::pair<Time, TimerId>, Call> timers_;
    TimerId last_timer_ = 0;
    std::jthread thread_;
};

}  // namespace lunkit::tcmu

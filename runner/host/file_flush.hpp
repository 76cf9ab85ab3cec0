// SPDX-License-Identifier: Apache-2.0
// FlushState: when a file needs fdatasync, and what it means when that fails.
//
// An fdatasync costs a round trip to the disk even with nothing dirty, so: one that has nothing to
// do is skipped, and callers that come while one runs share the next one. "Nothing to do" is
// counted: every write that completes advances a number; a flush that begins at number n and
// succeeds makes everything up to n durable.
//
// A failed fdatasync is the end. The kernel reports a lost write once per open file and marks the
// page clean, so that the next fdatasync succeeds although data is gone. The first failure is
// therefore latched: every later flush and FUA write fails until the file is opened again. A FUA
// write that fails is none yet: it is written and flushed once more, plainly, and only if that
// flush fails is it latched.
//
// Any thread: a file may be used from several queues.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>

#include "lunkit/handler.h"
#include "lunkit/queue.hpp"

namespace lunkit::host {

class FlushState {
  public:
    /// What enter() completes with, if not -errno.
    enum Verdict : std::int64_t { kDurable = 0, kLead = 1 };

    /// One flush; its place is in the caller's frame.
    class Turn {
      public:
        Turn(FlushState& state, Queue& queue)
            : state_(state), queue_(queue), epoch_(state.written_.load()) {}
        Turn(const Turn&) = delete;
        Turn& operator=(const Turn&) = delete;
        Turn(Turn&&) = delete;
        Turn& operator=(Turn&&) = delete;
        ~Turn() = default;

        /// Waits for its turn. kDurable: nothing left to do. kLead: the caller makes the fdatasync
        /// and then calls finish(). -EIO: latched.
        auto enter() {
            return Operation(
                [this](lunkit_completion* completion) { return state_.enter(*this, completion); });
        }
        /// The result of the fdatasync, 0 or -errno (and latched already), goes to everybody whom
        /// it covers. Gives what this flush comes to.
        int finish(int result) { return state_.finish(*this, result); }

      private:
        friend FlushState;
        FlushState& state_;
        Queue& queue_;
        std::uint64_t epoch_;  // what it has to make durable
        lunkit_completion* waiter_ = nullptr;
        Turn* next_ = nullptr;
    };

    /// Something that is not yet durable has completed. Before it is told to the caller.
    void wrote() { written_.fetch_add(1); }
    [[nodiscard]] bool failed() const { return failed_.load(std::memory_order_relaxed); }
    /// Latches a failure. True for the first one.
    bool latch() { return !failed_.exchange(true); }

  private:
    int enter(Turn& turn, lunkit_completion* completion);
    int finish(Turn& turn, int result);

    /// Not 0: what a predecessor wrote may still be in the page cache.
    std::atomic<std::uint64_t> written_{1};
    std::atomic<bool> failed_{false};
    std::mutex mutex_;
    std::uint64_t durable_ = 0;  // everything up to this number of written_
    bool running_ = false;       // somebody leads
    Turn* waiting_ = nullptr;
};

}  // namespace lunkit::host

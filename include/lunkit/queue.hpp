// SPDX-License-Identifier: Apache-2.0
// Queue: one thread with one event loop; everything asynchronous meets the kernel through it.
//
// A device lives on one queue, so its state needs no lock. But each co_await lets other requests
// run: what must not interleave holds an AsyncMutex or a RangeLock across its awaits.
//
// The submit_ calls have the C ABI's form (see handler.h): they return LUNKIT_DONE, LUNKIT_PENDING
// or -errno, and a pending completion is called back once, on the queue's thread, never from inside
// the call. The awaitable forms below them are what coroutines use; an awaiter *is* the completion.
#pragma once

#include <cerrno>
#include <chrono>
#include <coroutine>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "lunkit/handler.h"

namespace lunkit {

/// What an operation came to: bytes or another non-negative number, or -errno.
struct Outcome {
    std::int64_t result = 0;
    std::uint64_t error_offset = LUNKIT_NO_OFFSET;
    std::uint32_t error_class = LUNKIT_ERROR_UNSPECIFIED;
    [[nodiscard]] bool ok() const { return result >= 0; }
};

/// Awaitable made of a submit function `int submit(lunkit_completion*)`. It lives in the awaiting
/// coroutine's frame; it gives an Outcome.
template <typename Submit>
class [[nodiscard]] Operation : private lunkit_completion {
  public:
    explicit Operation(Submit submit) : lunkit_completion{}, submit_(std::move(submit)) {
        error_offset = LUNKIT_NO_OFFSET;
    }
    Operation(const Operation&) = delete;
    Operation& operator=(const Operation&) = delete;
    Operation(Operation&&) = delete;
    Operation& operator=(Operation&&) = delete;
    ~Operation() = default;

    [[nodiscard]] bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> awaiting) {
        awaiting_ = awaiting;
        done = [](lunkit_completion* completion) {
            static_cast<Operation*>(completion)->awaiting_.resume();
        };
        const int submitted = submit_(static_cast<lunkit_completion*>(this));
        if (submitted == LUNKIT_PENDING) {
            return true;
        }
        if (submitted < 0) {
            result = submitted;
        }
        return false;
    }
    Outcome await_resume() const noexcept { return {result, error_offset, error_class}; }

  private:
    Submit submit_;
    std::coroutine_handle<> awaiting_;
};

class Queue {
  public:
    virtual ~Queue() = default;

    /// The queue as host calls name it.
    [[nodiscard]] virtual lunkit_queue* handle() = 0;

    /// Completes with 0 after `nanoseconds`, or with -ECANCELED.
    virtual int submit_timer(std::uint64_t nanoseconds, lunkit_completion* completion) = 0;
    /// Completes with the poll(2) events that are there.
    virtual int submit_poll(int fd, std::uint32_t events, lunkit_completion* completion) = 0;
    /// Runs function(argument) on a worker thread; see lunkit_host::offload for `lane`.
    virtual int submit_offload(const void* lane, std::int64_t (*function)(void*), void* argument,
                               lunkit_completion* completion) = 0;
    /// Ends a timer or poll early; it still completes, once, with -ECANCELED.
    virtual void cancel(lunkit_completion* completion) = 0;
    /// Any thread. completion->done is called by the loop, later, never from inside post().
    virtual void post(lunkit_completion* completion) = 0;

    /// `co_await queue.sleep(1ms)`
    auto sleep(std::chrono::nanoseconds duration) {
        return Operation([this, duration](lunkit_completion* completion) {
            return submit_timer(static_cast<std::uint64_t>(duration.count()), completion);
        });
    }
    /// `Outcome o = co_await queue.poll(fd, POLLIN)`
    auto poll(int fd, std::uint32_t events) {
        return Operation([this, fd, events](lunkit_completion* completion) {
            return submit_poll(fd, events, completion);
        });
    }
    /// Goes on from the loop, behind everything that is ready now.
    auto yield() {
        return Operation([this](lunkit_completion* completion) {
            post(completion);
            return LUNKIT_PENDING;
        });
    }
    /// Runs `work` (a callable returning std::int64_t, -errno on failure) on a worker thread:
    /// `Outcome o = co_await queue.offload(lane, [&] { return do_it(); })`. What it captures
    /// lives in the awaiter, hence until it has run.
    template <typename Work>
    auto offload(const void* lane, Work work) {
        return Operation([this, lane,
                          work = std::move(work)](lunkit_completion* completion) mutable {
            return submit_offload(
                lane,
                [](void* argument) -> std::int64_t { return (*static_cast<Work*>(argument))(); },
                &work, completion);
        });
    }

  protected:
    Queue() = default;
    Queue(const Queue&) = default;
    Queue& operator=(const Queue&) = default;
    Queue(Queue&&) = default;
    Queue& operator=(Queue&&) = default;
};

}  // namespace lunkit

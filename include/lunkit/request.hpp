// SPDX-License-Identifier: Apache-2.0
// Request: a coroutine behind an asynchronous C call (see handler.h for what such a call returns).
//
//   Request run_read(Device& device, ..., lunkit_completion* completion) {
//       ... co_await ...;
//       co_return LUNKIT_DONE;       // with completion->result set; or co_return fail(error, ...)
//   }
//   int read(...) { return run_read(..., completion).settle(completion); }
#pragma once

#include <coroutine>
#include <cstdint>
#include <exception>

#include "lunkit/handler.h"
#include "lunkit/result.hpp"
#include "lunkit/task.hpp"

namespace lunkit {

/// Fills `completion` with an error; gives -errno.
inline int fail(const Error& error, lunkit_completion* completion) {
    completion->result = -error.code;
    completion->error_offset = error.offset;
    completion->error_class = static_cast<std::uint32_t>(error.error_class);
    return -error.code;
}

/// The coroutine of one asynchronous request. Its caller takes the result when nothing suspended;
/// else it calls the completion from its end, after its frame is gone.
struct Request {
    struct promise_type : detail::PooledFrame {
        int result = LUNKIT_DONE;
        lunkit_completion* pending = nullptr;

        struct FinalAwaiter {
            [[nodiscard]] bool await_ready() const noexcept { return false; }
            void await_suspend(std::coroutine_handle<promise_type> ended) const noexcept {
                if (lunkit_completion* completion = ended.promise().pending;
                    completion != nullptr) {
                    ended.destroy();
                    completion->done(completion);
                }
            }
            void await_resume() const noexcept {}
        };
        Request get_return_object() {
            return {std::coroutine_handle<promise_type>::from_promise(*this)};
        }
        [[nodiscard]] std::suspend_never initial_suspend() const noexcept { return {}; }
        [[nodiscard]] FinalAwaiter final_suspend() const noexcept { return {}; }
        void return_value(int value) { result = value; }
        [[noreturn]] void unhandled_exception() const noexcept { std::terminate(); }
    };

    /// LUNKIT_DONE, -errno, or LUNKIT_PENDING: then `completion` will be called.
    [[nodiscard]] int settle(lunkit_completion* completion) const {
        if (handle.done()) {
            const int result = handle.promise().result;
            handle.destroy();
            return result;
        }
        handle.promise().pending = completion;
        return LUNKIT_PENDING;
    }
    std::coroutine_handle<promise_type> handle;
};

}  // namespace lunkit

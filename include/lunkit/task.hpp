// SPDX-License-Identifier: Apache-2.0
// Task<T>: a lazy coroutine that runs on one queue thread.
//
// A Task starts when it is awaited and belongs to the thread that awaits it. A task that finishes
// without suspending costs its awaiter no suspension either: await_suspend() runs it and returns
// false. That is why a loop of ready tasks does not grow the stack, at any optimisation level (a
// symmetric transfer would, at -O0 and under ASan). A task that did suspend resumes its awaiter
// from its final suspension point, so the stack is as deep as the chain of awaiting tasks.
//
// Rules: `co_await` is never part of a statement expression; no coroutine lambdas with captures;
// parameters by value, except Queue&, IoRequest& and this, which outlive the call by contract.
// No exceptions: one that escapes a task ends the process.
#pragma once

#include <coroutine>
#include <cstddef>
#include <exception>
#include <optional>
#include <utility>

#include "lunkit/frame_pool.hpp"

namespace lunkit {

template <typename T>
class Task;

namespace detail {

struct PooledFrame {
    static void* operator new(std::size_t size) { return FramePool::local().allocate(size); }
    static void operator delete(void* memory, std::size_t size) noexcept {
        FramePool::local().release(memory, size);
    }
};

struct TaskPromiseBase : PooledFrame {
    std::coroutine_handle<> continuation;  // set once the awaiter has really suspended

    struct FinalAwaiter {
        [[nodiscard]] bool await_ready() const noexcept { return false; }
        template <typename Promise>
        void await_suspend(std::coroutine_handle<Promise> handle) const noexcept {
            // The awaiter may destroy this frame while it runs: nothing of it is used afterwards.
            if (auto next = handle.promise().continuation; next) {
                next.resume();
            }
        }
        void await_resume() const noexcept {}
    };

    [[nodiscard]] std::suspend_always initial_suspend() const noexcept { return {}; }
    [[nodiscard]] FinalAwaiter final_suspend() const noexcept { return {}; }
    [[noreturn]] void unhandled_exception() const noexcept { std::terminate(); }
};

template <typename T>
struct TaskPromise : TaskPromiseBase {
    std::optional<T> value;
    Task<T> get_return_object();
    template <typename U>
    void return_value(U&& result) {
        value.emplace(std::forward<U>(result));
    }
    // NOLINTNEXTLINE(bugprone-unchecked-optional-access): a task that has ended returned a value
    T take() { return std::move(*value); }
};

template <>
struct TaskPromise<void> : TaskPromiseBase {
    Task<void> get_return_object();
    void return_void() const noexcept {}
    void take() const noexcept {}
};

}  // namespace detail

/// A coroutine that gives a T. Move-only; destroying one that is suspended destroys its frame.
template <typename T>
class [[nodiscard]] Task {
  public:
    using promise_type = detail::TaskPromise<T>;
    using Handle = std::coroutine_handle<promise_type>;

    Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
    Task(const Task&) = delete;
    Task& operator=(const Task&) = delete;
    Task& operator=(Task&&) = delete;
    ~Task() {
        if (handle_) {
            handle_.destroy();
        }
    }

    struct Awaiter {
        Handle handle;
        [[nodiscard]] bool await_ready() const noexcept { return false; }
        bool await_suspend(std::coroutine_handle<> awaiting) noexcept {
            handle.resume();
            if (handle.done()) {
                return false;
            }
            handle.promise().continuation = awaiting;
            return true;
        }
        T await_resume() { return handle.promise().take(); }
    };
    Awaiter operator co_await() const& noexcept { return Awaiter{handle_}; }
    Awaiter operator co_await() && noexcept { return Awaiter{handle_}; }

    // For an edge that needs a frame of its own only if the task suspends.
    /// Runs it up to its end, or to where it suspends. True: it has ended, take() has the result.
    bool start() {
        handle_.resume();
        return handle_.done();
    }
    T take() { return handle_.promise().take(); }
    /// Awaits the end of one that start() left suspended.
    auto rest() noexcept {
        struct Rest {
            Handle handle;
            [[nodiscard]] bool await_ready() const noexcept { return handle.done(); }
            void await_suspend(std::coroutine_handle<> awaiting) noexcept {
                handle.promise().continuation = awaiting;
            }
            T await_resume() { return handle.promise().take(); }
        };
        return Rest{handle_};
    }

  private:
    friend promise_type;
    explicit Task(Handle handle) noexcept : handle_(handle) {}
    Handle handle_;
};

template <typename T>
Task<T> detail::TaskPromise<T>::get_return_object() {
    return Task<T>(Task<T>::Handle::from_promise(*this));
}
inline Task<void> detail::TaskPromise<void>::get_return_object() {
    return Task<void>(Task<void>::Handle::from_promise(*this));
}

/// A coroutine that owns itself: it starts at once and its frame goes when it ends. For the edges
/// only (the front ends' loops, the C boundary): whoever starts one counts it in a Gate.
struct Detached {
    struct promise_type : detail::PooledFrame {
        [[nodiscard]] Detached get_return_object() const noexcept { return {}; }
        [[nodiscard]] std::suspend_never initial_suspend() const noexcept { return {}; }
        [[nodiscard]] std::suspend_never final_suspend() const noexcept { return {}; }
        void return_void() const noexcept {}
        [[noreturn]] void unhandled_exception() const noexcept { std::terminate(); }
    };
};

}  // namespace lunkit

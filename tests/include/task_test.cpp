// SPDX-License-Identifier: Apache-2.0
#include "lunkit/task.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "lunkit/queue.hpp"
#include "support/fake_queue.hpp"
#include "support/run_task.hpp"

namespace lunkit {
namespace {

using test::FakeQueue;
using test::run_task;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kManyAwaits = 300'000;
#else
constexpr int kManyAwaits = 5'000'000;
#endif

Task<int> ready(int value) {
    co_return value;
}

Task<long> add_up_ready_ones(int count) {
    long sum = 0;
    for (int i = 0; i < count; ++i) {
        const int value = co_await ready(1);
        sum += value;
    }
    co_return sum;
}

Task<long> add_up_after(Queue& queue, int count) {
    co_await queue.yield();
    const long sum = co_await add_up_ready_ones(count);
    co_return sum;
}

Task<int> suspends(Queue& queue, int value) {
    co_await queue.yield();
    co_return value;
}

Task<int> nested(Queue& queue, int depth) {
    if (depth == 0) {
        co_await queue.yield();
        co_return 0;
    }
    const int below = co_await nested(queue, depth - 1);
    co_return below + 1;
}

TEST(Task, LoopOfReadyAwaitsDoesNotGrowTheStack) {
    FakeQueue queue;
    EXPECT_EQ(run_task(queue, add_up_ready_ones(kManyAwaits)), kManyAwaits);
}

TEST(Task, LoopOfReadyAwaitsAfterASuspensionDoesNotGrowTheStack) {
    FakeQueue queue;
    EXPECT_EQ(run_task(queue, add_up_after(queue, kManyAwaits / 10)), kManyAwaits / 10);
}

Task<long> add_up_suspending_ones(Queue& queue, int count) {
    long sum = 0;
    for (int i = 0; i < count; ++i) {
        const int value = co_await suspends(queue, 1);
        sum += value;
    }
    co_return sum;
}

TEST(Task, LoopOfSuspendingAwaitsDoesNotGrowTheStack) {
    FakeQueue queue;
    EXPECT_EQ(run_task(queue, add_up_suspending_ones(queue, kManyAwaits / 10)), kManyAwaits / 10);
}

TEST(Task, ChainOfSuspendedTasksResumesToTheTop) {
    FakeQueue queue;
    EXPECT_EQ(run_task(queue, nested(queue, 500)), 500);
}

Task<void> set(bool& flag) {
    flag = true;
    co_return;
}

TEST(Task, IsLazy) {
    bool ran = false;
    {
        const Task<void> task = set(ran);
    }
    EXPECT_FALSE(ran);
    FakeQueue queue;
    run_task(queue, set(ran));
    EXPECT_TRUE(ran);
}

Task<std::unique_ptr<std::string>> boxed(std::string text) {
    co_return std::make_unique<std::string>(std::move(text));
}

Task<int> await_rest(Task<int> started) {
    const int value = co_await started.rest();
    co_return value;
}

TEST(Task, AStartedOneThatDoesNotSuspendHasItsValue) {
    Task<int> task = ready(7);
    ASSERT_TRUE(task.start());
    EXPECT_EQ(task.take(), 7);
}

TEST(Task, TheRestOfAStartedOneCanBeAwaited) {
    FakeQueue queue;
    Task<int> task = suspends(queue, 7);
    ASSERT_FALSE(task.start());
    EXPECT_EQ(run_task(queue, await_rest(std::move(task))), 7);
}

TEST(Task, GivesValuesThatOnlyMove) {
    FakeQueue queue;
    EXPECT_EQ(*run_task(queue, boxed("text")), "text");
}

struct Sentinel {
    explicit Sentinel(int& alive_count) : alive(&alive_count) { ++*alive; }
    Sentinel(Sentinel&& other) noexcept : alive(std::exchange(other.alive, nullptr)) {}
    Sentinel(const Sentinel&) = delete;
    Sentinel& operator=(const Sentinel&) = delete;
    Sentinel& operator=(Sentinel&&) = delete;
    ~Sentinel() {
        if (alive != nullptr) {
            --*alive;
        }
    }
    int* alive;
};

Task<void> holds_while_waiting(Queue& queue, Sentinel sentinel) {
    co_await queue.poll(0, 1);  // nobody makes it ready
    EXPECT_EQ(*sentinel.alive, -1) << "must not be reached";
}

Task<void> holds_two_deep(Queue& queue, int& alive) {
    const Sentinel mine(alive);
    co_await holds_while_waiting(queue, Sentinel(alive));
}

/// Starts a task without owning what comes of it.
template <typename T>
void start(Task<T>& task) {
    auto awaiter = std::as_const(task).operator co_await();
    (void)awaiter.await_suspend(std::noop_coroutine());  // it waits for an event that never comes
}

TEST(Task, DestroyingASuspendedOneDestroysItsWholeChain) {
    FakeQueue queue;
    int alive = 0;
    {
        Task<void> task = holds_two_deep(queue, alive);
        start(task);
        EXPECT_EQ(alive, 2);
        EXPECT_EQ(queue.polls(), 1U);
    }
    EXPECT_EQ(alive, 0);
}

Detached on_its_own(Queue& queue, int& steps) {
    ++steps;
    co_await queue.yield();
    ++steps;
}

TEST(Detached, StartsAtOnceAndGoesOnByItself) {
    FakeQueue queue;
    int steps = 0;
    on_its_own(queue, steps);
    EXPECT_EQ(steps, 1);
    queue.run_all();
    EXPECT_EQ(steps, 2);
}

/// The three answers of an asynchronous call (see handler.h).
TEST(Operation, AnErrorAnsweredInlineIsTheOutcome) {
    FakeQueue queue;
    const auto task = []() -> Task<std::int64_t> {
        const Outcome outcome =
            co_await Operation([](lunkit_completion* /*completion*/) { return -EIO; });
        co_return outcome.result;
    };
    EXPECT_EQ(run_task(queue, task()), -EIO);
}

TEST(Operation, AResultSetInlineIsTheOutcome) {
    FakeQueue queue;
    const auto task = []() -> Task<Outcome> {
        const Outcome outcome = co_await Operation([](lunkit_completion* completion) {
            completion->result = -EILSEQ;
            completion->error_offset = 17;
            completion->error_class = LUNKIT_ERROR_MEDIUM;
            return LUNKIT_DONE;
        });
        co_return outcome;
    };
    const Outcome outcome = run_task(queue, task());
    EXPECT_EQ(outcome.result, -EILSEQ);
    EXPECT_EQ(outcome.error_offset, 17U);
    EXPECT_EQ(outcome.error_class, static_cast<unsigned>(LUNKIT_ERROR_MEDIUM));
}

}  // namespace
}  // namespace lunkit

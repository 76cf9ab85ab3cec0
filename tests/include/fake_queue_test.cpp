// SPDX-License-Identifier: Apache-2.0
// The fake that other tests rest upon.
#include "support/fake_queue.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <chrono>
#include <set>
#include <string>

#include "lunkit/task.hpp"
#include "lunkit/unique_fd.hpp"
#include "support/run_task.hpp"

namespace lunkit::test {
namespace {

using namespace std::chrono_literals;

Detached note_after_yield(FakeQueue& queue, std::string& log, char name) {
    co_await queue.yield();
    log += name;
}

Detached note_after_sleep(FakeQueue& queue, std::string& log, char name,
                          std::chrono::nanoseconds duration) {
    const Outcome outcome = co_await queue.sleep(duration);
    log += outcome.ok() ? name : '!';
}

Detached note_poll(FakeQueue& queue, int fd, std::uint32_t& seen) {
    const Outcome outcome = co_await queue.poll(fd, POLLIN);
    seen = static_cast<std::uint32_t>(outcome.result);
}

TEST(FakeQueue, RunsTheOldestFirst) {
    FakeQueue queue;
    std::string log;
    note_after_yield(queue, log, 'a');
    note_after_yield(queue, log, 'b');
    EXPECT_EQ(queue.ready(), 2U);
    EXPECT_TRUE(queue.run_one());
    EXPECT_EQ(log, "a");
    EXPECT_EQ(queue.run_all(), 1U);
    EXPECT_EQ(log, "ab");
    EXPECT_FALSE(queue.run_one());
}

TEST(FakeQueue, RunsTheOneTheTestChooses) {
    FakeQueue queue;
    std::string log;
    note_after_yield(queue, log, 'a');
    note_after_yield(queue, log, 'b');
    EXPECT_TRUE(queue.run_at(1));
    EXPECT_EQ(log, "b");
    EXPECT_FALSE(queue.run_at(1));
    EXPECT_EQ(queue.run_all(), 1U);
}

TEST(FakeQueue, ShuffleGivesOtherOrdersAndTheSameForTheSameSeed) {
    const auto order = [](std::uint64_t seed) {
        FakeQueue queue;
        queue.shuffle(seed);
        std::string log;
        for (char name = 'a'; name <= 'h'; ++name) {
            note_after_yield(queue, log, name);
        }
        queue.run_all();
        return log;
    };
    std::set<std::string> orders;
    for (std::uint64_t seed = 0; seed < 5; ++seed) {
        orders.insert(order(seed));
        EXPECT_EQ(order(seed), order(seed));
    }
    EXPECT_GT(orders.size(), 1U);
}

TEST(FakeQueue, TimersFireWhenTheTestMovesTheTime) {
    FakeQueue queue;
    std::string log;
    note_after_sleep(queue, log, 'a', 3s);
    note_after_sleep(queue, log, 'b', 1s);
    queue.run_all();
    EXPECT_EQ(log, "");
    queue.advance(2s);
    queue.run_all();
    EXPECT_EQ(log, "b");
    queue.advance(1s);
    queue.run_all();
    EXPECT_EQ(log, "ba");
    EXPECT_EQ(queue.pending(), 0U);
}

TEST(FakeQueue, CancelledTimerEndsOnceFromTheLoop) {
    FakeQueue queue;
    struct Counted : lunkit_completion {
        int calls = 0;
    } counted{};
    counted.done = [](lunkit_completion* completion) {
        ++static_cast<Counted*>(completion)->calls;
    };
    ASSERT_EQ(queue.submit_timer(1000, &counted), LUNKIT_PENDING);
    queue.cancel(&counted);
    EXPECT_EQ(counted.calls, 0);
    queue.cancel(&counted);
    queue.run_all();
    EXPECT_EQ(counted.calls, 1);
    EXPECT_EQ(counted.result, -ECANCELED);
}

TEST(FakeQueue, PollsEndWhenTheTestOrTheKernelSaysSo) {
    FakeQueue queue;
    const UniqueFd fd(::eventfd(0, EFD_CLOEXEC));
    std::uint32_t seen = 0;
    note_poll(queue, fd.get(), seen);
    queue.make_ready(fd.get(), POLLOUT);
    queue.look_at_descriptors();
    queue.run_all();
    EXPECT_EQ(seen, 0U);
    ASSERT_EQ(::eventfd_write(fd.get(), 1), 0);
    queue.look_at_descriptors();
    queue.run_all();
    EXPECT_EQ(seen, static_cast<std::uint32_t>(POLLIN));
}

Task<std::int64_t> work_then_sleep(Queue& queue) {
    const Outcome outcome = co_await queue.offload(nullptr, [] { return std::int64_t{42}; });
    co_await queue.sleep(1h);
    co_return outcome.result;
}

TEST(RunTask, LetsTimersFireAtOnceOnAFakeQueue) {
    FakeQueue queue;
    EXPECT_EQ(run_task(queue, work_then_sleep(queue)), 42);
    EXPECT_EQ(queue.now(), 1h);
}

Task<void> wait_for_nobody(Queue& queue) {
    co_await queue.poll(0, POLLIN);
}

TEST(RunTaskDeathTest, SaysThatATaskWaitsForNobody) {
    FakeQueue queue;
    EXPECT_DEATH(run_task(queue, wait_for_nobody(queue)), "nothing is left that could wake it");
}

}  // namespace
}  // namespace lunkit::test

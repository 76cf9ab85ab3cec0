// SPDX-License-Identifier: Apache-2.0
// Timers, polls, posts and offloaded work: the same on every engine.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engines.hpp"
#include "lunkit/unique_fd.hpp"

namespace lunkit::core {
namespace {

using Clock = std::chrono::steady_clock;

class EveryQueue : public OnEveryEngine {
  protected:
    static UniqueFd event_fd() { return UniqueFd(::eventfd(0, EFD_CLOEXEC)); }

    void begin_poll(int fd, std::uint32_t events, Counted& poll) {
        ASSERT_EQ(queue_->submit_poll(fd, events, &poll), LUNKIT_PENDING);
    }

    struct SocketPair {
        SocketPair() {
            std::array<int, 2> pair{-1, -1};
            EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()), 0);
            here.reset(pair[0]);
            there.reset(pair[1]);
        }
        UniqueFd here;
        UniqueFd there;
    };

    Detached note_after_sleep(std::string& log, char name, std::chrono::nanoseconds duration) {
        co_await queue_->sleep(duration);
        log += name;
        if (log.size() == 3) {
            queue_->stop();
        }
    }
};
LUNKIT_ON_EVERY_ENGINE(EveryQueue);

TEST_P(EveryQueue, TimersFireInTheOrderOfTheirTimes) {
    std::string log;
    note_after_sleep(log, 'c', 3ms);
    note_after_sleep(log, 'a', 1ms);
    note_after_sleep(log, 'b', 2ms);
    queue_->run();
    EXPECT_EQ(log, "abc");
}

TEST_P(EveryQueue, TimerNeverFiresEarly) {
    for (const auto duration : {0ns, 300'000ns, 2'000'000ns}) {
        Counted timer(stop_after(1));
        const auto before = Clock::now();
        ASSERT_EQ(queue_->submit_timer(static_cast<std::uint64_t>(duration.count()), &timer),
                  LUNKIT_PENDING);
        queue_->run();
        EXPECT_GE(Clock::now() - before, duration);
        EXPECT_EQ(timer.result, 0);
    }
}

TEST_P(EveryQueue, TimerOfAllTheTimeThereIsCanBeCancelled) {
    Counted timer(stop_after(1));
    ASSERT_EQ(queue_->submit_timer(UINT64_MAX, &timer), LUNKIT_PENDING);
    queue_->cancel(&timer);
    EXPECT_EQ(timer.calls, 0) << "never from inside the call";
    queue_->run();
    EXPECT_EQ(timer.calls, 1);
    EXPECT_EQ(timer.result, -ECANCELED);
    EXPECT_EQ(timer.error_offset, LUNKIT_NO_OFFSET);
}

TEST_P(EveryQueue, TimerThatIsCancelledByAnotherOfTheSameInstantEndsOnce) {
    Counted second(stop_after(2));
    Counted first(stop_after(2));
    first.then = [this, &second, done = first.then] {
        queue_->cancel(&second);
        queue_->cancel(&second);
        done();
    };
    ASSERT_EQ(queue_->submit_timer(0, &first), LUNKIT_PENDING);
    ASSERT_EQ(queue_->submit_timer(0, &second), LUNKIT_PENDING);
    queue_->run();
    EXPECT_EQ(first.calls, 1);
    EXPECT_EQ(second.calls, 1);
}

TEST_P(EveryQueue, PollTellsTheEventsThatAreThere) {
    const UniqueFd fd = event_fd();
    Counted poll(stop_after(1));
    begin_poll(fd.get(), POLLIN, poll);
    Counted write([&] { EXPECT_EQ(::eventfd_write(fd.get(), 1), 0); });
    queue_->post(&write);
    queue_->run();
    EXPECT_EQ(poll.calls, 1);
    EXPECT_EQ(poll.result, POLLIN);
}

TEST_P(EveryQueue, PollIsForOneEventAndCanBeRepeated) {
    const UniqueFd fd = event_fd();
    ASSERT_EQ(::eventfd_write(fd.get(), 1), 0);
    for (int i = 0; i < 3; ++i) {
        Counted poll(stop_after(1));
        begin_poll(fd.get(), POLLIN, poll);
        queue_->run();
        EXPECT_EQ(poll.calls, 1);
    }
}

TEST_P(EveryQueue, AllPollsOfOneDescriptorEnd) {
    const UniqueFd fd = event_fd();
    const auto stop = stop_after(3);
    std::vector<Counted> polls(3, Counted(stop));
    for (Counted& poll : polls) {
        begin_poll(fd.get(), POLLIN, poll);
    }
    ASSERT_EQ(::eventfd_write(fd.get(), 1), 0);
    queue_->run();
    for (const Counted& poll : polls) {
        EXPECT_EQ(poll.result, POLLIN);
    }
}

TEST_P(EveryQueue, PollsOfOneDescriptorEndEachWithItsOwnEvent) {
    const SocketPair pair;
    Counted readable(stop_after(1));
    Counted writable([&] {
        EXPECT_EQ(readable.calls, 0);
        EXPECT_EQ(::write(pair.there.get(), "x", 1), 1);
    });
    begin_poll(pair.here.get(), POLLIN, readable);
    begin_poll(pair.here.get(), POLLOUT, writable);
    queue_->run();
    EXPECT_EQ(writable.result, POLLOUT);
    EXPECT_EQ(readable.result, POLLIN);
}

TEST_P(EveryQueue, HangUpEndsAPoll) {
    SocketPair pair;
    Counted poll(stop_after(1));
    begin_poll(pair.here.get(), 0, poll);
    pair.there.reset();
    queue_->run();
    EXPECT_TRUE((poll.result & POLLHUP) != 0);
}

TEST_P(EveryQueue, CancelledPollEndsOnceWithECanceled) {
    const UniqueFd fd = event_fd();
    Counted cancelled(stop_after(2));
    Counted other(cancelled.then);
    begin_poll(fd.get(), POLLIN, cancelled);
    begin_poll(fd.get(), POLLIN, other);
    queue_->cancel(&cancelled);
    queue_->cancel(&cancelled);
    EXPECT_EQ(cancelled.calls, 0) << "never from inside the call";
    Counted write([&] { EXPECT_EQ(::eventfd_write(fd.get(), 1), 0); });
    queue_->post(&write);
    queue_->run();
    EXPECT_EQ(cancelled.calls, 1);
    EXPECT_EQ(cancelled.result, -ECANCELED);
    EXPECT_EQ(other.result, POLLIN);
}

TEST_P(EveryQueue, RegularFileIsAlwaysReady) {
    const UniqueFd fd(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    ASSERT_TRUE(fd);
    const auto task = [](EngineQueue& queue, int file) -> Task<Outcome> {
        const Outcome outcome = co_await queue.poll(file, POLLIN);
        co_return outcome;
    };
    EXPECT_EQ(run(task(*queue_, fd.get())).result, POLLIN);
}

TEST_P(EveryQueue, PollOfADescriptorThatIsNotOpenFails) {
    const auto task = [](EngineQueue& queue, int fd) -> Task<Outcome> {
        const Outcome outcome = co_await queue.poll(fd, POLLIN);
        co_return outcome;
    };
    EXPECT_EQ(run(task(*queue_, 999'999)).result, -EBADF);
    EXPECT_EQ(run(task(*queue_, -1)).result, -EBADF);
}

TEST_P(EveryQueue, NumberOfAClosedDescriptorCanBePolledAgain) {
    int number = -1;
    for (int i = 0; i < 3; ++i) {
        const UniqueFd fd = event_fd();
        EXPECT_TRUE(number == -1 || fd.get() == number);
        number = fd.get();
        ASSERT_EQ(::eventfd_write(fd.get(), 1), 0);
        Counted poll(stop_after(1));
        begin_poll(fd.get(), POLLIN, poll);
        queue_->run();
        EXPECT_EQ(poll.result, POLLIN);
    }
}

TEST_P(EveryQueue, ManyPollsAreServed) {
    std::vector<UniqueFd> fds;
    std::vector<Counted> polls(200, Counted(stop_after(200)));
    for (Counted& poll : polls) {
        fds.push_back(event_fd());
        begin_poll(fds.back().get(), POLLIN, poll);
    }
    Counted write([&] {
        for (const UniqueFd& fd : fds) {
            EXPECT_EQ(::eventfd_write(fd.get(), 1), 0);
        }
    });
    queue_->post(&write);
    queue_->run();
    for (const Counted& poll : polls) {
        EXPECT_EQ(poll.calls, 1);
    }
}

TEST_P(EveryQueue, OffloadedWorkRunsOnAnotherThreadAndItsEndHere) {
    const auto here = std::this_thread::get_id();
    const auto task = [](EngineQueue& queue) -> Task<std::pair<std::thread::id, std::int64_t>> {
        std::thread::id there;
        const Outcome outcome = co_await queue.offload(nullptr, [&there] {
            there = std::this_thread::get_id();
            return std::int64_t{-ENXIO};
        });
        co_return std::pair(there, outcome.result);
    };
    const auto [there, result] = run(task(*queue_));
    EXPECT_NE(there, here);
    EXPECT_EQ(result, -ENXIO);
}

TEST_P(EveryQueue, BlockedLaneDoesNotDelayAnother) {
    Latch latch;
    const int blocked_lane = 0;
    const int free_lane = 0;
    const auto blocked = [](EngineQueue& queue, const void* lane, Latch& held,
                            int& ended) -> Detached {
        co_await queue.offload(lane, [&held] { return held.wait(); });
        if (--ended == 0) {
            queue.stop();
        }
    };
    int left = 3 * static_cast<int>(kLaneWidth);
    for (int i = left; i > 0; --i) {
        blocked(*queue_, &blocked_lane, latch, left);
    }
    const auto through = [](EngineQueue& queue, const void* lane) -> Task<std::int64_t> {
        const Outcome outcome = co_await queue.offload(lane, [] { return std::int64_t{5}; });
        co_return outcome.result;
    };
    EXPECT_EQ(run(through(*queue_, &free_lane)), 5);
    EXPECT_EQ(left, 3 * static_cast<int>(kLaneWidth));
    EXPECT_LE(latch.waiting(), static_cast<int>(kLaneWidth));
    latch.open();
    queue_->run();
    EXPECT_EQ(left, 0);
}

TEST_P(EveryQueue, PostsOfOtherThreadsAllArriveInTheirOrder) {
    constexpr int kThreads = 3;
    constexpr int kPosts = 500;
    std::vector<int> seen(kThreads, 0);
    const auto stop = stop_after(kThreads * kPosts);
    std::vector<std::vector<Counted>> posts(kThreads, std::vector<Counted>(kPosts));
    for (std::size_t thread = 0; thread < kThreads; ++thread) {
        for (std::size_t i = 0; i < kPosts; ++i) {
            posts[thread][i].then = [&seen, &stop, thread, i] {
                EXPECT_EQ(seen[thread], static_cast<int>(i));
                ++seen[thread];
                stop();
            };
        }
    }
    std::vector<std::jthread> threads;
    threads.reserve(kThreads);
    for (auto& mine : posts) {
        threads.emplace_back([&mine, queue = queue_.get()] {
            for (Counted& completion : mine) {
                queue->post(&completion);
            }
        });
    }
    queue_->run();
    EXPECT_EQ(seen, std::vector<int>(kThreads, kPosts));
}

TEST_P(EveryQueue, PostWakesALoopThatSleeps) {
    std::vector<Counted> completions(50, Counted(stop_after(50)));
    const std::jthread poster([&completions, queue = queue_.get()] {
        std::uint64_t sleeps = 0;
        for (Counted& completion : completions) {
            while (queue->stats().sleeps == sleeps) {
                std::this_thread::yield();
            }
            sleeps = queue->stats().sleeps;
            queue->post(&completion);
        }
    });
    queue_->run();
}

TEST_P(EveryQueue, StopOfAnotherThreadEndsALoopThatSleeps) {
    const std::jthread stopper([queue = queue_.get()] {
        while (queue->stats().sleeps == 0) {
            std::this_thread::yield();
        }
        queue->stop();
    });
    queue_->run();
}

TEST_P(EveryQueue, EverythingPostedIsCalledBeforeRunReturns) {
    std::vector<Counted> chain(100);
    for (std::size_t i = 0; i + 1 < chain.size(); ++i) {
        chain[i].then = [this, next = &chain[i + 1]] { queue_->post(next); };
    }
    queue_->post(&chain.front());
    queue_->stop();
    queue_->run();
    EXPECT_EQ(chain.back().calls, 1);
}

TEST_P(EveryQueue, StopIsForOneRun) {
    queue_->stop();
    queue_->run();
    Counted timer(stop_after(1));
    ASSERT_EQ(queue_->submit_timer(1000, &timer), LUNKIT_PENDING);
    queue_->run();
    EXPECT_EQ(timer.calls, 1);
}

TEST_P(EveryQueue, YieldGoesBehindEverythingThatIsReady) {
    std::string log;
    const auto yields = [](EngineQueue& queue, std::string& to, char name) -> Detached {
        to += name;
        co_await queue.yield();
        to += name;
        co_await queue.yield();
        to += name;
    };
    Counted start([&] {
        yields(*queue_, log, 'a');
        yields(*queue_, log, 'b');
        queue_->stop();
    });
    queue_->post(&start);
    queue_->run();
    EXPECT_EQ(log, "ababab");
}

TEST_P(EveryQueue, GoesWithTimersAndPollsPending) {
    const UniqueFd fd = event_fd();
    Counted timer;
    Counted poll;
    ASSERT_EQ(queue_->submit_timer(1'000'000'000, &timer), LUNKIT_PENDING);
    begin_poll(fd.get(), POLLIN, poll);
    queue_->stop();
    queue_->run();
    queue_.reset();
    EXPECT_EQ(timer.calls + poll.calls, 0);
}

TEST_P(EveryQueue, WaitsForOffloadedWorkWhenItGoes) {
    Latch latch;
    Counted completion;
    std::atomic<bool> ended{false};
    struct Context {
        Latch& latch;
        std::atomic<bool>& ended;
    } context{latch, ended};
    ASSERT_EQ(queue_->submit_offload(
                  nullptr,
                  [](void* argument) -> std::int64_t {
                      auto& it = *static_cast<Context*>(argument);
                      it.latch.wait();
                      it.ended = true;
                      return 0;
                  },
                  &context, &completion),
              LUNKIT_PENDING);
    const std::jthread opener([&latch] {
        latch.until_waiting(1);
        latch.open();
    });
    queue_.reset();
    EXPECT_TRUE(ended);
    EXPECT_EQ(completion.calls, 0);
}

TEST_P(EveryQueue, HandleNamesTheQueue) {
    EXPECT_EQ(&EngineQueue::of(queue_->handle()), queue_.get());
}

}  // namespace
}  // namespace lunkit::core

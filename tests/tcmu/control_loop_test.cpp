// SPDX-License-Identifier: Apache-2.0
#include "tcmu/control_loop.hpp"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <future>
#include <memory>
#include <utility>
#include <vector>

namespace lunkit::tcmu {
namespace {

using namespace std::chrono_literals;

/// Waits for what the loop's thread shall do.
template <typename T>
T get(std::promise<T>& promise) {
    std::future<T> future = promise.get_future();
    EXPECT_EQ(future.wait_for(10s), std::future_status::ready);
    return future.get();
}

TEST(ControlLoop, RunsPostedCallsInOrder) {
    auto loop = *ControlLoop::make();
    std::vector<int> order;
    std::promise<std::vector<int>> done;
    loop->inbox()->post([&] { order.push_back(1); });
    loop->inbox()->post([&] { order.push_back(2); });
    loop->inbox()->post([&] { done.set_value(order); });
    loop->start(-1, {});
    EXPECT_EQ(get(done), (std::vector<int>{1, 2}));
}

TEST(ControlLoop, TellsOfItsDescriptor) {
    const UniqueFd event(::eventfd(0, EFD_NONBLOCK));
    auto loop = *ControlLoop::make();
    std::promise<std::uint64_t> done;
    loop->start(event.get(), [&] {
        std::uint64_t value = 0;
        ASSERT_EQ(::read(event.get(), &value, sizeof value), 8);
        done.set_value(value);
    });
    const std::uint64_t seven = 7;
    ASSERT_EQ(::write(event.get(), &seven, sizeof seven), 8);
    EXPECT_EQ(get(done), 7U);
}

TEST(ControlLoop, TimersComeInTheOrderOfTheirTimes) {
    auto loop = *ControlLoop::make();
    std::vector<int> order;
    std::promise<std::vector<int>> done;
    loop->inbox()->post([&] {
        (void)loop->after(3ms, [&] { done.set_value(order); });
        (void)loop->after(2ms, [&] { order.push_back(2); });
        (void)loop->after(1ms, [&] { order.push_back(1); });
    });
    loop->start(-1, {});
    EXPECT_EQ(get(done), (std::vector<int>{1, 2}));
}

TEST(ControlLoop, CancelledTimerDoesNotRun) {
    auto loop = *ControlLoop::make();
    bool ran = false;
    std::promise<bool> done;
    loop->inbox()->post([&] {
        const ControlLoop::TimerId id = loop->after(1ms, [&] { ran = true; });
        (void)loop->after(2ms, [&] { done.set_value(ran); });
        loop->cancel(id);
    });
    loop->start(-1, {});
    EXPECT_FALSE(get(done));
}

TEST(ControlLoop, InboxOutlivesItAndDropsWhatComes) {
    auto loop = *ControlLoop::make();
    const std::shared_ptr<ControlLoop::Inbox> inbox = loop->inbox();
    loop->start(-1, {});
    loop.reset();
    auto held = std::make_shared<int>(1);
    const std::weak_ptr<int> watch = held;
    inbox->post([held = std::move(held)] {});
    EXPECT_TRUE(watch.expired());
}

TEST(ControlLoop, NeverStartedEndsQuietly) {
    auto loop = *ControlLoop::make();
    loop->inbox()->post([] { FAIL(); });
}

}  // namespace
}  // namespace lunkit::tcmu

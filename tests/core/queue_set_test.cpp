// SPDX-License-Identifier: Apache-2.0
#include "core/queue_set.hpp"

#include <gtest/gtest.h>
#include <pthread.h>

#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <set>
#include <string>
#include <thread>

#include "core/thread.hpp"
#include "lunkit/task.hpp"
#include "support/run_task.hpp"

namespace lunkit::core {
namespace {

using namespace std::chrono_literals;

std::unique_ptr<QueueSet> started(unsigned count) {
    auto set = QueueSet::start(EngineChoice::kAuto, count, 0us);
    EXPECT_TRUE(set);
    return set ? std::move(*set) : nullptr;
}

Task<std::string> name_of_thread(Queue& queue) {
    co_await queue.yield();
    std::array<char, 16> name{};
    pthread_getname_np(pthread_self(), name.data(), name.size());
    co_return std::string(name.data());
}

TEST(QueueSet, HasOneNamedThreadAQueue) {
    const auto set = started(3);
    ASSERT_EQ(set->size(), 3U);
    for (std::size_t i = 0; i < set->size(); ++i) {
        EXPECT_EQ(test::run_task_on(set->at(i), name_of_thread), "lunkit-q" + std::to_string(i));
    }
}

TEST(QueueSet, HasByDefaultOneQueueACore) {
    EXPECT_EQ(started(0)->size(), usable_cpus());
}

TEST(QueueSet, SpreadsDevicesAndRefillsWhatWasReleased) {
    const auto set = started(3);
    std::multiset<EngineQueue*> assigned;
    for (int i = 0; i < 6; ++i) {
        assigned.insert(&set->assign());
    }
    for (std::size_t i = 0; i < set->size(); ++i) {
        EXPECT_EQ(assigned.count(&set->at(i)), 2U);
    }
    set->release(set->at(1));
    EXPECT_EQ(&set->assign(), &set->at(1));
}

TEST(QueueSet, LosesNoDeviceOfSeveralThreads) {
    const auto set = started(2);
    const auto come_and_go = [&set] {
        for (int i = 0; i < 200'000; ++i) {
            set->release(set->assign());
        }
    };
    {
        const std::jthread one(come_and_go);
        const std::jthread other(come_and_go);
    }
    EXPECT_EQ(&set->assign(), &set->at(0));  // none is left on either
    EXPECT_EQ(&set->assign(), &set->at(1));
}

TEST(QueueSet, AllEnginesCanBeChosen) {
    const auto set = QueueSet::start(EngineChoice::kThreads, 2, 50us);
    ASSERT_TRUE(set);
    EXPECT_EQ((*set)->at(1).engine_name(), "threads");
    EXPECT_EQ(test::run_task_on((*set)->at(0), name_of_thread), "lunkit-q0");
}

TEST(QueueSet, ThreadsMayHaveAnotherNameAndPrepareThemselves) {
    std::atomic<int> prepared{0};
    const auto set = QueueSet::start(EngineChoice::kThreads, 2, 0us,
                                     {.name = "other", .prepare = [&prepared] { ++prepared; }});
    ASSERT_TRUE(set);
    EXPECT_EQ(test::run_task_on((*set)->at(0), name_of_thread), "other0");
    EXPECT_EQ(test::run_task_on((*set)->at(1), name_of_thread), "other1");
    EXPECT_EQ(prepared, 2);
}

Task<void> sleeps(Queue& queue) {
    co_await queue.sleep(1us);
}

TEST(RunTask, RunsTasksWithoutAValueOnAnotherThread) {
    const auto set = started(1);
    test::run_task_on(set->at(0), sleeps);
    EXPECT_GE(set->at(0).stats().completions, 2U);
}

}  // namespace
}  // namespace lunkit::core

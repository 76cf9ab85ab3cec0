// SPDX-License-Identifier: Apache-2.0
#include "core/timer_heap.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <vector>

namespace lunkit::core {
namespace {

using namespace std::chrono_literals;

TEST(TimerHeap, GivesOnlyWhatIsDue) {
    TimerHeap heap;
    lunkit_completion completion{};
    const TimePoint due{10s};
    heap.add(due, &completion);
    EXPECT_EQ(heap.next_due(), due);
    EXPECT_EQ(heap.pop_due(TimePoint{9s}), nullptr);
    EXPECT_EQ(heap.pop_due(due), &completion);
    EXPECT_TRUE(heap.empty());
}

TEST(TimerHeap, KeepsTheOrderOfThoseDueAtOnce) {
    TimerHeap heap;
    std::vector<lunkit_completion> completions(20);
    for (lunkit_completion& completion : completions) {
        heap.add(TimePoint{1s}, &completion);
    }
    for (lunkit_completion& completion : completions) {
        EXPECT_EQ(heap.pop_due(TimePoint{1s}), &completion);
    }
}

TEST(TimerHeap, KeepsItsOrderUnderRandomAddingAndRemoving) {
    std::mt19937 random(20);  // NOLINT(bugprone-random-generator-seed): the same each time
    TimerHeap heap;
    std::vector<lunkit_completion> completions(2000);
    std::vector<TimerHeap::Timer*> alive;
    for (lunkit_completion& completion : completions) {
        const std::chrono::seconds due(random() % 1000);
        completion.result = due.count();
        alive.push_back(heap.add(TimePoint{due}, &completion));
        if (random() % 3 == 0) {
            const std::size_t victim = random() % alive.size();
            heap.remove(alive[victim]);
            alive.erase(alive.begin() + static_cast<std::ptrdiff_t>(victim));
        }
    }
    std::size_t seen = 0;
    std::int64_t last = 0;
    while (const lunkit_completion* completion = heap.pop_due(TimePoint{1000s})) {
        EXPECT_GE(completion->result, last);
        last = completion->result;
        ++seen;
    }
    EXPECT_EQ(seen, alive.size());
}

}  // namespace
}  // namespace lunkit::core

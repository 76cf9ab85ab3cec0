// SPDX-License-Identifier: Apache-2.0
#include "lunkit/exclusion.hpp"

#include <gtest/gtest.h>

#include <string>

#include "support/fake_queue.hpp"
#include "support/run_task.hpp"

namespace lunkit {

/// Requests that write letters when they are in, and stay in until a timer of theirs fires.
class ExclusionTest : public ::testing::Test {
  protected:
    Task<void> ordinary(ByteRange range, char letter, std::chrono::seconds stay) {
        Exclusion::Shared pass(exclusion_, range);
        if (!pass.entered()) {
            (void)co_await pass.acquire(queue_);
        }
        log_ += letter;
        (void)co_await queue_.sleep(stay);
        log_ += static_cast<char>(letter - 'a' + 'A');
    }
    Task<void> exclusive(ByteRange range, char letter, std::chrono::seconds stay) {
        Exclusion::Exclusive alone(exclusion_, range);
        (void)co_await alone.acquire(queue_);
        (void)co_await alone.drain(queue_);
        log_ += letter;
        (void)co_await queue_.sleep(stay);
        log_ += static_cast<char>(letter - 'a' + 'A');
    }
    static Detached start(Task<void> task) {
        Task<void> running = std::move(task);
        co_await running;
    }
    void finish() {
        while (queue_.step()) {
        }
    }
    test::FakeQueue queue_;
    Exclusion exclusion_;
    std::string log_;
};

using namespace std::chrono_literals;

TEST_F(ExclusionTest, OrdinaryRequestsOverlapFreely) {
    start(ordinary({0, 10}, 'a', 2s));
    start(ordinary({0, 10}, 'b', 1s));
    finish();
    EXPECT_EQ("abBA", log_);
}

TEST_F(ExclusionTest, AnExclusiveOneWaitsForThoseBeforeIt) {
    start(ordinary({0, 10}, 'a', 1s));
    start(exclusive({0, 10}, 'x', 1s));
    EXPECT_EQ("a", log_);
    finish();
    EXPECT_EQ("aAxX", log_);
}

TEST_F(ExclusionTest, ItWaitsForAllOfThemWhereverTheyAre) {
    start(ordinary({0, 10}, 'a', 1s));
    start(ordinary({90, 10}, 'b', 2s));
    start(exclusive({0, 10}, 'x', 1s));
    finish();
    EXPECT_EQ("abABxX", log_);
}

TEST_F(ExclusionTest, ThoseBehindItWaitOnlyWhereTheyOverlap) {
    start(exclusive({0, 10}, 'x', 2s));
    start(ordinary({5, 10}, 'a', 1s));
    start(ordinary({50, 10}, 'b', 1s));
    finish();
    EXPECT_EQ("xbBXaA", log_);
}

TEST_F(ExclusionTest, TwoExclusiveOnesOfOneRangeComeInOrder) {
    start(ordinary({0, 10}, 'a', 1s));
    start(exclusive({0, 10}, 'x', 1s));
    start(exclusive({0, 10}, 'y', 1s));
    finish();
    EXPECT_EQ("aAxXyY", log_);
}

TEST_F(ExclusionTest, AClaimOfAnEarlierTimeCountsForALaterExclusiveOne) {
    start(exclusive({0, 10}, 'x', 1s));
    start(ordinary({50, 10}, 'a', 5s));  // claims its range, x being there
    queue_.step();
    EXPECT_EQ("xaX", log_);
    start(exclusive({50, 10}, 'y', 1s));
    finish();
    EXPECT_EQ("xaXAyY", log_);
}

TEST_F(ExclusionTest, AfterwardsEverybodyIsFreeAgain) {
    start(exclusive({0, 10}, 'x', 1s));
    finish();
    start(ordinary({0, 10}, 'a', 2s));
    start(ordinary({0, 10}, 'b', 1s));
    finish();
    EXPECT_EQ("xXabBA", log_);
}

}  // namespace lunkit

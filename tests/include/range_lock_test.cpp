// SPDX-License-Identifier: Apache-2.0
#include "lunkit/range_lock.hpp"

#include <gtest/gtest.h>

#include <cctype>
#include <cerrno>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "lunkit/task.hpp"
#include "support/fake_queue.hpp"

namespace lunkit {
namespace {

using test::FakeQueue;

/// Claims, named by letters: a holder writes its letter when it gets the lock and keeps the lock
/// until its own event comes.
template <typename Lock>
class Claims : public ::testing::Test {
  protected:
    using Mode = typename Lock::Mode;

    struct Claim {
        lunkit_completion* held = nullptr;
        typename Lock::Guard* guard = nullptr;
    };

    Detached hold(char name, ByteRange range, Mode mode, Claim& until) {
        typename Lock::Guard guard(lock_, range, mode);
        until.guard = &guard;
        if (const Outcome outcome = co_await guard.acquire(queue_); !outcome.ok()) {
            EXPECT_EQ(outcome.result, -ECANCELED);
            log_ += static_cast<char>(std::toupper(name));
            co_return;
        }
        log_ += name;
        co_await Operation([&until](lunkit_completion* completion) {
            until.held = completion;
            return LUNKIT_PENDING;
        });
    }
    void start(char name, ByteRange range, Mode mode) {
        claims_[index(name)] = {};
        hold(name, range, mode, claims_[index(name)]);
    }
    void end(char name) {
        queue_.post(claims_[index(name)].held);
        queue_.run_all();
    }
    bool withdraw(char name) {
        const bool waited = claims_[index(name)].guard->withdraw();
        queue_.run_all();
        return waited;
    }
    [[nodiscard]] std::string log() const { return log_; }

    static std::size_t index(char name) { return static_cast<std::size_t>(name - 'a'); }

    FakeQueue queue_;
    Lock lock_;
    std::string log_;
    std::vector<Claim> claims_{26};
};

using Locks = ::testing::Types<RangeLock, SharedRangeLock>;
TYPED_TEST_SUITE(Claims, Locks);

TYPED_TEST(Claims, ExclusiveOnesOfApartRangesAreHeldTogether) {
    this->start('a', {0, 10}, TypeParam::Mode::kExclusive);
    this->start('b', {10, 10}, TypeParam::Mode::kExclusive);
    EXPECT_EQ(this->log(), "ab");
    this->end('a');
    this->end('b');
    EXPECT_TRUE(this->lock_.empty());
}

TYPED_TEST(Claims, OverlappingExclusiveOnesFollowEachOther) {
    this->start('a', {0, 10}, TypeParam::Mode::kExclusive);
    this->start('b', {9, 10}, TypeParam::Mode::kExclusive);
    this->start('c', {9, 10}, TypeParam::Mode::kExclusive);
    EXPECT_EQ(this->log(), "a");
    this->end('a');
    EXPECT_EQ(this->log(), "ab");
    this->end('b');
    EXPECT_EQ(this->log(), "abc");
    this->end('c');
}

/// A capital letter: the claim was given up.
TYPED_TEST(Claims, WithdrawnOneHoldsUpNobody) {
    this->start('a', {0, 10}, TypeParam::Mode::kExclusive);
    this->start('b', {5, 10}, TypeParam::Mode::kExclusive);
    this->start('c', {12, 10}, TypeParam::Mode::kExclusive);
    EXPECT_FALSE(this->withdraw('a')) << "it is held";
    EXPECT_TRUE(this->withdraw('b'));
    EXPECT_EQ(this->log(), "aBc") << "in this order";
    this->end('a');
    this->end('c');
    EXPECT_TRUE(this->lock_.empty());
}

TYPED_TEST(Claims, OneThatHasItsTurnCannotBeWithdrawn) {
    this->start('a', {0, 10}, TypeParam::Mode::kExclusive);
    this->start('b', {0, 10}, TypeParam::Mode::kExclusive);
    this->queue_.post(this->claims_[0].held);
    EXPECT_TRUE(this->queue_.run_one());  // b has been called, and does not know yet
    EXPECT_FALSE(this->withdraw('b'));
    EXPECT_EQ(this->log(), "ab");
    this->end('b');
}

TYPED_TEST(Claims, SharedOnesOverlapEachOther) {
    this->start('a', {0, 10}, TypeParam::Mode::kShared);
    this->start('b', {0, 10}, TypeParam::Mode::kShared);
    this->start('c', {5, 1}, TypeParam::Mode::kExclusive);
    EXPECT_EQ(this->log(), "ab");
    this->end('a');
    EXPECT_EQ(this->log(), "ab");
    this->end('b');
    EXPECT_EQ(this->log(), "abc");
    this->end('c');
}

TYPED_TEST(Claims, SharedOneDoesNotOvertakeAWaitingExclusiveOne) {
    this->start('a', {0, 10}, TypeParam::Mode::kShared);
    this->start('b', {0, 10}, TypeParam::Mode::kExclusive);
    this->start('c', {0, 10}, TypeParam::Mode::kShared);
    EXPECT_EQ(this->log(), "a");
    this->end('a');
    EXPECT_EQ(this->log(), "ab");
    this->end('b');
    EXPECT_EQ(this->log(), "abc");
    this->end('c');
}

TYPED_TEST(Claims, ReleaseFreesEveryoneItHeldUp) {
    this->start('a', {0, 100}, TypeParam::Mode::kExclusive);
    this->start('b', {0, 10}, TypeParam::Mode::kExclusive);
    this->start('c', {20, 10}, TypeParam::Mode::kExclusive);
    this->start('d', {25, 10}, TypeParam::Mode::kExclusive);
    this->end('a');
    EXPECT_EQ(this->log(), "abc");
    this->end('c');
    EXPECT_EQ(this->log(), "abcd");
    this->end('b');
    this->end('d');
}

TYPED_TEST(Claims, WaiterGoesOnFromTheLoopOnly) {
    this->start('a', {0, 1}, TypeParam::Mode::kExclusive);
    {
        typename TypeParam::Guard first(this->lock_, {5, 1}, TypeParam::Mode::kExclusive);
        Detached started = [](auto& guard, FakeQueue& queue) -> Detached {
            co_await guard.acquire(queue);
        }(first, this->queue_);
        (void)started;  // nothing to keep
        this->start('b', {5, 1}, TypeParam::Mode::kExclusive);
    }
    EXPECT_EQ(this->log(), "a") << "the guard has gone, but the loop has not turned";
    this->queue_.run_all();
    EXPECT_EQ(this->log(), "ab");
    this->end('a');
    this->end('b');
}

template <typename Guard>
Detached await(Guard& guard, FakeQueue& queue, bool& held) {
    const Outcome outcome = co_await guard.acquire(queue);
    held = outcome.ok();
}

TYPED_TEST(Claims, OneThatEntersAFreeRangeHoldsItAtOnce) {
    {
        typename TypeParam::Guard guard(this->lock_, {0, 10}, TypeParam::Mode::kExclusive);
        EXPECT_TRUE(guard.enter());
        EXPECT_FALSE(guard.withdraw());
        this->start('a', {5, 1}, TypeParam::Mode::kExclusive);
        this->queue_.run_all();
        EXPECT_EQ(this->log(), "");
    }
    this->queue_.run_all();
    EXPECT_EQ(this->log(), "a");
    this->end('a');
    EXPECT_TRUE(this->lock_.empty());
}

TYPED_TEST(Claims, OneThatEntersBehindOthersAwaitsItsTurn) {
    this->start('a', {0, 10}, TypeParam::Mode::kExclusive);
    {
        typename TypeParam::Guard guard(this->lock_, {0, 10}, TypeParam::Mode::kExclusive);
        EXPECT_FALSE(guard.enter());
        bool held = false;
        await(guard, this->queue_, held);
        this->start('b', {0, 10}, TypeParam::Mode::kExclusive);
        this->queue_.run_all();
        EXPECT_FALSE(held);
        this->end('a');
        EXPECT_TRUE(held);
        EXPECT_EQ(this->log(), "a");
    }
    this->queue_.run_all();
    EXPECT_EQ(this->log(), "ab");
    this->end('b');
    EXPECT_TRUE(this->lock_.empty());
}

TYPED_TEST(Claims, TheTurnOfOneThatHasEnteredMayComeBeforeItAwaitsIt) {
    this->start('a', {0, 10}, TypeParam::Mode::kExclusive);
    typename TypeParam::Guard guard(this->lock_, {0, 10}, TypeParam::Mode::kExclusive);
    EXPECT_FALSE(guard.enter());
    EXPECT_FALSE(guard.withdraw()) << "it does not wait yet";
    this->end('a');
    bool held = false;
    await(guard, this->queue_, held);
    EXPECT_TRUE(held);
}

/// Many coroutines with random ranges, completions in random order: at no time do two that conflict
/// hold the lock, and all get it.
struct Exclusion {
    Detached worker(ByteRange range, RangeLock::Mode mode) {
        RangeLock::Guard guard(lock, range, mode);
        co_await guard.acquire(queue);
        for (std::uint64_t byte = range.offset; byte < range.end(); ++byte) {
            int& here = holders[byte];
            if (mode == RangeLock::Mode::kExclusive) {
                EXPECT_EQ(here, 0);
                here = -1;
            } else {
                EXPECT_GE(here, 0);
                ++here;
            }
        }
        co_await queue.yield();
        co_await queue.yield();
        for (std::uint64_t byte = range.offset; byte < range.end(); ++byte) {
            holders[byte] = mode == RangeLock::Mode::kExclusive ? 0 : holders[byte] - 1;
        }
        ++finished;
    }

    FakeQueue queue;
    RangeLock lock;
    std::vector<int> holders = std::vector<int>(64);
    unsigned finished = 0;
};

TEST(RangeLock, ExcludesWhateverTheOrderOfCompletions) {
    Exclusion exclusion;
    exclusion.queue.shuffle();
    std::mt19937 random(
        4711);  // NOLINT(bugprone-random-generator-seed): the order is the random part
    constexpr unsigned kWorkers = 500;
    for (unsigned i = 0; i < kWorkers; ++i) {
        const std::uint64_t offset = random() % 60;
        exclusion.worker({offset, 1 + random() % 4}, random() % 2 == 0
                                                         ? RangeLock::Mode::kShared
                                                         : RangeLock::Mode::kExclusive);
        exclusion.queue.run_one();
    }
    exclusion.queue.run_all();
    EXPECT_EQ(exclusion.finished, kWorkers);
    EXPECT_TRUE(exclusion.lock.empty());
}

Detached in_turn(AsyncMutex& mutex, FakeQueue& queue, std::string& log, char name) {
    AsyncMutex::Guard guard(mutex);
    co_await guard.acquire(queue);
    log += name;
    co_await queue.yield();
    log += name;
}

TEST(AsyncMutex, HoldersFollowInOrderOfArrival) {
    AsyncMutex mutex;
    FakeQueue queue;
    std::string log;
    in_turn(mutex, queue, log, 'a');
    in_turn(mutex, queue, log, 'b');
    in_turn(mutex, queue, log, 'c');
    queue.run_all();
    EXPECT_EQ(log, "aabbcc");
}

}  // namespace
}  // namespace lunkit

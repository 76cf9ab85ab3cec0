// SPDX-License-Identifier: Apache-2.0
// Coroutine frames in the steady state allocate nothing.
#include "lunkit/frame_pool.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstddef>

#include "lunkit/range_lock.hpp"
#include "lunkit/task.hpp"
#include "support/counted_new.hpp"
#include "support/fake_queue.hpp"

namespace lunkit {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kPooled = false;
#else
constexpr bool kPooled = true;
#endif

/// What a queue does without its machinery: keeps what waits, in place.
class OneSlotQueue final : public Queue {
  public:
    [[nodiscard]] lunkit_queue* handle() override { return nullptr; }
    int submit_timer(std::uint64_t /*nanoseconds*/, lunkit_completion* completion) override {
        post(completion);
        return LUNKIT_PENDING;
    }
    int submit_poll(int /*fd*/, std::uint32_t /*events*/, lunkit_completion* completion) override {
        post(completion);
        return LUNKIT_PENDING;
    }
    int submit_offload(const void* /*lane*/, std::int64_t (*function)(void*), void* argument,
                       lunkit_completion* completion) override {
        completion->result = function(argument);
        return LUNKIT_DONE;
    }
    void cancel(lunkit_completion* /*completion*/) override {}
    void post(lunkit_completion* completion) override { slots_[used_++] = completion; }
    void run() {
        for (std::size_t i = 0; i < used_; ++i) {
            slots_[i]->done(slots_[i]);
        }
        used_ = 0;
    }

  private:
    std::array<lunkit_completion*, 16> slots_{};
    std::size_t used_ = 0;
};

Task<int> leaf(Queue& queue, std::array<std::byte, 200> ballast) {
    co_await queue.yield();
    co_return static_cast<int>(ballast.size());
}

Task<int> middle(Queue& queue, RangeLock& lock) {
    RangeLock::Guard guard(lock, {0, 1}, RangeLock::Mode::kExclusive);
    co_await guard.acquire(queue);
    int sum = co_await leaf(queue, {});
    const Outcome outcome = co_await queue.offload(nullptr, [] { return std::int64_t{1}; });
    sum += static_cast<int>(outcome.result);
    co_return sum;
}

Detached request(Queue& queue, RangeLock& lock, int& sum) {
    const int mine = co_await middle(queue, lock);
    sum += mine;
}

int serve_a_batch(OneSlotQueue& queue, RangeLock& lock) {
    int sum = 0;
    for (int i = 0; i < 4; ++i) {
        request(queue, lock, sum);
    }
    while (!lock.empty()) {
        queue.run();
    }
    return sum;
}

TEST(FramePool, SteadyStateAllocatesNothing) {
    if (!kPooled) {
        GTEST_SKIP() << "under ASan each frame comes from the heap";
    }
    OneSlotQueue queue;
    RangeLock lock;
    serve_a_batch(queue, lock);
    const std::size_t before = test::allocations.load();
    int sum = 0;
    for (int i = 0; i < 100; ++i) {
        sum += serve_a_batch(queue, lock);
    }
    EXPECT_EQ(test::allocations.load(), before);
    EXPECT_EQ(sum, 100 * 4 * 201);
}

TEST(FramePool, GivesAFreedBlockOfTheSameSizeClassAgain) {
    if (!kPooled) {
        GTEST_SKIP() << "under ASan each frame comes from the heap";
    }
    FramePool pool;
    void* first = pool.allocate(65);
    void* other = pool.allocate(64);
    EXPECT_NE(first, other);
    pool.release(first, 65);
    void* again = pool.allocate(128);
    EXPECT_EQ(again, first);
    pool.release(again, 128);
    pool.release(other, 64);
}

TEST(FramePool, LargeFramesGoToTheHeap) {
    FramePool pool;
    const std::size_t before = test::allocations.load();
    for (int i = 0; i < 3; ++i) {
        pool.release(pool.allocate(5000), 5000);
    }
    EXPECT_EQ(test::allocations.load(), before + 3);
}

}  // namespace
}  // namespace lunkit

// SPDX-License-Identifier: Apache-2.0
#include "filters/throttle.hpp"

#include <cerrno>
#include <deque>

#include "filter_rig.hpp"

namespace lunkit::filters {

class Throttle : public FilterRig {
  protected:
    std::unique_ptr<ThrottleFilter> filter(const ThrottleOptions& options) {
        return std::make_unique<ThrottleFilter>(memory(), options, world());
    }
    /// `count` reads at once; in the order of asking.
    std::deque<StartedRead> start_reads(BlockDevice& device, int count, std::size_t length = 512) {
        std::deque<StartedRead> reads;
        for (int i = 0; i < count; ++i) {
            reads.emplace_back(length).start(queue_, device);
        }
        return reads;
    }
    void run_all() {
        while (queue_.step()) {
        }
    }
};

TEST_F(Throttle, SoManyRequestsASecond) {
    const auto device = filter({.iops = 100, .burst = 50ms});
    const auto reads = start_reads(*device, 105);
    run_all();
    EXPECT_EQ(0ns, reads[4].ended) << "the burst";
    EXPECT_EQ(10ms, reads[5].ended);
    EXPECT_EQ(1s, reads[104].ended);
}

TEST_F(Throttle, RequestsGoInTheirOrder) {
    const auto device = filter({.iops = 1000, .rate = 1 << 20, .burst = 1ms});
    std::deque<StartedRead> reads;
    for (int i = 0; i < 50; ++i) {
        reads.emplace_back(i % 2 == 0 ? 512 : 65536).start(queue_, *device);
    }
    run_all();
    for (std::size_t i = 1; i < reads.size(); ++i) {
        EXPECT_LE(reads[i - 1].ended, reads[i].ended) << i;
    }
}

TEST_F(Throttle, SoManyBytesASecondInBothDirections) {
    const auto device = filter({.rate = 1 << 20, .burst = 1ms});
    for (int i = 0; i < 8; ++i) {
        ASSERT_TRUE(read(*device, 0, 65536));
        ASSERT_TRUE(write(*device, 0, 65536));
    }
    // 16 times 62.5 ms, but for the first, which found the bucket full.
    EXPECT_GE(queue_.now(), 930ms);
    EXPECT_LE(queue_.now(), 940ms);
}

TEST_F(Throttle, ARequestLargerThanTheBurstPasses) {
    const auto device = filter({.rate = 4096, .burst = 1ms});
    EXPECT_EQ(0ns, end_of_read(*device, 65536));
    EXPECT_GT(end_of_read(*device, 512), 15s) << "it left a debt";
}

TEST_F(Throttle, WhatMovesNoDataCountsAsARequestOnly) {
    const auto device = filter({.rate = 4096, .burst = 1ms});
    ASSERT_TRUE(run(device->write_zeroes(queue_, IoRequest(0, kSize))));
    ASSERT_TRUE(run(device->discard(queue_, IoRequest(0, kSize))));
    ASSERT_TRUE(run(device->flush(queue_)));
    EXPECT_EQ(0ns, queue_.now());
}

TEST_F(Throttle, FlushesAndDiscardsAreRequestsToo) {
    const auto device = filter({.iops = 10, .burst = 100ms});
    ASSERT_TRUE(run(device->flush(queue_)));
    ASSERT_TRUE(run(device->discard(queue_, IoRequest(0, 512))));
    ASSERT_TRUE(run(device->flush(queue_)));
    EXPECT_EQ(200ms, queue_.now());
}

TEST_F(Throttle, WhoWaitsGoesOnAtOnceWhenTheDaemonStops) {
    const auto device = filter({.iops = 1, .burst = 1ms});
    const auto reads = start_reads(*device, 100);
    queue_.run_all();
    EXPECT_FALSE(reads[1].outcome);
    handing_over_ = true;
    queue_.advance(200ms);
    queue_.run_all();
    EXPECT_TRUE(reads[1].outcome);
    EXPECT_TRUE(reads[99].outcome);
    EXPECT_EQ(100U, memory_.count(Kind::kRead));
}

}  // namespace lunkit::filters

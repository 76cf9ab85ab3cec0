// SPDX-License-Identifier: Apache-2.0
#include "filters/token_bucket.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <utility>
#include <vector>

namespace lunkit::filters {

using std::chrono::nanoseconds;
using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): 5ms

TEST(TokenBucket, ABurstPassesAndThenTheRateHolds) {
    TokenBucket bucket(100, 50ms);  // 5 tokens
    for (int i = 0; i < 5; ++i) {
        EXPECT_EQ(1s, bucket.take(1, 1s)) << i;
    }
    EXPECT_EQ(1s + 10ms, bucket.take(1, 1s));
    EXPECT_EQ(1s + 20ms, bucket.take(1, 1s));
}

TEST(TokenBucket, APauseFillsItAndNoMore) {
    TokenBucket bucket(100, 50ms);
    (void)bucket.take(5, 1s);
    EXPECT_EQ(1h, bucket.take(5, 1h));
    EXPECT_EQ(1h + 10ms, bucket.take(1, 1h));
}

TEST(TokenBucket, WhoWantsMoreThanItHoldsGoesWhenItIsFullAndLeavesADebt) {
    TokenBucket bucket(1000, 100ms);
    EXPECT_EQ(1s, bucket.take(5000, 1s));
    EXPECT_EQ(1s + 5s - 99ms, bucket.take(1, 1s)) << "when the debt is paid and a token is there";
    EXPECT_EQ(1s + 5s + 1ms, bucket.take(5000, 1s)) << "when it is full again";
}

TEST(TokenBucket, ABurstOfLessThanOneUnitLetsUnitsPassOneByOne) {
    TokenBucket bucket(5, 1ms);
    EXPECT_EQ(1s, bucket.take(1, 1s));
    EXPECT_EQ(1s + 200ms, bucket.take(1, 1s));
    EXPECT_EQ(1s + 400ms, bucket.take(1, 1s));
}

TEST(TokenBucket, TheRateHoldsExactlyOverALongTime) {
    TokenBucket bucket(7, 100ms);
    nanoseconds last{};
    for (int i = 0; i <= 7 * 3600; ++i) {
        last = bucket.take(1, 1s);
    }
    EXPECT_GE(last, 1h + 1s);
    EXPECT_LT(last, 1h + 1s + 1ms) << "25200 roundings of less than a nanosecond each";
}

TEST(TokenBucket, NoWindowOfTimeHasMoreThanRateAndBurst) {
    constexpr std::uint64_t kRate = 1 << 20;
    constexpr std::uint64_t kBurst = kRate / 10;
    TokenBucket bucket(kRate, 100ms);
    std::mt19937_64 random(4711);
    std::vector<std::pair<nanoseconds, std::uint64_t>> passed;
    nanoseconds now = 1s;
    for (int i = 0; i < 400; ++i) {
        const std::uint64_t units = (random() % 32 + 1) * 512;
        now += nanoseconds(random() % 10'000'000);
        passed.emplace_back(bucket.take(units, now), units);
        ASSERT_GE(passed.back().first, now);
    }
    for (std::size_t from = 0; from < passed.size(); ++from) {
        std::uint64_t sum = 0;
        for (std::size_t to = from; to < passed.size(); ++to) {
            ASSERT_LE(passed[from].first, passed[to].first) << "out of order";
            sum += passed[to].second;
            const double seconds =
                std::chrono::duration<double>(passed[to].first - passed[from].first).count();
            ASSERT_LE(static_cast<double>(sum), seconds * kRate + kBurst + 1) << from << " " << to;
        }
    }
}

TEST(TokenBucket, HighRatesAndLongRequestsFit) {
    TokenBucket fast(std::uint64_t{1} << 40, 1us);
    (void)fast.take((std::uint64_t{1} << 40) - 1, 1s);
    const nanoseconds due = fast.take(1, 1s);
    EXPECT_GE(due, 1s + 999ms);
    EXPECT_LE(due, 1s + 1001ms);
    TokenBucket slow(4096, 100ms);
    (void)slow.take(std::uint64_t{1} << 40, 1s);
    EXPECT_EQ(1s + 268435456s, slow.take(512, 1s)) << "more than a burst: when it is full";
}

}  // namespace lunkit::filters

// SPDX-License-Identifier: Apache-2.0
#include "core/latency.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace lunkit::core {
namespace {

using namespace std::chrono_literals;

LatencySummary summary_of(const LatencyHistogram& histogram) {
    LatencyCounts counts;
    counts.add(histogram);
    return counts.summary();
}

TEST(LatencyHistogram, BucketsFollowEachOtherWithoutGapsAndAreAnEighthWide) {
    constexpr std::size_t kLast = LatencyHistogram::kBuckets - 1;
    for (std::size_t bucket = 0; bucket < kLast; ++bucket) {
        const std::uint64_t end = LatencyHistogram::end_of(bucket);
        ASSERT_EQ(LatencyHistogram::bucket_of(end), bucket);
        ASSERT_EQ(LatencyHistogram::bucket_of(end + 1), bucket + 1);
        const std::uint64_t width = LatencyHistogram::end_of(bucket + 1) - end;
        ASSERT_LE(width * LatencyHistogram::kParts, std::max<std::uint64_t>(end + 1, 8));
    }
    EXPECT_EQ(LatencyHistogram::bucket_of(~std::uint64_t{0}), kLast);
}

TEST(LatencyHistogram, NothingRecordedIsAllZero) {
    const LatencySummary told = summary_of(LatencyHistogram());
    EXPECT_EQ(told.count, 0U);
    EXPECT_EQ(told.p50, 0U);
    EXPECT_EQ(told.max, 0U);
}

TEST(LatencyHistogram, PercentilesAreAtMostAnEighthTooHigh) {
    LatencyHistogram histogram;
    for (int i = 1; i <= 1000; ++i) {
        histogram.record(i * 1us);
    }
    const LatencySummary told = summary_of(histogram);
    EXPECT_EQ(told.count, 1000U);
    EXPECT_EQ(told.sum, 500'500'000U);
    EXPECT_EQ(told.max, 1'000'000U);
    const auto is_near = [](std::uint64_t value, std::uint64_t exact) {
        return value >= exact && value <= exact + exact / 8;
    };
    EXPECT_TRUE(is_near(told.p50, 500'000)) << told.p50;
    EXPECT_TRUE(is_near(told.p90, 900'000)) << told.p90;
    EXPECT_TRUE(is_near(told.p99, 990'000)) << told.p99;
    EXPECT_TRUE(is_near(told.p999, 999'000)) << told.p999;
}

TEST(LatencyHistogram, OneCommandIsEveryPercentileAndNoneExceedsTheMaximum) {
    LatencyHistogram histogram;
    histogram.record(1234567ns);
    const LatencySummary told = summary_of(histogram);
    EXPECT_EQ(told.p50, 1'234'567U);
    EXPECT_EQ(told.p999, 1'234'567U);
}

TEST(LatencyHistogram, BoundsCountAllThatTookLess) {
    LatencyHistogram histogram;
    histogram.record(1us);
    histogram.record(20us);  // beyond 2^14 ns
    histogram.record(1min);  // beyond all
    const LatencySummary told = summary_of(histogram);
    EXPECT_EQ(told.within.front(), 1U);
    EXPECT_EQ(told.within[1], 2U);
    EXPECT_EQ(told.within.back(), 2U);
}

TEST(LatencyHistogram, ClockThatWentBackCountsAsNoTime) {
    LatencyHistogram histogram;
    histogram.record(-5ns);
    EXPECT_EQ(summary_of(histogram).max, 0U);
    EXPECT_EQ(summary_of(histogram).count, 1U);
}

TEST(LatencyCounts, SeveralHistogramsAreOne) {
    LatencyHistogram a;
    LatencyHistogram b;
    a.record(10us);
    b.record(30us);
    LatencyCounts both;
    both.add(a);
    both.add(b);
    EXPECT_EQ(both.summary().count, 2U);
    EXPECT_EQ(both.summary().sum, 40'000U);
    EXPECT_EQ(both.summary().max, 30'000U);
}

}  // namespace
}  // namespace lunkit::core

// SPDX-License-Identifier: Apache-2.0
#include "core/trace.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <thread>
#include <vector>

namespace lunkit::core {
namespace {

std::vector<TraceRecord> take_all(TraceTap& tap) {
    std::vector<TraceRecord> all;
    std::array<TraceRecord, 100> some;
    while (const std::size_t count = tap.take(some)) {
        all.insert(all.end(), some.begin(), some.begin() + static_cast<std::ptrdiff_t>(count));
    }
    return all;
}

TEST(TraceTap, GivesWhatWasPutInItsOrder) {
    TraceTap tap;
    EXPECT_FALSE(tap.is_watched());
    ASSERT_TRUE(tap.start());
    EXPECT_TRUE(tap.is_watched());
    tap.put({.tag = 1});
    tap.put({.tag = 2});
    const auto taken = take_all(tap);
    ASSERT_EQ(taken.size(), 2U);
    EXPECT_EQ(taken[0].tag, 1U);
    EXPECT_EQ(taken[1].tag, 2U);
    EXPECT_TRUE(take_all(tap).empty());
}

TEST(TraceTap, WhatFindsItFullIsLostAndCounted) {
    TraceTap tap;
    ASSERT_TRUE(tap.start());
    for (std::uint64_t tag = 0; tag < TraceTap::kRecords + 3; ++tag) {
        tap.put({.tag = tag});
    }
    const auto taken = take_all(tap);
    ASSERT_EQ(taken.size(), TraceTap::kRecords);
    EXPECT_EQ(taken.back().tag, TraceTap::kRecords - 1);
    tap.put({.tag = 7});
    tap.put({.tag = 8});
    const auto next = take_all(tap);
    ASSERT_EQ(next.size(), 2U);
    EXPECT_EQ(next[0].lost, 3U);
    EXPECT_EQ(next[1].lost, 0U);
}

// With a device that goes then, nobody was told.
TEST(TraceTap, WhatWasLostLastIsToldWithoutARecord) {
    TraceTap tap;
    ASSERT_TRUE(tap.start());
    for (std::uint64_t tag = 0; tag < TraceTap::kRecords + 3; ++tag) {
        tap.put({.tag = tag});
    }
    EXPECT_EQ(tap.take_lost(), 3U);
    EXPECT_EQ(tap.take_lost(), 0U);
}

TEST(TraceTap, OneWatchesAtATimeAndTheNextSeesNothingOld) {
    TraceTap tap;
    ASSERT_TRUE(tap.start());
    EXPECT_EQ(tap.start().error().code, EBUSY);
    tap.put({.tag = 1});
    tap.stop();
    EXPECT_FALSE(tap.is_watched());
    ASSERT_TRUE(tap.start());
    EXPECT_TRUE(take_all(tap).empty());
}

TEST(TraceTap, ThreadsPutAtOnceAndNothingIsLostWhileThereIsRoom) {
    constexpr std::uint64_t kEach = TraceTap::kRecords / 2;
    TraceTap tap;
    ASSERT_TRUE(tap.start());
    const auto put = [&tap](std::uint64_t base) {
        for (std::uint64_t i = 0; i < kEach; ++i) {
            tap.put({.tag = base + i, .bytes = base + i});
        }
    };
    {
        const std::jthread one(put, 0);
        const std::jthread two(put, kEach);
    }
    const auto taken = take_all(tap);
    ASSERT_EQ(taken.size(), 2 * kEach);
    std::array<std::uint64_t, 2> next{0, kEach};  // each thread's come in its order
    for (const TraceRecord& record : taken) {
        EXPECT_EQ(record.tag, next[record.tag / kEach]++);
        EXPECT_EQ(record.bytes, record.tag);
    }
}

TEST(TraceTap, WhoTakesBesideThemGetsEveryRecordOrWordOfItsLoss) {
    constexpr std::uint64_t kEach = 16 * TraceTap::kRecords;
    constexpr std::uint64_t kLast = ~std::uint64_t{0};
    TraceTap tap;
    ASSERT_TRUE(tap.start());
    const auto put = [&tap](std::uint64_t base) {
        for (std::uint64_t i = 0; i < kEach; ++i) {
            tap.put({.tag = base + i, .bytes = base + i});
        }
    };
    std::vector<TraceRecord> taken;
    const auto take = [&] {
        const auto some = take_all(tap);
        taken.insert(taken.end(), some.begin(), some.end());
    };
    {
        std::atomic<int> putting{2};
        const auto put_all = [&](std::uint64_t base) {
            put(base);
            --putting;
        };
        const std::jthread one(put_all, 0);
        const std::jthread two(put_all, kEach);
        while (putting != 0) {
            take();
        }
    }
    take();
    tap.put({.tag = kLast});  // tells of what was lost at the end
    take();
    ASSERT_FALSE(taken.empty());
    EXPECT_EQ(taken.back().tag, kLast);
    std::uint64_t lost = 0;
    std::array<std::uint64_t, 2> next{0, kEach};
    for (const TraceRecord& record : taken) {
        lost += record.lost;
        if (record.tag != kLast) {
            std::uint64_t& from = next.at(record.tag / kEach);
            ASSERT_EQ(record.bytes, record.tag);
            ASSERT_GE(record.tag, from);
            from = record.tag + 1;
        }
    }
    EXPECT_EQ(taken.size() - 1 + lost, 2 * kEach);
}

}  // namespace
}  // namespace lunkit::core

// SPDX-License-Identifier: Apache-2.0
#include "dm_log/region_bits.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace lunkit::dm_log {
namespace {

constexpr std::uint64_t kAll = ~std::uint64_t{0};

struct Bits {
    explicit Bits(std::uint64_t regions)
        : words(RegionBits::words_for(regions)), bits(words, regions) {}
    std::vector<std::uint64_t> words;
    RegionBits bits;
};

TEST(RegionBits, SetAndResetSayWhatChanged) {
    Bits b(70);
    EXPECT_TRUE(b.bits.set(69));
    EXPECT_FALSE(b.bits.set(69));
    EXPECT_TRUE(b.bits.test(69));
    EXPECT_EQ(b.words[1], 1U << 5U);
    EXPECT_TRUE(b.bits.reset(69));
    EXPECT_FALSE(b.bits.reset(69));
    EXPECT_EQ(b.bits.count(), 0U);
}

TEST(RegionBits, AssignKeepsWhatIsKnownAndFillsTheRest) {
    const std::vector<std::uint64_t> from = {kAll & ~std::uint64_t{2}, kAll};
    Bits grown(200);
    grown.bits.assign(from, 70, false);
    EXPECT_EQ(grown.bits.count(), 69U);
    EXPECT_FALSE(grown.bits.test(1));
    EXPECT_TRUE(grown.bits.test(69));
    EXPECT_FALSE(grown.bits.test(70));
    grown.bits.assign(from, 70, true);
    EXPECT_EQ(grown.bits.count(), 199U);
}

TEST(RegionBits, AssignOfALongerMapLeavesNothingBehindTheLastRegion) {
    const std::vector<std::uint64_t> from = {kAll, kAll, kAll};
    Bits shrunk(65);
    shrunk.bits.assign(from, 192, true);
    EXPECT_EQ(shrunk.words[1], 1U);
    EXPECT_EQ(shrunk.bits.count(), 65U);
    shrunk.bits.assign({}, 0, true);
    EXPECT_EQ(shrunk.words[1], 1U);
}

TEST(RegionBits, NextFindsEitherValueAndEndsWithTheRegions) {
    Bits b(130);
    b.bits.set(63);
    b.bits.set(129);
    EXPECT_EQ(b.bits.next(0, true), 63U);
    EXPECT_EQ(b.bits.next(63, false), 64U);
    EXPECT_EQ(b.bits.next(64, true), 129U);
    EXPECT_EQ(b.bits.next(129, false), 130U);
    EXPECT_EQ(b.bits.next(130, true), 130U);
    b.bits.reset(129);
    EXPECT_EQ(b.bits.next(64, true), 130U);
}

TEST(RegionBits, FirstZeroGoesOverWordsAndStopsAtTheLastRegion) {
    Bits b(130);
    b.bits.assign({}, 0, true);
    EXPECT_FALSE(b.bits.first_zero(0));
    for (const std::uint64_t region :
         {std::uint64_t{0}, std::uint64_t{63}, std::uint64_t{64}, std::uint64_t{129}}) {
        b.bits.reset(region);
    }
    EXPECT_EQ(b.bits.first_zero(0), 0U);
    EXPECT_EQ(b.bits.first_zero(1), 63U);
    EXPECT_EQ(b.bits.first_zero(64), 64U);
    EXPECT_EQ(b.bits.first_zero(65), 129U);
    EXPECT_FALSE(b.bits.first_zero(130));
}

}  // namespace
}  // namespace lunkit::dm_log

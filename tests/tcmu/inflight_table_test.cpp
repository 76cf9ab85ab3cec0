// SPDX-License-Identifier: Apache-2.0
#include "tcmu/inflight_table.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace lunkit::tcmu {
namespace {

class InflightTableTest : public testing::Test {
  protected:
    static constexpr InflightTable::Geometry kGeometry{.slots = 4, .arena_iovs = 256};
    core::MemoryMapping memory = *core::MemoryMapping::anonymous(kGeometry.bytes());
    core::MemoryMapping mapping = *core::MemoryMapping::anonymous(1 << 20);
    InflightTable table = *InflightTable::make(memory.bytes(), kGeometry, mapping.bytes());

    std::uint32_t publish(std::uint64_t iovs) {
        const std::optional<std::uint32_t> index = table.claim(iovs);
        EXPECT_TRUE(index.has_value());
        std::uint64_t offset = 0;
        for (RingRange& range : table.ranges(*index)) {
            range = {.offset = offset += 16, .length = 8};
        }
        table.publish(*index);
        return *index;
    }
};

TEST_F(InflightTableTest, TooLittleMemoryIsRefused) {
    EXPECT_FALSE(InflightTable::make(memory.bytes().first(100), kGeometry, mapping.bytes()));
}

TEST_F(InflightTableTest, IovecsPointIntoTheMapping) {
    const std::uint32_t index = publish(3);
    const std::span<const iovec> iovs = table.data_iovs(index);
    ASSERT_EQ(iovs.size(), 3U);
    EXPECT_EQ(iovs[2].iov_base, mapping.bytes().data() + 48);
    EXPECT_EQ(iovs[2].iov_len, 8U);
}

TEST_F(InflightTableTest, SlotsRunOutAndComeBack) {
    std::vector<std::uint32_t> slots;
    for (int i = 0; i < 4; ++i) {
        slots.push_back(publish(1));
    }
    EXPECT_FALSE(table.claim(1).has_value());
    table.begin_completion(slots[2], 0);
    table.release(slots[2]);
    EXPECT_EQ(table.claim(1), slots[2]);
}

TEST_F(InflightTableTest, ArenaRunsOutBeforeTheSlots) {
    const std::uint32_t half = publish(128);
    (void)publish(100);
    EXPECT_FALSE(table.claim(17).has_value());
    EXPECT_TRUE(table.claim(16).has_value());
    table.release(half);
    EXPECT_EQ(table.data_iovs(publish(128)).size(), 128U);
}

TEST_F(InflightTableTest, ArenaRunsDoNotOverlap) {
    const std::uint32_t first = publish(65);
    const std::uint32_t second = publish(64);
    const iovec* end = table.data_iovs(first).data() + 65;
    EXPECT_GE(table.data_iovs(second).data(), end);
}

TEST_F(InflightTableTest, AbandonedClaimGivesEverythingBack) {
    const std::optional<std::uint32_t> index = table.claim(256);
    ASSERT_TRUE(index.has_value());
    table.abandon(*index);
    EXPECT_TRUE(table.claim(256).has_value());
    EXPECT_EQ(table.in_flight(), 0U);
}

TEST_F(InflightTableTest, SaysWhatNeverFits) {
    EXPECT_FALSE(table.never_fits(256));
    EXPECT_TRUE(table.never_fits(257));
}

TEST_F(InflightTableTest, StateInMemoryFollowsTheCommand) {
    const std::uint32_t index = publish(1);
    EXPECT_EQ(table.at(index).state, static_cast<std::uint32_t>(SlotState::kFetched));
    table.begin_completion(index, 4242);
    EXPECT_EQ(table.at(index).state, static_cast<std::uint32_t>(SlotState::kCompleting));
    EXPECT_EQ(table.at(index).completion_tail, 4242U);
    table.release(index);
    EXPECT_EQ(table.at(index).state, static_cast<std::uint32_t>(SlotState::kFree));
}

TEST_F(InflightTableTest, SequenceTellsTheOrderOfFetching) {
    const std::uint32_t first = publish(1);
    const std::uint32_t second = publish(1);
    EXPECT_LT(table.at(first).sequence, table.at(second).sequence);
}

TEST_F(InflightTableTest, OrphansAreCountedUntilTheyEnd) {
    const std::uint32_t index = publish(1);
    table.orphan_all();
    EXPECT_EQ(table.orphans(), 1U);
    table.release(index);
    EXPECT_EQ(table.orphans(), 0U);
    EXPECT_EQ(table.in_flight(), 0U);
}

}  // namespace
}  // namespace lunkit::tcmu

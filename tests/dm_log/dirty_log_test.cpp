// SPDX-License-Identifier: Apache-2.0
#include "dm_log/dirty_log.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace lunkit::dm_log {
namespace {

struct Log {
    explicit Log(std::uint64_t regions = 8)
        : memory(DirtyLog::words_for(regions)), bits(regions, memory) {}
    std::vector<std::uint64_t> memory;
    DirtyLog bits;
};

TEST(DirtyLog, NothingIsInSyncBeforeItBegins) {
    Log log;
    EXPECT_FALSE(log.bits.has_begun());
    EXPECT_EQ(log.bits.sync_count(), 0U);
    EXPECT_FALSE(log.bits.in_sync(3));
    log.bits.begin({}, 0, true);
    EXPECT_EQ(log.bits.sync_count(), 8U);
}

TEST(DirtyLog, MarkedRegionIsDirtyUntilItIsCleared) {
    Log log;
    log.bits.begin({}, 0, true);
    log.bits.mark(3);
    log.bits.mark(3);
    EXPECT_FALSE(log.bits.is_clean(3));
    EXPECT_TRUE(log.bits.in_sync(3));
    EXPECT_EQ(log.bits.clean_count(), 7U);
    log.bits.clear(3);
    EXPECT_TRUE(log.bits.is_clean(3));
}

TEST(DirtyLog, RegionThatIsOutOfSyncIsNotCleared) {
    Log log;
    log.bits.begin({}, 0, false);
    log.bits.clear(2);
    EXPECT_FALSE(log.bits.is_clean(2));
    log.bits.set_in_sync(2, true);
    log.bits.clear(2);
    EXPECT_TRUE(log.bits.is_clean(2));
    log.bits.set_in_sync(2, false);  // a leg has failed
    EXPECT_FALSE(log.bits.is_clean(2));
    EXPECT_FALSE(log.bits.in_sync(2));
    EXPECT_EQ(log.bits.sync_count(), 0U);
}

TEST(DirtyLog, WorkIsTheSameUntilItIsToldOf) {
    Log log;
    log.bits.begin({}, 0, false);
    log.bits.set_in_sync(0, true);
    EXPECT_EQ(log.bits.next_work(), 1U);
    EXPECT_EQ(log.bits.next_work(), 1U);  // its answer was lost
    log.bits.set_in_sync(1, true);
    EXPECT_EQ(log.bits.next_work(), 2U);
    log.bits.set_in_sync(5, false);  // another one's
    EXPECT_EQ(log.bits.next_work(), 2U);
}

TEST(DirtyLog, RegionThatCannotBeCopiedWaitsForTheNextResume) {
    Log log(2);
    log.bits.begin({}, 0, false);
    EXPECT_EQ(log.bits.next_work(), 0U);
    log.bits.set_in_sync(0, false);
    EXPECT_EQ(log.bits.next_work(), 1U);
    log.bits.set_in_sync(1, true);
    EXPECT_FALSE(log.bits.next_work());
    log.bits.resume();
    EXPECT_EQ(log.bits.next_work(), 0U);
}

TEST(DirtyLog, AfterASuspensionWhatIsDirtyIsOutOfSync) {
    Log log;
    log.bits.begin({}, 0, true);
    log.bits.mark(6);
    log.bits.resume();
    EXPECT_FALSE(log.bits.in_sync(6));
    EXPECT_EQ(log.bits.sync_count(), 7U);
    EXPECT_EQ(log.bits.next_work(), 6U);
}

// The kernel still holds the region, and no new MARK will come.
TEST(DirtyLog, SuccessorKnowsWhatWasDirty) {
    Log log(70);
    log.bits.begin({}, 0, true);
    log.bits.mark(69);
    log.bits.set_in_sync(5, false);
    DirtyLog successor(70, log.memory);
    successor.adopt();
    EXPECT_FALSE(successor.is_clean(69));
    EXPECT_TRUE(successor.in_sync(69));
    EXPECT_EQ(successor.sync_count(), 69U);
    EXPECT_EQ(successor.clean_count(), 68U);
    EXPECT_EQ(successor.next_work(), 5U);
}

TEST(DirtyLog, BitsBehindTheLastRegionCountForNothing) {
    Log log(3);
    std::ranges::fill(log.memory, ~std::uint64_t{0});
    log.bits.adopt();
    EXPECT_EQ(log.bits.sync_count(), 3U);
    EXPECT_EQ(log.bits.clean_words()[0], 7U);
}

TEST(DirtyLog, GrownAndShrunk) {
    Log small(4);
    small.bits.begin({}, 0, true);
    small.bits.mark(1);
    Log grown(100);
    grown.bits.begin(small.bits.clean_words(), small.bits.regions(), false);
    EXPECT_EQ(grown.bits.sync_count(), 3U);
    Log shrunk(2);
    shrunk.bits.begin(grown.bits.clean_words(), grown.bits.regions(), false);
    EXPECT_EQ(shrunk.bits.sync_count(), 1U);
}

TEST(DirtyLog, RunsOfRegionsThatAreAlike) {
    Log log(200);
    log.bits.begin({}, 0, true);
    log.bits.mark(7);
    log.bits.mark(64);
    log.bits.set_in_sync(65, false);
    DirtyLog::Ends ends;
    std::vector<std::uint64_t> runs;
    for (std::uint64_t region = 0; region < 200; region += runs.back()) {
        runs.push_back(log.bits.alike(region, ends));
    }
    EXPECT_EQ(runs, (std::vector<std::uint64_t>{7, 1, 56, 1, 1, 134}));
}

TEST(DirtyLog, ChangesNameTheWordsAndWhetherAnythingGotDirty) {
    Log log(300);
    log.bits.begin({}, 0, true);
    DirtyLog::Changes changes = log.bits.take_changes();
    EXPECT_EQ(changes.end_word, 5U);
    EXPECT_FALSE(log.bits.has_changes());
    log.bits.clear(7);  // was clean
    EXPECT_FALSE(log.bits.has_changes());
    log.bits.mark(70);
    log.bits.mark(200);
    changes = log.bits.take_changes();
    EXPECT_EQ(changes.first_word, 1U);
    EXPECT_EQ(changes.end_word, 4U);
    EXPECT_TRUE(changes.has_marks);
    log.bits.clear(70);
    EXPECT_FALSE(log.bits.take_changes().has_marks);
}

TEST(DirtyLog, ChangesThatWereNotStoredComeAgain) {
    Log log(300);
    log.bits.begin({}, 0, true);
    (void)log.bits.take_changes();
    log.bits.mark(70);
    const DirtyLog::Changes failed = log.bits.take_changes();
    log.bits.mark(299);
    log.bits.clear(299);
    log.bits.put_back(failed);
    const DirtyLog::Changes again = log.bits.take_changes();
    EXPECT_EQ(again.first_word, 1U);
    EXPECT_EQ(again.end_word, 5U);
    EXPECT_TRUE(again.has_marks);
}

}  // namespace
}  // namespace lunkit::dm_log

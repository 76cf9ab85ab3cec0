// SPDX-License-Identifier: Apache-2.0
#include "tcmu/ring.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <random>
#include <ranges>

#include "support/tcmu_ring_fixture.hpp"

namespace lunkit::tcmu {
namespace {

using test::cdb_read10;
using test::cdb_test_unit_ready;
using test::cdb_write10;
using test::RingOnModel;
using test::TcmuKernelModel;
using Kind = Fetched::Kind;

constexpr std::uint8_t kCheckCondition = 2;
constexpr std::uint8_t kTaskSetFull = 0x28;

std::vector<std::byte> pattern(std::size_t length, int seed = 1) {
    std::vector<std::byte> bytes(length);
    for (std::size_t i = 0; i < length; ++i) {
        bytes[i] = static_cast<std::byte>((i * 7 + static_cast<std::size_t>(seed)) & 0xff);
    }
    return bytes;
}

std::vector<std::byte> gather(std::span<const iovec> iovs) {
    std::vector<std::byte> bytes;
    for (const iovec& iov : iovs) {
        const auto* begin = static_cast<const std::byte*>(iov.iov_base);
        bytes.insert(bytes.end(), begin, begin + iov.iov_len);
    }
    return bytes;
}

TEST(Ring, EmptyRingHasNothing) {
    RingOnModel on;
    EXPECT_EQ(on.ring().fetch()->kind, Kind::kNothing);
    EXPECT_FALSE(on.ring().has_more());
}

TEST(Ring, CommandIsCopiedOut) {
    RingOnModel on;
    const std::vector<std::byte> data = pattern(5000);
    const auto id = on.model.write(cdb_write10(7, 10), data);
    EXPECT_TRUE(on.ring().has_more());
    const std::uint32_t slot = on.fetch_command();
    EXPECT_EQ(on.slot(slot).cmd_id, *id);
    EXPECT_EQ(on.slot(slot).cdb_length, 10);
    EXPECT_EQ(on.slot(slot).cdb[0], 0x2a);
    EXPECT_EQ(on.slot(slot).cdb[5], 7);
    EXPECT_EQ(gather(on.ring().table().data_iovs(slot)), data);
}

TEST(Ring, AdjoiningBlocksAreOneIovec) {
    RingOnModel on;
    (void)on.model.read(cdb_read10(0, 32), 16384);
    EXPECT_EQ(on.ring().table().data_iovs(on.fetch_command()).size(), 1U);
}

TEST(Ring, ResponseReachesTheKernel) {
    RingOnModel on;
    const auto id = on.model.read(cdb_test_unit_ready(), 0);
    const std::array<std::uint8_t, 3> sense{0x70, 0, 5};
    on.complete(on.fetch_command(), {.status = kCheckCondition, .sense = sense});
    EXPECT_EQ(on.model.result(*id).status, kCheckCondition);
    EXPECT_EQ(on.model.result(*id).sense[2], 5);
    EXPECT_TRUE(std::ranges::all_of(on.model.result(*id).sense | std::views::drop(3),
                                    [](std::uint8_t byte) { return byte == 0; }));
    EXPECT_EQ(on.model.tail(), on.model.head());
}

TEST(Ring, TailMovesAreToldOnce) {
    RingOnModel on;
    // Once at the beginning: a predecessor may have died between moving the tail and saying so.
    EXPECT_TRUE(on.ring().take_tail_moved());
    EXPECT_FALSE(on.ring().take_tail_moved());
    (void)on.model.read(cdb_test_unit_ready(), 0);
    on.complete(on.fetch_command());
    EXPECT_TRUE(on.ring().take_tail_moved());
    EXPECT_FALSE(on.ring().take_tail_moved());
}

TEST(Ring, CommandsEndInAnyOrder) {
    RingOnModel on;
    std::vector<std::uint16_t> ids;
    for (int i = 0; i < 8; ++i) {
        ids.push_back(*on.model.read(cdb_read10(static_cast<std::uint32_t>(i), 8), 4096));
    }
    std::vector<std::uint32_t> slots = on.fetch_all();
    ASSERT_EQ(slots.size(), 8U);
    for (const std::size_t i : {5U, 0U, 7U, 3U, 1U, 2U, 6U, 4U}) {
        on.complete(slots[i], {.status = static_cast<std::uint8_t>(i == 3 ? kTaskSetFull : 0)});
        EXPECT_EQ(on.model.order().back(), ids[i]);
    }
    EXPECT_EQ(on.model.result(ids[3]).status, kTaskSetFull);
    EXPECT_EQ(on.model.broken(), "");
    EXPECT_EQ(on.model.outstanding(), 0U);
}

// The entry at the tail may be of a command that still runs; its copy must not suffer.
TEST(Ring, AnswerOverAnotherEntryLeavesItsCommandAlone) {
    RingOnModel on;
    const std::vector<std::byte> data = pattern(4096, 9);
    (void)on.model.write(cdb_write10(3, 8), data);
    (void)on.model.read(cdb_read10(1, 8), 4096);
    const std::vector<std::uint32_t> slots = on.fetch_all();
    on.complete(slots[1], {.status = 0, .read_len = 77});
    EXPECT_EQ(on.slot(slots[0]).cdb[0], 0x2a);
    EXPECT_EQ(gather(on.ring().table().data_iovs(slots[0])), data);
}

// uflags of the entry hold whatever was there before.
TEST(Ring, FlagsOfAnEarlierAnswerAreReset) {
    RingOnModel on;
    const auto id = on.model.read(cdb_read10(0, 8), 4096);
    const std::uint32_t slot = on.fetch_command();
    on.model.memory()[128 + kEntryVersion2.uflags] = std::byte{kUflagReadLen | kUflagKeepBuf};
    on.complete(slot);
    EXPECT_EQ(on.model.result(*id).uflags, 0);
}

TEST(Ring, ReadLenIsTold) {
    RingOnModel on;
    const auto id = on.model.read(cdb_read10(0, 8), 4096);
    on.complete(on.fetch_command(), {.status = 0, .read_len = 1024});
    EXPECT_EQ(on.model.result(*id).read_len, 1024U);
    EXPECT_EQ(on.model.result(*id).data_in.size(), 1024U);
}

TEST(Ring, ReadLenIsNotSentWhereTheMailboxLacksIt) {
    RingOnModel on({.flags = mailbox::kOutOfOrder});
    const auto id = on.model.read(cdb_read10(0, 8), 4096);
    on.complete(on.fetch_command(), {.status = 0, .read_len = 1024});
    EXPECT_EQ(on.model.result(*id).uflags, 0);
    EXPECT_EQ(on.model.result(*id).data_in.size(), 4096U);
}

TEST(Ring, PadOfEightBytesIsSteppedOver) {
    RingOnModel on;
    on.model.move_ring_to(on.ring().info().cmdr_size - 8);
    on.attach();
    const auto id = on.model.read(cdb_test_unit_ready(), 0);
    EXPECT_EQ(on.model.smallest_pad(), 8U);
    on.complete(on.fetch_command());
    EXPECT_EQ(on.model.order(), std::vector<std::uint16_t>{*id});
}

TEST(Ring, GoesRoundManyTimes) {
    RingOnModel on({.cmdr_size = 2040});
    std::mt19937 random(7);
    std::vector<std::uint32_t> running;
    std::size_t submitted = 0;
    while (on.model.results().size() < 2000) {
        while (submitted < 2000 && running.size() < 12) {
            const auto id = on.model.read(cdb_read10(1, 8), 512U << (random() % 3));
            if (!id) {
                break;
            }
            ++submitted;
            for (const std::uint32_t slot : on.fetch_all()) {
                running.push_back(slot);
            }
        }
        std::ranges::shuffle(running, random);
        on.complete(running.back());
        running.pop_back();
    }
    EXPECT_GT(on.model.pads(), 20U);
    EXPECT_EQ(on.model.broken(), "");
    EXPECT_EQ(on.model.tail(), on.model.head());
}

TEST(Ring, TmrIsToldAndSteppedOver) {
    RingOnModel on;
    const auto first = on.model.read(cdb_read10(0, 8), 4096);
    ASSERT_TRUE(on.model.submit_tmr(5, {*first}));
    const auto second = on.model.read(cdb_read10(8, 8), 4096);
    const std::uint32_t slot = on.fetch_command();
    const auto tmr = on.ring().fetch();
    EXPECT_EQ(tmr->kind, Kind::kTmr);
    EXPECT_EQ(tmr->type, 5);
    ASSERT_EQ(tmr->cmd_ids.size(), 1U);
    EXPECT_EQ(tmr->cmd_ids[0], *first);
    const std::uint32_t next = on.fetch_command();
    on.complete(next);  // goes into the entry before the TMR
    on.complete(slot);  // behind it
    EXPECT_EQ(on.model.order(), (std::vector<std::uint16_t>{*second, *first}));
    EXPECT_EQ(on.model.tail(), on.model.head());
}

TEST(Ring, TmrAloneMovesTheTail) {
    RingOnModel on;
    ASSERT_TRUE(on.model.submit_tmr(1, {}));
    EXPECT_EQ(on.ring().fetch()->kind, Kind::kTmr);
    EXPECT_EQ(on.ring().fetch()->kind, Kind::kNothing);
    EXPECT_EQ(on.model.tail(), on.model.head());
    EXPECT_TRUE(on.ring().take_tail_moved());
}

TEST(Ring, TmrAtTheEndIsSteppedOverWithTheLastAnswer) {
    RingOnModel on;
    (void)on.model.read(cdb_read10(0, 8), 4096);
    ASSERT_TRUE(on.model.submit_tmr(5, {}));
    const auto slots = on.fetch_all();
    on.complete(slots.at(0));
    EXPECT_EQ(on.model.tail(), on.model.head());
}

TEST(Ring, UnknownOpIsAnsweredInItsTurn) {
    RingOnModel on;
    const auto first = on.model.read(cdb_read10(0, 8), 4096);
    const auto unknown = on.model.submit_unknown(5);
    const auto last = on.model.read(cdb_read10(0, 8), 4096);
    const std::uint32_t first_slot = on.fetch_command();
    EXPECT_EQ(on.ring().fetch()->kind, Kind::kUnknownOp);
    const std::uint32_t last_slot = on.fetch_command();
    on.complete(last_slot);
    EXPECT_EQ(on.model.order(), (std::vector<std::uint16_t>{*last, *unknown}));
    EXPECT_EQ(on.model.result(*unknown).uflags, kUflagUnknownOp);
    on.complete(first_slot);
    EXPECT_EQ(on.model.order().back(), *first);
}

TEST(Ring, WithoutOutOfOrderAnswersKeepTheOrder) {
    RingOnModel on({.flags = 0});
    std::vector<std::uint16_t> ids;
    for (int i = 0; i < 4; ++i) {
        ids.push_back(*on.model.read(cdb_read10(static_cast<std::uint32_t>(i), 8), 512));
    }
    const std::vector<std::uint32_t> slots = on.fetch_all();
    on.complete(slots[2], {.status = kTaskSetFull});
    on.complete(slots[1]);
    EXPECT_TRUE(on.model.order().empty());
    on.complete(slots[0]);
    EXPECT_EQ(on.model.order(), (std::vector<std::uint16_t>{ids[0], ids[1], ids[2]}));
    EXPECT_EQ(on.model.result(ids[2]).status, kTaskSetFull);
    on.complete(slots[3]);
    EXPECT_EQ(on.model.order().back(), ids[3]);
}

TEST(Ring, Version1IsServed) {
    RingOnModel on({.version = 1, .cmdr_size = 2040});
    for (int round = 0; round < 200; ++round) {
        const std::vector<std::byte> data = pattern(1000, round);
        const auto first = on.model.write(cdb_write10(9, 2), data);
        const auto second = on.model.read(cdb_read10(9, 2), 1024);
        ASSERT_TRUE(first && second);
        const std::vector<std::uint32_t> slots = on.fetch_all();
        ASSERT_EQ(slots.size(), 2U);
        EXPECT_EQ(gather(on.ring().table().data_iovs(slots[0])), data);
        on.complete(slots[1]);
        on.complete(slots[0], {.status = kTaskSetFull});
        EXPECT_EQ(on.model.result(*first).status, kTaskSetFull);
        EXPECT_EQ(on.model.order().back(), *second);
    }
    EXPECT_GT(on.model.pads(), 0U);
    EXPECT_EQ(on.model.broken(), "");
}

TEST(Ring, LargeCommandsUseTheArena) {
    RingOnModel on({.cmdr_size = 65536 - 128, .blocks = 256, .scatter = true});
    const std::vector<std::byte> data = pattern(100 * 4096);
    (void)on.model.write(cdb_write10(0, 800), data);
    const std::uint32_t slot = on.fetch_command();
    EXPECT_EQ(on.ring().table().data_iovs(slot).size(), 100U);
    EXPECT_EQ(gather(on.ring().table().data_iovs(slot)), data);
    on.complete(slot);
    EXPECT_EQ(on.ring().table().in_flight(), 0U);
}

TEST(Ring, WaitsForASlot) {
    RingOnModel on({}, 2);
    for (int i = 0; i < 3; ++i) {
        (void)on.model.read(cdb_test_unit_ready(), 0);
    }
    const std::vector<std::uint32_t> slots = on.fetch_all();
    ASSERT_EQ(slots.size(), 2U);
    EXPECT_EQ(on.ring().fetch()->kind, Kind::kNoRoom);
    on.complete(slots[0]);
    on.complete(on.fetch_command());
    on.complete(slots[1]);
    EXPECT_EQ(on.model.outstanding(), 0U);
}

TEST(Ring, BidirectionalDataIsKeptApart) {
    RingOnModel on;
    const std::vector<std::byte> out = pattern(512);
    (void)on.model.submit({0x53, 0, 0, 0, 0, 0, 0, 0, 1, 0},
                          TcmuKernelModel::Direction::kBidirectional, out, 8192);
    const std::uint32_t slot = on.fetch_command();
    EXPECT_EQ(gather(on.ring().table().data_iovs(slot)), out);
    EXPECT_EQ(gather(on.ring().table().bidi_iovs(slot)).size(), 8192U);
}

TEST(Ring, LongCdbIsCopiedWhole) {
    RingOnModel on;
    std::vector<std::uint8_t> cdb(8 + 252, 0xab);
    cdb[0] = 0x7f;
    cdb[7] = 252;
    (void)on.model.read(cdb, 0);
    const std::uint32_t slot = on.fetch_command();
    EXPECT_EQ(on.slot(slot).cdb_length, 260);
    EXPECT_EQ(on.slot(slot).cdb[259], 0xab);
}

TEST(Ring, ResetStartsAnewAndDropsWhatRuns) {
    RingOnModel on;
    (void)on.model.read(cdb_read10(0, 8), 4096);
    const auto old = on.fetch_command();
    on.complete(old);
    (void)on.model.read(cdb_read10(0, 8), 4096);
    const auto orphan = on.fetch_command();
    on.model.reset_ring();
    EXPECT_EQ(on.ring().fetch()->kind, Kind::kReset);
    const auto id = on.model.read(cdb_read10(0, 8), 4096);
    // What still runs uses data blocks that are others' now: nothing new beside it.
    EXPECT_EQ(on.ring().fetch()->kind, Kind::kNoRoom);
    on.complete(orphan);
    // Its Data-Out, were there one, may have been overwritten by the orphan's Data-In.
    const auto spoiled = on.ring().fetch();
    EXPECT_EQ(spoiled->kind, Kind::kSpoiled);
    on.complete(spoiled->slot, {.status = kTaskSetFull});
    EXPECT_EQ(on.model.order().back(), *id);
    // So may that of the one that the kernel was just making; then it is over.
    (void)on.model.read(cdb_read10(0, 8), 4096);
    const auto last = on.ring().fetch();
    EXPECT_EQ(last->kind, Kind::kSpoiled);
    on.complete(last->slot);
    (void)on.model.read(cdb_read10(0, 8), 4096);
    on.complete(on.fetch_command());
    EXPECT_EQ(on.model.broken(), "");
}

// The slot of a command that is to be refused is free already when the refusal comes.
TEST(Ring, ResetBesideARefusalIsNoticed) {
    RingOnModel on;
    (void)on.model.read(cdb_read10(0, 8), 4096);
    const auto orphan = on.fetch_command();
    on.model.reset_ring();
    EXPECT_EQ(on.ring().fetch()->kind, Kind::kReset);
    (void)on.model.read(cdb_read10(0, 8), 4096);
    on.complete(orphan);
    const auto spoiled = on.ring().fetch();
    ASSERT_EQ(spoiled->kind, Kind::kSpoiled);
    on.model.reset_ring();
    (void)on.ring().fetch();
    on.complete(spoiled->slot);
    EXPECT_EQ(on.ring().table().in_flight(), 0U);
    EXPECT_EQ(on.model.broken(), "");
}

// The reset comes between a fetch and the end of what was fetched.
TEST(Ring, AnswerAfterAResetThatNobodyHasSeenIsDropped) {
    RingOnModel on;
    (void)on.model.read(cdb_read10(0, 8), 4096);
    on.complete(on.fetch_command());
    (void)on.model.read(cdb_read10(0, 8), 4096);
    const auto orphan = on.fetch_command();
    on.model.reset_ring();
    const auto id = on.model.read(cdb_read10(0, 8), 4096);
    on.complete(orphan, {.status = kTaskSetFull});
    EXPECT_EQ(on.model.tail(), 0U);
    EXPECT_EQ(on.model.outstanding(), 1U);
    EXPECT_TRUE(on.ring().has_more());
    EXPECT_EQ(on.ring().fetch()->kind, Kind::kReset);
    const auto next = on.ring().fetch();
    on.complete(next->slot);
    EXPECT_EQ(on.model.order().back(), *id);
    EXPECT_EQ(on.model.broken(), "");
}

TEST(Ring, ResetBeforeTheTailMovedIsSeen) {
    RingOnModel on;
    (void)on.model.read(cdb_read10(0, 8), 4096);
    const auto orphan = on.fetch_command();
    on.model.reset_ring();
    EXPECT_EQ(on.ring().fetch()->kind, Kind::kReset);
    on.complete(orphan);
    EXPECT_EQ(on.model.broken(), "");
    EXPECT_EQ(on.ring().fetch()->kind, Kind::kNothing);
}

TEST(Ring, ResetForgetsAnswersThatWaitForTheirTurn) {
    RingOnModel on({.flags = 0});
    (void)on.model.read(cdb_test_unit_ready(), 0);
    (void)on.model.read(cdb_test_unit_ready(), 0);
    const auto slots = on.fetch_all();
    on.complete(slots[1]);  // waits for slots[0]
    on.model.reset_ring();
    EXPECT_EQ(on.ring().fetch()->kind, Kind::kReset);
    on.complete(slots[0]);
    EXPECT_EQ(on.ring().table().in_flight(), 0U);
    EXPECT_EQ(on.model.broken(), "");
}

TEST(Ring, UnfetchedEntriesStay) {
    RingOnModel on;
    (void)on.model.read(cdb_test_unit_ready(), 0);
    const auto slot = on.fetch_command();
    const auto id = on.model.read(cdb_test_unit_ready(), 0);
    on.complete(slot);
    EXPECT_NE(on.model.tail(), on.model.head());
    on.attach();  // a successor goes on at cmd_tail
    on.complete(on.fetch_command());
    EXPECT_EQ(on.model.order().back(), *id);
}

}  // namespace
}  // namespace lunkit::tcmu

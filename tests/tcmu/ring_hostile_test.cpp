// SPDX-License-Identifier: Apache-2.0
// What a kernel would never write. Each case takes a valid command and spoils one field.
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <functional>
#include <random>
#include <string>

#include "support/tcmu_ring_fixture.hpp"
#include "tcmu/ring.hpp"

namespace lunkit::tcmu {
namespace {

using test::cdb_read10;
using test::RingOnModel;
using test::TcmuKernelModel;

constexpr std::size_t kEntry = 128;  // the first entry of the ring

template <typename T>
void put(RingOnModel& on, std::size_t offset, T value) {
    std::memcpy(on.model.memory().data() + offset, &value, sizeof value);
}

/// A ring with one valid command that reads 8 KiB into two iovecs.
class HostileRing : public testing::Test {
  protected:
    HostileRing() {
        EXPECT_TRUE(on.model.read(cdb_read10(0, 16), 8192).has_value());
        length = on.model.head();
    }
    void expect_broken(const std::string& part) {
        const Result<Fetched> fetched = on.ring().fetch();
        ASSERT_FALSE(fetched.has_value());
        EXPECT_TRUE(fetched.error().what.starts_with("ring is broken: ")) << fetched.error().what;
        EXPECT_NE(fetched.error().what.find(part), std::string::npos) << fetched.error().what;
        EXPECT_EQ(on.ring().table().in_flight(), 0U);
        const Result<Fetched> again = on.ring().fetch();
        ASSERT_FALSE(again.has_value());
        EXPECT_EQ(again.error().what, fetched.error().what);
    }
    RingOnModel on{{.scatter = true}};
    std::uint32_t length;
};

TEST_F(HostileRing, HeadBeyondTheRing) {
    put<std::uint32_t>(on, mailbox::kCmdHead, on.ring().info().cmdr_size);
    expect_broken("cmd_head");
}
TEST_F(HostileRing, HeadNotAligned) {
    put<std::uint32_t>(on, mailbox::kCmdHead, length - 4);
    expect_broken("cmd_head");
}
TEST_F(HostileRing, TailMovedByOthers) {
    put<std::uint32_t>(on, mailbox::kCmdTail, 8);
    expect_broken("cmd_tail");
}
TEST_F(HostileRing, EntryOfNoLength) {
    put<std::uint32_t>(on, kEntry, kOpCommand);
    expect_broken("an entry of 0 bytes");
}
TEST_F(HostileRing, EntryBeyondHead) {
    put<std::uint32_t>(on, kEntry, (length + 8) | kOpCommand);
    expect_broken("are left");
}
TEST_F(HostileRing, EntryBeyondTheRing) {
    put<std::uint32_t>(on, kEntry, 0xfffffff8U | kOpCommand);
    expect_broken("are left");
}
TEST_F(HostileRing, PadBeyondHead) {
    put<std::uint32_t>(on, kEntry, (length + 8) | kOpPad);
    expect_broken("are left");
}
TEST_F(HostileRing, CommandShorterThanItsAnswer) {
    put<std::uint32_t>(on, kEntry, 104U | kOpCommand);
    expect_broken("a command entry of 104 bytes");
}
TEST_F(HostileRing, MoreIovecsThanTheEntryHolds) {
    put<std::uint32_t>(on, kEntry + kEntryVersion2.iov_count, 1000);
    expect_broken("iovecs");
}
TEST_F(HostileRing, IovecCountsThatOverflow) {
    put<std::uint32_t>(on, kEntry + kEntryVersion2.iov_count, 0xffffffff);
    put<std::uint32_t>(on, kEntry + kEntryVersion2.bidi_count, 3);
    expect_broken("iovecs");
}
TEST_F(HostileRing, MoreBidirectionalIovecsThanTheEntryHolds) {
    put<std::uint32_t>(on, kEntry + kEntryVersion2.bidi_count, 5);
    expect_broken("iovecs");
}
TEST_F(HostileRing, IovecBeyondTheMapping) {
    put<std::uint64_t>(on, kEntry + kEntryVersion2.iov, on.model.map_size() - 8);
    expect_broken("an iovec");
}
TEST_F(HostileRing, IovecThatOverflows) {
    put<std::uint64_t>(on, kEntry + kEntryVersion2.iov + 8, ~std::uint64_t{0} - 100);
    expect_broken("an iovec");
}
TEST_F(HostileRing, IovecOverTheMailbox) {
    put<std::uint64_t>(on, kEntry + kEntryVersion2.iov, 0);
    expect_broken("an iovec");
}
TEST_F(HostileRing, IovecOverTheRing) {
    put<std::uint64_t>(on, kEntry + kEntryVersion2.iov + 16, 128);
    expect_broken("an iovec");
}
TEST_F(HostileRing, CdbBeforeTheEntry) {
    put<std::uint64_t>(on, kEntry + kEntryVersion2.cdb_off, 64);
    expect_broken("the CDB");
}
TEST_F(HostileRing, CdbBehindTheEntry) {
    put<std::uint64_t>(on, kEntry + kEntryVersion2.cdb_off, kEntry + length);
    expect_broken("the CDB");
}
TEST_F(HostileRing, CdbFarAway) {
    put<std::uint64_t>(on, kEntry + kEntryVersion2.cdb_off, ~std::uint64_t{0});
    expect_broken("the CDB");
}
TEST_F(HostileRing, CdbCutByTheEntry) {
    put<std::uint64_t>(on, kEntry + kEntryVersion2.cdb_off, kEntry + length - 4);
    put<std::uint8_t>(on, kEntry + length - 4, 0x88);  // READ(16)
    expect_broken("a CDB of opcode 0x88");
}
TEST_F(HostileRing, VariableCdbLongerThanTheEntry) {
    put<std::uint64_t>(on, kEntry + kEntryVersion2.cdb_off, kEntry + length - 16);
    put<std::uint8_t>(on, kEntry + length - 16, 0x7f);
    put<std::uint8_t>(on, kEntry + length - 9, 255);
    expect_broken("a CDB of opcode 0x7f");
}
TEST_F(HostileRing, TmrThatNamesMoreThanItHolds) {
    put<std::uint32_t>(on, kEntry, length | kOpTmr);
    put<std::uint32_t>(on, kEntry + tmr_entry::kCmdCnt, 0xffffffff);
    expect_broken("a TMR");
}
TEST_F(HostileRing, TmrTooShort) {
    put<std::uint32_t>(on, kEntry, 24U | kOpTmr);
    expect_broken("a TMR of 24 bytes");
}

TEST_F(HostileRing, ResetHealsIt) {
    put<std::uint32_t>(on, kEntry, kOpCommand);
    expect_broken("0 bytes");
    (void)on.ring().fetch();
    // The tail never moved, so it takes the head's return to 0.
    on.model.reset_ring();
    const Result<Fetched> fetched = on.ring().fetch();
    ASSERT_TRUE(fetched.has_value()) << fetched.error().what;
    EXPECT_TRUE(on.model.read(cdb_read10(0, 16), 8192).has_value());
    on.complete(on.fetch_command());
    EXPECT_EQ(on.model.broken(), "");
}

TEST_F(HostileRing, WhatRunsIsAnsweredWhenTheRestIsBroken) {
    const std::uint32_t slot = on.fetch_command();
    ASSERT_TRUE(on.model.read(cdb_read10(0, 16), 8192).has_value());
    put<std::uint32_t>(on, kEntry + length, kOpCommand);
    EXPECT_FALSE(on.ring().fetch().has_value());
    on.complete(slot);
    EXPECT_EQ(on.model.order().size(), 1U);
}

TEST_F(HostileRing, TailEntryThatChangedIsNotWrittenTo) {
    const std::uint32_t slot = on.fetch_command();
    put<std::uint32_t>(on, kEntry, 8U | kOpCommand);
    const Status completed = on.ring().complete(slot, {});
    ASSERT_FALSE(completed.has_value());
    EXPECT_EQ(on.ring().table().in_flight(), 0U);
    EXPECT_EQ(on.model.tail(), 0U);
}

TEST_F(HostileRing, TailEntryThatBecamePadLeavesNoPlaceForTheAnswer) {
    const std::uint32_t slot = on.fetch_command();
    put<std::uint32_t>(on, kEntry, length | kOpPad);
    EXPECT_FALSE(on.ring().complete(slot, {}).has_value());
}

TEST(HostileMailbox, IsRefused) {
    const auto spoil = [](std::size_t offset, auto value) {
        TcmuKernelModel model;
        std::memcpy(model.memory().data() + offset, &value, sizeof value);
        return MailboxInfo::read(model.memory());
    };
    EXPECT_FALSE(spoil(mailbox::kVersion, std::uint16_t{0}));
    EXPECT_FALSE(spoil(mailbox::kVersion, std::uint16_t{3}));
    EXPECT_FALSE(spoil(mailbox::kCmdrOff, std::uint32_t{16}));
    EXPECT_FALSE(spoil(mailbox::kCmdrOff, std::uint32_t{132}));
    EXPECT_FALSE(spoil(mailbox::kCmdrOff, 0xfffffff8U));
    EXPECT_FALSE(spoil(mailbox::kCmdrSize, std::uint32_t{0}));
    EXPECT_FALSE(spoil(mailbox::kCmdrSize, std::uint32_t{3001}));
    EXPECT_FALSE(spoil(mailbox::kCmdrSize, 0xfffffff8U));
    EXPECT_TRUE(spoil(mailbox::kCmdrSize, std::uint32_t{3000}));
}

TEST(HostileMailbox, TooSmallMappingIsRefused) {
    std::array<std::byte, 64> bytes{};
    EXPECT_FALSE(MailboxInfo::read(bytes).has_value());
}

TEST(HostileMailbox, TailOutsideTheRingIsRefused) {
    TcmuKernelModel model;
    const MailboxInfo info = *MailboxInfo::read(model.memory());
    const std::uint32_t tail = info.cmdr_size;
    std::memcpy(model.memory().data() + mailbox::kCmdTail, &tail, sizeof tail);
    EXPECT_FALSE(RingPositions::read(model.memory(), info).has_value());
}

// Random changes anywhere in mailbox and ring while commands come and go: every iovec handed out
// lies in the data area, nothing crashes, and the table balances.
TEST(HostileRingAtRandom, NothingOutsideIsHandedOut) {
    for (unsigned seed = 0; seed < 100; ++seed) {
        std::mt19937 random(seed);
        RingOnModel on({.version = static_cast<std::uint16_t>(seed % 4 == 0 ? 1 : 2),
                        .flags = static_cast<std::uint16_t>(seed % 3 == 0 ? 0 : 7),
                        .blocks = 256,
                        .scatter = seed % 2 == 0},
                       8);
        std::vector<std::uint32_t> running;
        for (int step = 0; step < 60; ++step) {
            (void)on.model.read(cdb_read10(0, 16), 8192);
            if (random() % 4 == 0) {
                const std::size_t at = 12 + random() % 2000;
                on.model.memory()[at] = static_cast<std::byte>(random());
            }
            const Result<Fetched> fetched = on.ring().fetch();
            if (fetched && fetched->kind == Fetched::Kind::kCommand) {
                running.push_back(fetched->slot);
                for (const iovec& iov : on.ring().table().data_iovs(fetched->slot)) {
                    const auto offset = static_cast<std::size_t>(
                        static_cast<const std::byte*>(iov.iov_base) - on.map());
                    ASSERT_GE(offset, 4096U);
                    ASSERT_LE(offset + iov.iov_len, on.model.map_size());
                }
            }
            if (!running.empty() && random() % 2 == 0) {
                (void)on.ring().complete(running.back(), {});
                running.pop_back();
            }
        }
        for (const std::uint32_t slot : running) {
            (void)on.ring().complete(slot, {});
        }
        if (seed % 3 != 0 && seed % 4 != 0) {  // out of order: nothing waits for its turn
            ASSERT_EQ(on.ring().table().in_flight(), 0U) << "seed " << seed;
        }
    }
}

}  // namespace
}  // namespace lunkit::tcmu

// SPDX-License-Identifier: Apache-2.0
// A daemon dies; its successor goes on in the same ring. Here the successor's ring on what the
// predecessor's has left in memory; dying at every instruction is take_over_step_test.cpp.
#include <gtest/gtest.h>

#include <cstring>
#include <memory>

#include "support/fake_kernel_tree.hpp"
#include "support/tcmu_ring_fixture.hpp"

namespace lunkit::tcmu {
namespace {

using test::cdb_read10;
using test::cdb_test_unit_ready;
using test::cdb_write10;
using test::TcmuKernelModel;
using Kind = Fetched::Kind;

const TableOwner kOwner{.name = "user_0/disk", .device_id = 1, .node = 1};

class TakeOver : public testing::Test {
  protected:
    explicit TakeOver(TcmuKernelModel::Options options = {}) : model(options) {
        ServedRing first = test::opened_ring(model);
        EXPECT_TRUE(first.attach(*tables.make(0, kOwner, first.table_bytes())));
        ring = std::make_unique<ServedRing>(std::move(first));
    }
    /// The one that was there is gone, as if it had been killed; what it had in memory is lost.
    Status die_and_take_over() {
        ring = std::make_unique<ServedRing>(test::opened_ring(model));
        return ring->resume(*tables.find(0, kOwner, ring->table_bytes()));
    }
    std::uint32_t fetch() {
        const auto fetched = ring->ring().fetch();
        EXPECT_TRUE(fetched && fetched->kind == Kind::kCommand);
        return fetched->slot;
    }
    void complete(std::uint32_t slot) {
        EXPECT_TRUE(ring->ring().complete(slot, {}));
        model.handle_completions();
    }
    InflightTable& table() { return ring->ring().table(); }

    test::FakeKernelTree tree;
    InflightFolder tables = *InflightFolder::open(tree.run_dir(), [](auto) { return kOwner.node; });
    TcmuKernelModel model;
    std::unique_ptr<ServedRing> ring;
};

TEST_F(TakeOver, NothingWasInFlight) {
    (void)model.read(cdb_read10(0, 8), 4096);
    complete(fetch());
    const auto id = model.read(cdb_read10(0, 8), 4096);
    ASSERT_TRUE(die_and_take_over());
    EXPECT_EQ(table().in_flight(), 0U);
    complete(fetch());
    EXPECT_EQ(model.order().back(), *id);
    EXPECT_EQ(model.broken(), "");
}

TEST_F(TakeOver, WhatWasFetchedIsLeftInItsOrder) {
    std::vector<std::uint16_t> ids;
    for (int i = 0; i < 4; ++i) {
        ids.push_back(*model.write(cdb_write10(static_cast<std::uint32_t>(i), 8),
                                   std::vector<std::byte>(4096, std::byte(i))));
    }
    std::vector<std::uint32_t> slots;
    for (int i = 0; i < 3; ++i) {
        slots.push_back(fetch());
    }
    complete(slots[0]);  // its slot is used again, so slots and order differ
    slots[0] = fetch();
    complete(slots[1]);
    const auto later = model.read(cdb_read10(0, 8), 4096);

    ASSERT_TRUE(die_and_take_over());
    const std::vector<std::uint32_t> left = table().in_order();
    ASSERT_EQ(left.size(), 2U);
    for (const std::size_t i : {0U, 1U}) {
        EXPECT_EQ(table().at(left[i]).cmd_id, ids[i + 2]);
        EXPECT_EQ(table().at(left[i]).cdb[0], 0x2a);
        EXPECT_EQ(*static_cast<std::byte*>(table().data_iovs(left[i])[0].iov_base),
                  std::byte(i + 2));
        complete(left[i]);
    }
    complete(fetch());
    EXPECT_EQ(model.order().back(), *later);
    EXPECT_EQ(model.results().size(), 5U);
    EXPECT_EQ(model.outstanding(), 0U);
    EXPECT_EQ(model.broken(), "");
}

// While others come and go, the ring is used from its beginning again.
TEST_F(TakeOver, CommandIsLeftThoughAnotherHasItsPlaceInTheRing) {
    const auto old = model.read(cdb_read10(0, 8), 4096);
    const std::uint32_t place = table().at(fetch()).ring_offset;
    std::uint32_t other = 0;
    do {
        (void)model.read(cdb_read10(8, 8), 4096);
        other = fetch();
        if (table().at(other).ring_offset != place) {
            complete(other);
        }
    } while (table().at(other).ring_offset != place);
    ASSERT_EQ(table().in_flight(), 2U);
    ASSERT_TRUE(die_and_take_over());
    const std::vector<std::uint32_t> left = table().in_order();
    ASSERT_EQ(left.size(), 2U);
    EXPECT_EQ(table().at(left[0]).cmd_id, *old);
    complete(left[1]);
    complete(left[0]);
    EXPECT_EQ(model.outstanding(), 0U);
    EXPECT_EQ(model.broken(), "");
}

TEST_F(TakeOver, CommandsOfManyIovecsAreLeftToo) {
    TcmuKernelModel scattered({.scatter = true});
    ServedRing first = test::opened_ring(scattered);
    ASSERT_TRUE(first.attach(*tables.make(1, kOwner, first.table_bytes())));
    (void)scattered.read(cdb_read10(0, 160), 20 * 4096);
    const auto fetched = first.ring().fetch();
    ASSERT_EQ(first.ring().table().data_iovs(fetched->slot).size(), 20U);
    ServedRing next = test::opened_ring(scattered);
    ASSERT_TRUE(next.resume(*tables.find(1, kOwner, next.table_bytes())));
    const std::vector<std::uint32_t> left = next.ring().table().in_order();
    ASSERT_EQ(left.size(), 1U);
    EXPECT_EQ(next.ring().table().data_iovs(left[0]).size(), 20U);
    ASSERT_TRUE(next.ring().complete(left[0], {}));
    scattered.handle_completions();
    EXPECT_EQ(scattered.outstanding(), 0U);
}

TEST_F(TakeOver, WithoutOutOfOrderOutcomesWaitForTheirTurn) {
    TcmuKernelModel ordered({.flags = 0});
    ServedRing first = test::opened_ring(ordered);
    ASSERT_TRUE(first.attach(*tables.make(1, kOwner, first.table_bytes())));
    for (int i = 0; i < 3; ++i) {
        (void)ordered.read(cdb_test_unit_ready(), 0);
    }
    std::vector<std::uint32_t> slots;
    for (int i = 0; i < 3; ++i) {
        slots.push_back(first.ring().fetch()->slot);
    }
    ASSERT_TRUE(first.ring().complete(slots[1], {.status = 8}));  // recorded
    ServedRing next = test::opened_ring(ordered);
    ASSERT_TRUE(next.resume(*tables.find(1, kOwner, next.table_bytes())));
    EXPECT_EQ(next.ring().table().in_flight(), 3U);
    for (const std::uint32_t slot : next.ring().table().in_order()) {
        if (next.ring().table().at(slot).state == static_cast<std::uint32_t>(SlotState::kFetched)) {
            ASSERT_TRUE(next.ring().complete(slot, {}));
        }
    }
    ordered.handle_completions();
    EXPECT_EQ(ordered.broken(), "");
    EXPECT_EQ(ordered.outstanding(), 0U);
    EXPECT_EQ(ordered.result(2).status, 8);
}

TEST_F(TakeOver, RingThatWasResetMeanwhileIsNotTakenOver) {
    (void)model.read(cdb_read10(0, 8), 4096);
    complete(fetch());
    (void)model.read(cdb_read10(0, 8), 4096);
    (void)fetch();
    model.reset_ring();
    EXPECT_FALSE(die_and_take_over());
}

// As many commands of the same sizes stand at the same places, but they are not the same.
TEST_F(TakeOver, RingThatWasFilledAgainAfterAResetIsNotTakenOver) {
    for (const std::uint32_t lba : {1U, 2U, 3U}) {
        (void)model.write(cdb_write10(lba, 8), std::vector<std::byte>(4096));
        (void)fetch();
    }
    model.reset_ring();
    for (const std::uint32_t lba : {3U, 1U, 2U}) {
        (void)model.write(cdb_write10(lba, 8), std::vector<std::byte>(4096));
    }
    EXPECT_FALSE(die_and_take_over());
}

// What was queued beside commands from before a reset may have been overwritten by them.
TEST_F(TakeOver, SpoiledCommandsAreNotTakenOver) {
    (void)model.read(cdb_read10(0, 8), 4096);
    const std::uint32_t orphan = fetch();
    model.reset_ring();
    EXPECT_EQ(ring->ring().fetch()->kind, Kind::kReset);
    (void)model.write(cdb_write10(0, 8), std::vector<std::byte>(4096));
    complete(orphan);
    EXPECT_FALSE(die_and_take_over());
}

TEST_F(TakeOver, RingThatAnotherHasServedIsNotTakenOver) {
    for (int i = 0; i < 2; ++i) {
        (void)model.read(cdb_read10(0, 8), 4096);
    }
    (void)fetch();
    {
        ServedRing other = test::opened_ring(model);  // one that knows nothing of our table
        ASSERT_TRUE(other.attach(*TableMemory::anonymous(other.table_bytes())));
        ASSERT_TRUE(other.ring().complete(other.ring().fetch()->slot, {}));
    }
    EXPECT_FALSE(die_and_take_over());
}

TEST_F(TakeOver, WhatTheUnitRemembersOutlivesATableThatIsOfNoUse) {
    ring->unit_memory().attentions = 0x2a01;
    ring->ring().table().doubt(InflightTable::Doubt::kBroken, true);
    ASSERT_FALSE(die_and_take_over());
    ASSERT_TRUE(ring->keeps_memory());
    ASSERT_TRUE(ring->attach());
    EXPECT_EQ(ring->unit_memory().attentions, 0x2a01U);
    ASSERT_TRUE(die_and_take_over());
    EXPECT_EQ(ring->unit_memory().attentions, 0x2a01U);
}

// The daemon may die between a reset of the ring and the new table.
TEST_F(TakeOver, RetiredTableIsNotTakenOverAndItsMemoryServesTheNextOne) {
    (void)model.read(cdb_read10(0, 8), 4096);
    (void)fetch();
    ring->unit_memory().attentions = 0x2a01;
    ring->ring().table().doubt(InflightTable::Doubt::kBroken, true);
    ASSERT_FALSE(die_and_take_over());
    ring->retire_table();
    model.reset_ring();
    ASSERT_FALSE(die_and_take_over());
    ASSERT_TRUE(ring->attach());
    EXPECT_EQ(table().in_flight(), 0U);
    EXPECT_EQ(ring->unit_memory().attentions, 0x2a01U);
    const auto id = model.read(cdb_read10(0, 8), 4096);
    (void)fetch();
    ASSERT_TRUE(die_and_take_over());
    EXPECT_EQ(table().in_flight(), 1U);
    complete(table().in_order().front());
    EXPECT_EQ(model.order().back(), *id);
}

// What the retired table said of a slot does not count, not even before the slot is filled.
TEST_F(TakeOver, SlotsOfARetiredTableAreFree) {
    for (int i = 0; i < 2; ++i) {
        (void)model.read(cdb_read10(0, 8), 4096);
        (void)fetch();
    }
    table().doubt(InflightTable::Doubt::kBroken, true);
    ASSERT_FALSE(die_and_take_over());
    ring->retire_table();
    model.reset_ring();
    ASSERT_TRUE(ring->attach());
    (void)model.read(cdb_read10(0, 8), 4096);
    complete(fetch());
    (void)model.read(cdb_read10(0, 8), 4096);
    (void)fetch();
    ASSERT_EQ(table().claim(1), 1U);
    ASSERT_TRUE(die_and_take_over());
    EXPECT_EQ(table().in_flight(), 1U);
}

/// What stands in the table may be anything.
TEST_F(TakeOver, EveryBrokenByteIsNoticedOrDoesNoHarm) {
    (void)model.write(cdb_write10(0, 8), std::vector<std::byte>(4096));
    (void)model.read(cdb_read10(0, 8), 4096);
    (void)fetch();
    (void)fetch();
    const TableMemory memory = *tables.find(0, kOwner, ring->table_bytes());
    const std::span<std::byte> bytes = memory.table().first(64 + 2 * sizeof(Slot));
    const std::vector<std::byte> good(bytes.begin(), bytes.end());
    std::size_t refused = 0;
    for (std::size_t at = 0; at < bytes.size(); ++at) {
        for (const std::byte flip : {std::byte{0xff}, std::byte{0x01}, std::byte{0x80}}) {
            std::ranges::copy(good, bytes.begin());
            bytes[at] ^= flip;
            ServedRing next = test::opened_ring(model);
            if (!next.resume(*tables.find(0, kOwner, next.table_bytes()))) {
                ++refused;
                continue;
            }
            for (const std::uint32_t slot : next.ring().table().in_order()) {
                for (const iovec& iov : next.ring().table().data_iovs(slot)) {
                    std::memset(iov.iov_base, 0, iov.iov_len);  // within the mapping
                }
            }
        }
    }
    EXPECT_GT(refused, 200U);
}

}  // namespace
}  // namespace lunkit::tcmu

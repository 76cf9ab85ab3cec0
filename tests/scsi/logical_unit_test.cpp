// SPDX-License-Identifier: Apache-2.0
// What holds for every command.
#include <random>

#include "logical_unit_fixture.hpp"

namespace lunkit::scsi::test {
namespace {

TEST_F(LogicalUnitTest, RefusesUnknownOperationCodes) {
    for (const std::uint8_t opcode : Bytes{0x01, 0x07, 0x60, 0x85, 0x8c, 0xa4, 0xc0, 0xff}) {
        Bytes cdb(32);
        cdb[0] = opcode;
        EXPECT_TRUE(is_check(in(cdb), 0x5, 0x2000)) << unsigned{opcode};
    }
}

TEST_F(LogicalUnitTest, RefusesUnknownServiceActionsByField) {
    EXPECT_TRUE(is_invalid_cdb_field(in(cdb16(0x9e, 0x1f, 0, 32)), 1));
    EXPECT_TRUE(is_invalid_cdb_field(in(cdb12(0xa3, 0x05, 0, 32)), 1));
    EXPECT_TRUE(is_invalid_cdb_field(in(cdb32(0x0003, 0, 0, 1)), 8));
    EXPECT_TRUE(is_invalid_cdb_field(in(cdb32(0x0109, 0, 0, 1)), 8));
}

TEST_F(LogicalUnitTest, RefusesACdbThatIsTooShort) {
    EXPECT_TRUE(is_check(run({}), 0x5, 0x2000));
    EXPECT_TRUE(is_check(run({0x28}), 0x5, 0x2400));
    EXPECT_TRUE(is_check(run({0x9e}), 0x5, 0x2400));
    EXPECT_TRUE(is_check(run(Bytes(9, 0x28)), 0x5, 0x2400));
    EXPECT_TRUE(is_invalid_cdb_field(run(Bytes{0x7f}), 8));
    Bytes cdb = cdb32(0x0009, 0, 0, 1);
    for (const std::size_t length : {10U, 31U}) {
        EXPECT_TRUE(is_invalid_cdb_field(
            run(Bytes(cdb.begin(), cdb.begin() + static_cast<std::ptrdiff_t>(length))),
            static_cast<unsigned>(length)));
    }
}

TEST_F(LogicalUnitTest, RefusesAnotherAdditionalCdbLength) {
    for (const std::uint8_t length : Bytes{0, 0x17, 0x19, 0xf7}) {
        Bytes cdb = cdb32(0x0009, 0, 0, 1);
        cdb[7] = length;
        cdb.resize(std::max<std::size_t>(10, 8U + length));
        EXPECT_TRUE(is_invalid_cdb_field(in(cdb), 7)) << unsigned{length};
    }
}

TEST_F(LogicalUnitTest, RefusesNaca) {
    EXPECT_TRUE(is_invalid_cdb_field(run({0x00, 0, 0, 0, 0, 0x04}), 5));
    Bytes cdb = cdb16(0x88, 0, 0, 1);
    cdb[15] = 0x04;
    EXPECT_TRUE(is_invalid_cdb_field(in(cdb), 15));
    cdb = cdb32(0x0009, 0, 0, 1);
    cdb[1] = 0x04;
    EXPECT_TRUE(is_invalid_cdb_field(in(cdb), 1));
}

TEST_F(LogicalUnitTest, WorksWithoutADataArea) {
    const Bytes cdb{0x12, 0, 0, 0, 96, 0};
    Command command;
    command.cdb = cdb;
    run_task(queue, unit->execute(queue, command));
    EXPECT_EQ(command.status, StatusCode::kGood);
    EXPECT_EQ(command.data_in_length, 0U);
}

TEST_F(LogicalUnitTest, ReportsAChangedCapacityOnceAndThenUsesIt) {
    device.resize_to(2 * kBlocks * kBlock);
    EXPECT_TRUE(is_check(in(cdb10(0x28, 0, kBlocks, 1)), 0x5, 0x2100)) << "not announced yet";
    unit->capacity_changed();
    EXPECT_TRUE(is_check(in(cdb10(0x28, 0, kBlocks, 1), kBlock), 0x6, 0x2a09));
    EXPECT_TRUE(is_good(in(cdb10(0x28, 0, kBlocks, 1), kBlock)));
}

TEST_F(LogicalUnitTest, ReportsAWriteCacheThatWasSwitchedOutside) {
    switch_write_cache(true);  // no change
    EXPECT_TRUE(is_good(run({0x00, 0, 0, 0, 0, 0})));
    switch_write_cache(false);
    EXPECT_FALSE(unit->write_cache());
    EXPECT_TRUE(is_check(run({0x00, 0, 0, 0, 0, 0}), 0x6, 0x2a01));
    EXPECT_TRUE(is_good(run({0x00, 0, 0, 0, 0, 0})));
    EXPECT_TRUE(initiators.write_cache_changes.empty());
}

TEST_F(LogicalUnitTest, KeepsAttentionsInOrderAndEachOnce) {
    switch_write_cache(false);
    unit->capacity_changed();
    unit->capacity_changed();
    EXPECT_TRUE(is_check(run({0x00, 0, 0, 0, 0, 0}), 0x6, 0x2a01));
    EXPECT_TRUE(is_check(run({0x00, 0, 0, 0, 0, 0}), 0x6, 0x2a09));
    EXPECT_TRUE(is_good(run({0x00, 0, 0, 0, 0, 0})));
}

TEST_F(LogicalUnitTest, AnswersInquiryAndReportLunsPastAnAttention) {
    unit->capacity_changed();
    EXPECT_TRUE(is_good(in({0x12, 0, 0, 0, 96, 0})));
    EXPECT_TRUE(is_good(in({0xa0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0})));
    EXPECT_TRUE(is_check(run({0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0}), 0x6, 0x2a09));
    EXPECT_TRUE(is_check(run({0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0}), 0x5, 0x2000));
}

TEST_F(LogicalUnitTest, RunsManyCommandsAtOnce) {
    device.suspends = true;
    queue.shuffle();
    std::vector<std::unique_ptr<Exchange>> exchanges;
    std::vector<std::optional<lunkit::test::detail::Nothing>> ended(64);
    for (std::uint32_t lba = 0; lba < 64; ++lba) {
        exchanges.push_back(std::make_unique<Exchange>(
            cdb10(0x2a, 0, lba, 1), blocks(1, static_cast<std::uint8_t>(lba + 1))));
        lunkit::test::detail::drive(unit->execute(queue, exchanges.back()->command), ended[lba],
                                    [] {});
    }
    queue.run_all();
    for (std::uint32_t lba = 0; lba < 64; ++lba) {
        ASSERT_TRUE(ended[lba]);
        EXPECT_TRUE(is_good(reply_of(*exchanges[lba])));
        EXPECT_TRUE(medium_is(lba, 1, static_cast<std::uint8_t>(lba + 1)));
    }
}

TEST_F(LogicalUnitTest, GivesEveryOpcodeAStatusWhateverTheRest) {
    std::mt19937 random(20240607);
    const auto any_byte = [&random] { return static_cast<std::uint8_t>(random()); };
    for (unsigned round = 0; round < 40; ++round) {
        for (unsigned opcode = 0; opcode < 256; ++opcode) {
            Bytes cdb(32);
            std::ranges::generate(cdb, any_byte);
            cdb[0] = static_cast<std::uint8_t>(opcode);
            cdb.resize(round % 2 == 0 ? std::max<std::size_t>(cdb_length(cdb), 1) : 32);
            for (std::size_t i = 2; i < cdb.size() && round % 4 != 0; ++i) {
                cdb[i] &= i > 4 && i != 9 ? 0x03 : 0x00;  // else nearly all is out of range
            }
            Bytes data(random() % 3000);
            std::ranges::generate(data, any_byte);
            const Bytes before = data;
            Exchange exchange(cdb, std::move(data));
            exchange.command.status = StatusCode{0xee};
            run_task(queue, unit->execute(queue, exchange.command));
            const Reply reply = reply_of(exchange);
            EXPECT_NE(reply.status, StatusCode{0xee});
            EXPECT_EQ(reply.status == StatusCode::kCheckCondition, !reply.sense.empty());
            EXPECT_TRUE(std::equal(
                before.begin() + static_cast<std::ptrdiff_t>(reply.data.size()), before.end(),
                reply.buffer.begin() + static_cast<std::ptrdiff_t>(reply.data.size())))
                << "opcode " << opcode << " wrote behind what it produced";
        }
    }
}

// Random fields rarely hit a service action of two bytes, or the right ADDITIONAL CDB LENGTH.
TEST_F(LogicalUnitTest, GivesEveryServiceActionAStatusWhateverTheRest) {
    device.properties.max_atomic_write = 8 * kBlock;
    restart();
    std::mt19937 random(20261121);
    const auto any_byte = [&random] { return static_cast<std::uint8_t>(random()); };
    std::size_t good = 0;
    const auto send = [&](Bytes cdb) {
        Bytes data(random() % 3000);
        std::ranges::generate(data, any_byte);
        Exchange exchange(std::move(cdb), std::move(data));
        exchange.command.status = StatusCode{0xee};
        run_task(queue, unit->execute(queue, exchange.command));
        queue.run_all();
        const Reply reply = reply_of(exchange);
        EXPECT_NE(reply.status, StatusCode{0xee});
        EXPECT_EQ(reply.status == StatusCode::kCheckCondition, !reply.sense.empty());
        good += reply.status == StatusCode::kGood ? 1U : 0U;
    };
    for (unsigned round = 0; round < 20; ++round) {
        for (const unsigned opcode :
             {0x48U, 0x5eU, 0x5fU, 0x83U, 0x84U, 0x9eU, 0x9fU, 0xa3U, 0xa4U}) {
            for (unsigned action = 0; action < 32; ++action) {
                Bytes cdb(16);
                std::ranges::generate(cdb, any_byte);
                cdb[0] = static_cast<std::uint8_t>(opcode);
                cdb[1] = static_cast<std::uint8_t>((random() & 0xe0U) | action);
                for (std::size_t i = 2; i < cdb.size() && round % 4 != 0; ++i) {
                    cdb[i] &= i > 6 ? 0x03 : 0x00;
                }
                cdb.resize(cdb_length(cdb));
                cdb.back() = 0;
                send(std::move(cdb));
            }
        }
        for (std::uint16_t action = 0; action < 64; ++action) {
            Bytes cdb(32);
            std::ranges::generate(cdb.begin() + 10, cdb.end(), any_byte);
            cdb[0] = 0x7f;
            cdb[7] = 0x18;
            put_be16(std::span(cdb).subspan(8), action);
            for (std::size_t i = 12; i < cdb.size() && round % 4 != 0; ++i) {
                cdb[i] &= i == 19 || i == 31 ? 0x03 : 0x00;
            }
            send(std::move(cdb));
        }
    }
    EXPECT_GT(good, 50U);  // else it is only what refuses commands that is tested here
}

// A device that ends everything inline, and a queue that has other units.
TEST_F(LogicalUnitTest, LongCommandsLetOthersHaveTheirTurn) {
    for (const Bytes& cdb : {cdb16(0x93, 0, 0, kBlocks), cdb16(0x8f, 0, 0, kBlocks)}) {
        Exchange exchange(cdb, blocks(1, 0x11));
        ASSERT_TRUE(initiators.run_in_background(unit->execute(queue, exchange.command)));
        EXPECT_GE(queue.run_all(), 1U) << unsigned{cdb[0]};
        EXPECT_EQ(exchange.command.status, StatusCode::kGood);
    }
    EXPECT_TRUE(medium_is(0, kBlocks, 0x11));
}

TEST_F(LogicalUnitTest, TouchesNothingOutsideASmallDeviceOfLargeBlocks) {
    options.block_size = 4096;
    device.properties.min_block_size = 4096;
    restart();
    const std::uint64_t last = kBlocks / 8 - 1;
    EXPECT_TRUE(is_good(out(cdb16(0x8a, 0, last, 1), Bytes(4096, 0x11))));
    EXPECT_TRUE(is_check(out(cdb16(0x8a, 0, last + 1, 1), Bytes(4096, 0x11)), 0x5, 0x2100));
    EXPECT_TRUE(is_good(out(cdb16(0x93, 0, last, 1), Bytes(4096, 0x11))));
    EXPECT_TRUE(is_good(out(cdb16(0x8f, 0x02, last, 1), Bytes(4096, 0x11))));
}

}  // namespace
}  // namespace lunkit::scsi::test

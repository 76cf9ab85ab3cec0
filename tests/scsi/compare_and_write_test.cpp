// SPDX-License-Identifier: Apache-2.0
#include "logical_unit_fixture.hpp"

namespace lunkit::scsi::test {
namespace {

class CompareAndWrite : public LogicalUnitTest {
  protected:
    static Bytes cdb(std::uint64_t lba, std::uint8_t count, std::uint8_t flags = 0) {
        Bytes bytes = cdb16(0x89, flags, lba, 0);
        bytes[13] = count;
        return bytes;
    }
    static Bytes data(std::size_t count, std::uint8_t compare, std::uint8_t write) {
        Bytes bytes = blocks(count, compare);
        bytes.insert(bytes.end(), count * kBlock, write);
        return bytes;
    }
};

TEST_F(CompareAndWrite, WritesWhatCompares) {
    for (const std::uint8_t count : {std::uint8_t{1}, std::uint8_t{5}, std::uint8_t{255}}) {
        fill_medium(10, count, 0x11);
        EXPECT_TRUE(is_good(out(cdb(10, count), data(count, 0x11, 0x22))));
        EXPECT_TRUE(medium_is(10, count, 0x22));
    }
}

TEST_F(CompareAndWrite, TellsTheByteThatDiffersAndWritesNothing) {
    fill_medium(10, 2, 0x11);
    Bytes bytes = data(2, 0x11, 0x22);
    bytes[2 * kBlock - 27] = 0;
    const Reply reply = out(cdb(10, 2), bytes);
    EXPECT_TRUE(is_check(reply, 0xe, 0x1d00));
    EXPECT_EQ(reply.information(), 2 * kBlock - 27);
    EXPECT_TRUE(medium_is(10, 2, 0x11));
}

TEST_F(CompareAndWrite, OfNoBlocksIsGoodWhateverWasSent) {
    EXPECT_TRUE(is_good(out(cdb(0, 0), blocks(1, 0x33))));
    EXPECT_TRUE(device.requests.empty());
}

TEST_F(CompareAndWrite, RefusesAnyOtherAmountOfData) {
    EXPECT_TRUE(is_check(out(cdb(0, 1), blocks(4, 0)), 0x5, 0x0e03));
    EXPECT_TRUE(is_check(out(cdb(0, 3), blocks(4, 0)), 0x5, 0x0e03));
    EXPECT_TRUE(is_check(run(cdb(0, 1)), 0x5, 0x0e03));
    EXPECT_TRUE(device.requests.empty());
}

TEST_F(CompareAndWrite, RefusesMoreThanItsMaximum) {
    options.max_transfer = 16 * kBlock;
    restart();
    EXPECT_TRUE(is_good(out(cdb(0, 8), data(8, 0, 1))));
    EXPECT_TRUE(is_invalid_cdb_field(out(cdb(0, 9), data(9, 0, 1)), 13));
}

TEST_F(CompareAndWrite, ChecksTheRange) {
    EXPECT_TRUE(is_check(out(cdb(kBlocks - 1, 2), data(2, 0, 1)), 0x5, 0x2100));
    EXPECT_TRUE(is_check(out(cdb(~std::uint64_t{0}, 1), data(1, 0, 1)), 0x5, 0x2100));
}

TEST_F(CompareAndWrite, RefusesProtectionInformation) {
    EXPECT_TRUE(is_invalid_cdb_field(out(cdb(0, 1, 0x20), data(1, 0, 1)), 1));
}

// A daemon that takes over repeats what its predecessor may have done already.
TEST_F(CompareAndWrite, ThatIsRepeatedDoesNotCompareWithItsOwnData) {
    std::uint64_t progress = 0;
    for (const bool replay : {false, true}) {
        Exchange exchange(cdb(10, 1), data(1, 0x00, 0x22));
        exchange.command.progress = &progress;
        exchange.command.replay = replay;
        run_task(queue, unit->execute(queue, exchange.command));
        EXPECT_TRUE(is_good(reply_of(exchange))) << replay;
        EXPECT_TRUE(medium_is(10, 1, 0x22));
    }
    EXPECT_TRUE(is_check(out(cdb(10, 1), data(1, 0x00, 0x33)), 0xe, 0x1d00));
}

TEST_F(CompareAndWrite, WithFuaSurvivesALossOfPower) {
    EXPECT_TRUE(is_good(out(cdb(0, 1, 0x18), data(1, 0, 0x44))));
    device.lose_power();
    EXPECT_TRUE(medium_is(0, 1, 0x44));
}

TEST_F(CompareAndWrite, WithoutWriteCacheSurvivesALossOfPower) {
    options.write_cache = false;
    restart();
    EXPECT_TRUE(is_good(out(cdb(0, 1), data(1, 0, 0x44))));
    device.lose_power();
    EXPECT_TRUE(medium_is(0, 1, 0x44));
}

TEST_F(CompareAndWrite, TellsAReadThatFailedFromAWrite) {
    Error error{EIO};
    error.offset = kBlock;
    device.fail_next(Kind::kCompareAndWrite, error);
    EXPECT_TRUE(is_check(out(cdb(10, 2), data(2, 0, 1)), 0x3, 0x0c00));
    error.while_reading = true;
    device.fail_next(Kind::kCompareAndWrite, error);
    const Reply reply = out(cdb(10, 2), data(2, 0, 1));
    EXPECT_TRUE(is_check(reply, 0x3, 0x1100));
    EXPECT_EQ(reply.information(), 11);
}

TEST_F(CompareAndWrite, IsRefusedWhenWriteProtected) {
    device.properties.read_only = true;
    restart();
    EXPECT_TRUE(is_check(out(cdb(0, 1), data(1, 0, 1)), 0x7, 0x2700));
}

}  // namespace
}  // namespace lunkit::scsi::test

// SPDX-License-Identifier: Apache-2.0
#include "logical_unit_fixture.hpp"

namespace lunkit::scsi::test {
namespace {

class Orwrite : public LogicalUnitTest {
  protected:
    static Bytes cdb(std::uint64_t lba, std::uint32_t count, std::uint8_t flags = 0) {
        return cdb16(0x8b, flags, lba, count);
    }
};

TEST_F(Orwrite, SetsTheBitsThatWereSent) {
    fill_medium(9, 302, 0x11);
    for (const std::uint32_t count : {1U, 5U, 300U}) {
        fill_medium(10, count, 0x11);
        EXPECT_TRUE(is_good(out(cdb(10, count), blocks(count, 0xa6))));
        EXPECT_TRUE(medium_is(10, count, 0xb7));
        EXPECT_TRUE(medium_is(9, 1, 0x11) && medium_is(310, 1, 0x11));
    }
}

TEST_F(Orwrite, LeavesItsAtomicityToTheDevice) {
    EXPECT_TRUE(is_good(out(cdb(3, 4), blocks(4, 1))));
    EXPECT_EQ(device.requests,
              (std::vector<MemoryDevice::Request>{{Kind::kOrWrite, 3 * kBlock, 4 * kBlock, 0}}));
}

TEST_F(Orwrite, OfNoBlocksIsGood) {
    EXPECT_TRUE(is_good(run(cdb(0, 0))));
    EXPECT_TRUE(is_good(run(cdb(kBlocks, 0))));
    EXPECT_TRUE(is_check(run(cdb(kBlocks + 1, 0)), 0x5, 0x2100));
    EXPECT_TRUE(device.requests.empty());
}

TEST_F(Orwrite, ChecksTheRange) {
    EXPECT_TRUE(is_good(out(cdb(kBlocks - 1, 1), blocks(1, 1))));
    EXPECT_TRUE(is_check(out(cdb(kBlocks - 1, 2), blocks(2, 1)), 0x5, 0x2100));
    EXPECT_TRUE(is_check(out(cdb(~std::uint64_t{0}, 1), blocks(1, 1)), 0x5, 0x2100));
}

TEST_F(Orwrite, RefusesMoreThanTheMaximumTransferLength) {
    options.max_transfer = 8 * kBlock;
    restart();
    EXPECT_TRUE(is_good(out(cdb(0, 8), blocks(8, 1))));
    EXPECT_TRUE(is_invalid_cdb_field(out(cdb(0, 9), blocks(9, 1)), 10));
}

TEST_F(Orwrite, RefusesProtectionInformation) {
    for (const unsigned protect : {1U, 2U, 7U}) {
        const auto flags = static_cast<std::uint8_t>(protect << 5U);
        EXPECT_TRUE(is_invalid_cdb_field(out(cdb(0, 1, flags), blocks(1, 1)), 1));
    }
}

TEST_F(Orwrite, TakesTheBlocksThatWereSentAndNoPartOfOne) {
    EXPECT_TRUE(is_good(out(cdb(0, 4), blocks(2, 0x40))));
    EXPECT_TRUE(medium_is(0, 2, 0x40) && medium_is(2, 2, 0));
    EXPECT_TRUE(is_check(out(cdb(0, 4), Bytes(kBlock + 1, 1)), 0x5, 0x0e03));
    EXPECT_TRUE(medium_is(0, 2, 0x40));
}

TEST_F(Orwrite, TellsTheBlockThatCannotBeWritten) {
    Error error{EIO};
    error.offset = 2 * kBlock;
    device.fail_next(Kind::kOrWrite, error);
    const Reply reply = out(cdb(7, 4), blocks(4, 1));
    EXPECT_TRUE(is_check(reply, 0x3, 0x0c00));
    EXPECT_EQ(reply.information(), 9U);
}

TEST_F(Orwrite, WithFuaOrWithoutWriteCacheSurvivesALossOfPower) {
    EXPECT_TRUE(is_good(out(cdb(0, 1, 0x18), blocks(1, 0x44))));
    device.lose_power();
    EXPECT_TRUE(medium_is(0, 1, 0x44));
    options.write_cache = false;
    restart();
    EXPECT_TRUE(is_good(out(cdb(1, 1), blocks(1, 0x44))));
    device.lose_power();
    EXPECT_TRUE(medium_is(1, 1, 0x44));
}

TEST_F(Orwrite, IsRefusedWhenWriteProtected) {
    device.properties.read_only = true;
    restart();
    EXPECT_TRUE(is_check(out(cdb(0, 1), blocks(1, 1)), 0x7, 0x2700));
}

TEST_F(Orwrite, WorksOnLargeBlocks) {
    options.block_size = 4096;
    device.properties.min_block_size = 4096;
    restart();
    EXPECT_TRUE(is_good(out(cdb(1, 1), Bytes(4096, 0x21))));
    EXPECT_TRUE(medium_is(7, 1, 0) && medium_is(8, 8, 0x21) && medium_is(16, 1, 0));
}

}  // namespace
}  // namespace lunkit::scsi::test

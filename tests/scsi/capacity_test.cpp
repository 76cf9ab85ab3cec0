// SPDX-License-Identifier: Apache-2.0
#include "logical_unit_fixture.hpp"

namespace lunkit::scsi::test {
namespace {

class ReadCapacity : public LogicalUnitTest {
  protected:
    static Bytes sixteen(std::uint32_t allocation_length) {
        return cdb16(0x9e, 0x10, 0, allocation_length);
    }
};

TEST_F(ReadCapacity, OfTenBytesGivesTheLastBlock) {
    const Reply reply = in(cdb10(0x25, 0, 0, 0), 8);
    EXPECT_TRUE(is_good(reply));
    EXPECT_EQ(reply.data, (Bytes{0, 0, 0x07, 0xff, 0, 0, 0x02, 0}));
}

TEST_F(ReadCapacity, OfTenBytesSendsLargeMediaToTheOther) {
    device.properties.size = (std::uint64_t{1} << 32U) * kBlock + kBlock;
    restart();
    EXPECT_EQ(in(cdb10(0x25, 0, 0, 0), 8).data, (Bytes{0xff, 0xff, 0xff, 0xff, 0, 0, 0x02, 0}));
}

TEST_F(ReadCapacity, OfSixteenBytesGivesLargeMedia) {
    device.properties.size = (std::uint64_t{1} << 32U) * kBlock + kBlock;
    restart();
    const Reply reply = in(sixteen(32), 32);
    EXPECT_TRUE(is_good(reply));
    ASSERT_EQ(reply.data.size(), 32U);
    EXPECT_EQ(get_be64(reply.data), std::uint64_t{1} << 32U);
    EXPECT_EQ(get_be32(std::span(reply.data).subspan(8)), kBlock);
}

TEST_F(ReadCapacity, IsCutToTheAllocationLength) {
    for (const std::uint32_t length : {0U, 1U, 12U, 31U, 32U, 64U}) {
        EXPECT_EQ(in(sixteen(length), 64).data.size(), std::min(length, 32U)) << length;
    }
    EXPECT_EQ(in(sixteen(32), 15).data.size(), 15U);
}

TEST_F(ReadCapacity, TellsPhysicalBlocks) {
    device.properties.physical_block_size = 4096;
    restart();
    EXPECT_EQ(in(sixteen(32), 32).data.at(13), 3);
}

TEST_F(ReadCapacity, SaysWhetherUnmappedBlocksReadAsZeros) {
    EXPECT_EQ(in(sixteen(32), 32).data.at(14), 0xc0);
    device.properties.discard_zeroes = false;
    restart();
    EXPECT_EQ(in(sixteen(32), 32).data.at(14), 0x80);
    device.properties.can_discard = false;
    device.properties.discard_zeroes = true;
    restart();
    EXPECT_EQ(in(sixteen(32), 32).data.at(14), 0);
}

TEST_F(ReadCapacity, RoundsDownToWholeBlocks) {
    device.properties.size = 10 * kBlock + 511;
    restart();
    EXPECT_EQ(get_be64(in(sixteen(32), 32).data), 9U);
}

TEST_F(ReadCapacity, OfNothingIsNotReady) {
    device.properties.size = kBlock - 1;
    restart();
    EXPECT_TRUE(is_check(in(cdb10(0x25, 0, 0, 0)), 0x2, 0x0400));
    EXPECT_TRUE(is_check(in(sixteen(32)), 0x2, 0x0400));
}

TEST_F(ReadCapacity, FollowsTheBlockSize) {
    options.block_size = 4096;
    restart();
    EXPECT_EQ(in(cdb10(0x25, 0, 0, 0), 8).data, (Bytes{0, 0, 0, 0xff, 0, 0, 0x10, 0}));
}

}  // namespace
}  // namespace lunkit::scsi::test

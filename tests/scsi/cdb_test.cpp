// SPDX-License-Identifier: Apache-2.0
#include "scsi/cdb.hpp"

#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "scsi/logical_unit.hpp"

namespace lunkit::scsi {
namespace {

using Bytes = std::vector<std::uint8_t>;

TEST(CdbLength, FollowsTheGroupOfTheOpcode) {
    const std::array<std::pair<std::uint8_t, std::size_t>, 8> lengths{{{0x12, 6},
                                                                       {0x28, 10},
                                                                       {0x5a, 10},
                                                                       {0x60, 12},
                                                                       {0x9e, 16},
                                                                       {0xa8, 12},
                                                                       {0xc0, 10},
                                                                       {0xff, 10}}};
    for (const auto& [opcode, length] : lengths) {
        EXPECT_EQ(cdb_length(Bytes{opcode}), length) << unsigned{opcode};
    }
}

TEST(CdbLength, AddsByteSevenOfAVariableLengthCdb) {
    EXPECT_EQ(cdb_length(Bytes{0x7f, 0, 0, 0, 0, 0, 0, 24}), 32U);
}

TEST(CdbLength, IsUnknownWhenTooLittleIsThere) {
    EXPECT_EQ(cdb_length(Bytes{}), 0U);
    EXPECT_EQ(cdb_length(Bytes{0x7f, 0, 0, 0, 0, 0, 0}), 0U);
}

TEST(BlockCdb, OfSixBytesHasTwentyOneBitsOfAddress) {
    const Bytes bytes{0x08, 0xff, 0xff, 0xfe, 0x11, 0};
    const BlockCdb cdb = decode_block_cdb(Cdb(bytes));
    EXPECT_EQ(cdb.logical_block_address, 0x1ffffeU);
    EXPECT_EQ(cdb.number_of_logical_blocks, 0x11U);
    EXPECT_EQ(cdb.protect, 0);
}

TEST(BlockCdb, OfSixBytesTakesZeroFor256Blocks) {
    const Bytes bytes{0x0a, 0, 0, 0, 0, 0};
    EXPECT_EQ(decode_block_cdb(Cdb(bytes)).number_of_logical_blocks, 256U);
}

TEST(BlockCdb, OfTenBytesReadsEveryField) {
    const Bytes bytes{0x28, 0xbe, 1, 2, 3, 4, 0, 5, 6, 0};
    const BlockCdb cdb = decode_block_cdb(Cdb(bytes));
    EXPECT_EQ(cdb.logical_block_address, 0x01020304U);
    EXPECT_EQ(cdb.number_of_logical_blocks, 0x0506U);
    EXPECT_EQ(cdb.protect, 5);
    EXPECT_TRUE(cdb.dpo);
    EXPECT_TRUE(cdb.fua);
    EXPECT_EQ(cdb.bytchk, 3);
    EXPECT_EQ(cdb.length_at, 7);
}

TEST(BlockCdb, OfTwelveBytesHasAFourByteLength) {
    const Bytes bytes{0xa8, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0};
    const BlockCdb cdb = decode_block_cdb(Cdb(bytes));
    EXPECT_EQ(cdb.logical_block_address, 0x01020304U);
    EXPECT_EQ(cdb.number_of_logical_blocks, 0x05060708U);
}

TEST(BlockCdb, OfSixteenBytesHasAnEightByteAddress) {
    const Bytes bytes{0x88, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0, 0};
    const BlockCdb cdb = decode_block_cdb(Cdb(bytes));
    EXPECT_EQ(cdb.logical_block_address, 0x0102030405060708U);
    EXPECT_EQ(cdb.number_of_logical_blocks, 0x090a0b0cU);
}

}  // namespace
}  // namespace lunkit::scsi

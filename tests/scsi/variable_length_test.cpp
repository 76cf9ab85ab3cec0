// SPDX-License-Identifier: Apache-2.0
// The block commands in their form of 32 bytes: that the fields are read where they are. What the
// commands do is tested with their shorter forms.
#include "logical_unit_fixture.hpp"

namespace lunkit::scsi::test {
namespace {

class VariableLength : public LogicalUnitTest {};

constexpr std::uint16_t kRead = 0x0009;
constexpr std::uint16_t kVerify = 0x000a;
constexpr std::uint16_t kWrite = 0x000b;
constexpr std::uint16_t kWriteAndVerify = 0x000c;
constexpr std::uint16_t kWriteSame = 0x000d;
constexpr std::array<std::uint16_t, 5> kAll{kRead, kVerify, kWrite, kWriteAndVerify, kWriteSame};

/// Of one block at block 0 or wherever; VERIFY compares.
Bytes one_block(std::uint16_t action, std::uint64_t lba, std::uint32_t count = 1) {
    const bool compares = action == kVerify || action == kWriteAndVerify;
    return cdb32(action, compares ? 0x02 : 0, lba, count);
}

TEST_F(VariableLength, WritesAndReadsTheBlocksItNames) {
    EXPECT_TRUE(is_good(out(cdb32(kWrite, 0, 7, 3), blocks(3, 0x5c))));
    EXPECT_TRUE(medium_is(6, 1, 0) && medium_is(7, 3, 0x5c) && medium_is(10, 1, 0));
    const Reply reply = in(cdb32(kRead, 0, 7, 3), 3 * kBlock);
    EXPECT_TRUE(is_good(reply));
    EXPECT_EQ(reply.data, blocks(3, 0x5c));
}

TEST_F(VariableLength, VerifiesByByteCheck) {
    fill_medium(7, 2, 0x5c);
    EXPECT_TRUE(is_good(out(cdb32(kVerify, 0x02, 7, 2), blocks(2, 0x5c))));
    EXPECT_TRUE(is_good(out(cdb32(kVerify, 0x06, 7, 2), blocks(1, 0x5c))));
    EXPECT_TRUE(is_check(out(cdb32(kVerify, 0x02, 8, 2), blocks(2, 0x5c)), 0xe, 0x1d00));
    EXPECT_TRUE(is_invalid_cdb_field(out(cdb32(kVerify, 0x04, 7, 2), blocks(2, 0x5c)), 10));
}

TEST_F(VariableLength, WritesAndVerifies) {
    EXPECT_TRUE(is_good(out(cdb32(kWriteAndVerify, 0x02, 7, 2), blocks(2, 0x5c))));
    EXPECT_TRUE(medium_is(7, 2, 0x5c));
    EXPECT_TRUE(is_invalid_cdb_field(out(cdb32(kWriteAndVerify, 0x04, 7, 2), blocks(2, 1)), 10));
}

TEST_F(VariableLength, WritesTheSameBlock) {
    EXPECT_TRUE(is_good(out(cdb32(kWriteSame, 0, 7, 100), blocks(1, 0x5c))));
    EXPECT_TRUE(medium_is(6, 1, 0) && medium_is(7, 100, 0x5c) && medium_is(107, 1, 0));
    EXPECT_TRUE(is_good(run(cdb32(kWriteSame, 0x01, 7, 50))));  // NDOB
    EXPECT_TRUE(medium_is(7, 50, 0) && medium_is(57, 50, 0x5c));
    EXPECT_TRUE(is_good(out(cdb32(kWriteSame, 0x08, 57, 50), blocks(1, 0))));  // UNMAP
    EXPECT_EQ(device.requests.back().flags, LUNKIT_IO_MAY_UNMAP);
    EXPECT_TRUE(is_invalid_cdb_field(out(cdb32(kWriteSame, 0x10, 0, 1), blocks(1, 0)), 10));
    EXPECT_TRUE(is_invalid_cdb_field(out(cdb32(kWriteSame, 0, 0, 0), blocks(1, 0)), 28));
}

TEST_F(VariableLength, RefusesProtectionInformationAndIgnoresItsTags) {
    for (const std::uint16_t action : kAll) {
        for (const unsigned protect : {1U, 3U, 7U}) {
            const auto flags = static_cast<std::uint8_t>(protect << 5U);
            EXPECT_TRUE(is_invalid_cdb_field(out(cdb32(action, flags, 0, 1), blocks(1, 0)), 10));
        }
        Bytes cdb = one_block(action, 3);
        std::fill(cdb.begin() + 20, cdb.begin() + 28, std::uint8_t{0xff});
        EXPECT_TRUE(is_good(out(cdb, blocks(1, 0)))) << action;
    }
}

TEST_F(VariableLength, ChecksTheRange) {
    for (const std::uint16_t action : kAll) {
        EXPECT_TRUE(is_good(out(one_block(action, kBlocks - 1), blocks(1, 0)))) << action;
        EXPECT_TRUE(is_check(out(one_block(action, kBlocks), blocks(1, 0)), 0x5, 0x2100));
        EXPECT_TRUE(is_check(out(one_block(action, kBlocks - 1, 2), blocks(2, 0)), 0x5, 0x2100));
        EXPECT_TRUE(is_check(out(one_block(action, ~std::uint64_t{0}), blocks(1, 0)), 0x5, 0x2100));
    }
}

TEST_F(VariableLength, RefusesMoreThanTheMaximumTransferLength) {
    options.max_transfer = 8 * kBlock;
    restart();
    for (const std::uint16_t action : {kRead, kVerify, kWrite, kWriteAndVerify}) {
        EXPECT_TRUE(is_good(out(one_block(action, 0, 8), blocks(8, 0)))) << action;
        EXPECT_TRUE(is_invalid_cdb_field(out(one_block(action, 0, 9), blocks(9, 0)), 28));
    }
}

TEST_F(VariableLength, WithFuaOrWithoutWriteCacheSurvivesALossOfPower) {
    EXPECT_TRUE(is_good(out(cdb32(kWrite, 0x08, 0, 1), blocks(1, 0x44))));
    device.lose_power();
    EXPECT_TRUE(medium_is(0, 1, 0x44));
    options.write_cache = false;
    restart();
    EXPECT_TRUE(is_good(out(cdb32(kWrite, 0, 1, 1), blocks(1, 0x44))));
    EXPECT_TRUE(is_good(out(cdb32(kWriteSame, 0, 2, 2), blocks(1, 0x44))));
    device.lose_power();
    EXPECT_TRUE(medium_is(0, 4, 0x44));
}

TEST_F(VariableLength, IsRefusedWhenItWritesAndTheUnitIsWriteProtected) {
    device.properties.read_only = true;
    restart();
    EXPECT_TRUE(is_good(in(cdb32(kRead, 0, 0, 1), kBlock)));
    EXPECT_TRUE(is_good(run(cdb32(kVerify, 0, 0, 1))));
    for (const std::uint16_t action : {kWrite, kWriteAndVerify, kWriteSame}) {
        EXPECT_TRUE(is_check(out(one_block(action, 0), blocks(1, 0)), 0x7, 0x2700)) << action;
    }
}

TEST_F(VariableLength, WorksOnLargeBlocks) {
    options.block_size = 4096;
    device.properties.min_block_size = 4096;
    restart();
    EXPECT_TRUE(is_good(out(cdb32(kWrite, 0, 1, 1), Bytes(4096, 0x21))));
    EXPECT_TRUE(medium_is(7, 1, 0) && medium_is(8, 8, 0x21) && medium_is(16, 1, 0));
}

}  // namespace
}  // namespace lunkit::scsi::test

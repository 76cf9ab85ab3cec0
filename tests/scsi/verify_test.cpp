// SPDX-License-Identifier: Apache-2.0
#include "logical_unit_fixture.hpp"

namespace lunkit::scsi::test {
namespace {

class Verify : public LogicalUnitTest {};
class WriteAndVerify : public LogicalUnitTest {};

constexpr std::uint8_t kBytchkAll = 0x02;
constexpr std::uint8_t kBytchkOne = 0x06;

std::vector<Bytes> every_verify(std::uint8_t flags, std::uint32_t lba, std::uint16_t count) {
    return {cdb10(0x2f, flags, lba, count), cdb12(0xaf, flags, lba, count),
            cdb16(0x8f, flags, lba, count)};
}
std::vector<Bytes> every_write_and_verify(std::uint8_t flags, std::uint32_t lba,
                                          std::uint16_t count) {
    return {cdb10(0x2e, flags, lba, count), cdb12(0xae, flags, lba, count),
            cdb16(0x8e, flags, lba, count)};
}

TEST_F(Verify, WithoutBytchkReadsTheMedium) {
    for (const Bytes& cdb : every_verify(0x10, 4, 8)) {
        device.requests.clear();
        EXPECT_TRUE(is_good(run(cdb))) << unsigned{cdb[0]};
        ASSERT_EQ(device.requests.size(), 1U);
        EXPECT_EQ(device.requests[0].offset, 4 * kBlock);
        EXPECT_EQ(device.requests[0].length, 8 * kBlock);
    }
}

TEST_F(Verify, WithoutBytchkDoesNotLookAtData) {
    EXPECT_TRUE(is_good(out(cdb10(0x2f, 0, 0, 1), blocks(1, 0x99))));
}

TEST_F(Verify, TellsABadBlock) {
    Error error{EIO};
    error.offset = kBlock;
    device.fail_next(Kind::kRead, error);
    const Reply reply = run(cdb10(0x2f, 0, 10, 4));
    EXPECT_TRUE(is_check(reply, 0x3, 0x1100));
    EXPECT_EQ(reply.information(), 11U);
}

TEST_F(Verify, ComparesAllBlocks) {
    fill_medium(4, 2, 0x11);
    for (const Bytes& cdb : every_verify(kBytchkAll, 4, 2)) {
        EXPECT_TRUE(is_good(out(cdb, blocks(2, 0x11)))) << unsigned{cdb[0]};
    }
}

TEST_F(Verify, TellsTheFirstByteThatDiffers) {
    fill_medium(4, 2, 0x11);
    for (const std::size_t at :
         {std::size_t{0}, std::size_t{3}, std::size_t{511}, std::size_t{512}, std::size_t{1023}}) {
        Bytes data = blocks(2, 0x11);
        data[at] = 0x12;
        for (const Bytes& cdb : every_verify(kBytchkAll, 4, 2)) {
            const Reply reply = out(cdb, data);
            EXPECT_TRUE(is_check(reply, 0xe, 0x1d00)) << unsigned{cdb[0]};
            EXPECT_EQ(reply.information(), at);
        }
    }
}

TEST_F(Verify, ComparesRangesLongerThanItsBuffer) {
    fill_medium(0, 2000, 0x11);
    Bytes data = blocks(2000, 0x11);
    EXPECT_TRUE(is_good(out(cdb10(0x2f, kBytchkAll, 0, 2000), data)));
    data[1999 * kBlock + 7] = 0;
    const Reply reply = out(cdb10(0x2f, kBytchkAll, 0, 2000), data);
    EXPECT_TRUE(is_check(reply, 0xe, 0x1d00));
    EXPECT_EQ(reply.information(), 1999 * kBlock + 7);
}

TEST_F(Verify, ComparesOneBlockWithEachOfTheRange) {
    fill_medium(4, 3, 0x11);
    for (const Bytes& cdb : every_verify(kBytchkOne, 4, 3)) {
        EXPECT_TRUE(is_good(out(cdb, blocks(1, 0x11)))) << unsigned{cdb[0]};
    }
    device.bytes()[6 * kBlock + 5] = std::byte{0};
    for (const Bytes& cdb : every_verify(kBytchkOne, 4, 3)) {
        const Reply reply = out(cdb, blocks(1, 0x11));
        EXPECT_TRUE(is_check(reply, 0xe, 0x1d00)) << unsigned{cdb[0]};
        EXPECT_EQ(reply.information(), 5U);
    }
}

TEST_F(Verify, RefusesTheReservedBytchk) {
    EXPECT_TRUE(is_invalid_cdb_field(out(cdb10(0x2f, 0x04, 0, 1), blocks(1, 0)), 1));
}

TEST_F(Verify, RefusesProtectionInformation) {
    EXPECT_TRUE(is_invalid_cdb_field(run(cdb10(0x2f, 0x20, 0, 1)), 1));
}

TEST_F(Verify, RefusesTooLittleToCompareWith) {
    EXPECT_TRUE(is_check(out(cdb10(0x2f, kBytchkAll, 0, 2), blocks(1, 0)), 0x5, 0x0e03));
    EXPECT_TRUE(is_check(out(cdb10(0x2f, kBytchkOne, 0, 2), Bytes(100)), 0x5, 0x0e03));
}

TEST_F(Verify, OfNoBlocksIsGood) {
    EXPECT_TRUE(is_good(run(cdb10(0x2f, kBytchkAll, 0, 0))));
    EXPECT_TRUE(is_check(run(cdb10(0x2f, 0, kBlocks + 1, 0)), 0x5, 0x2100));
}

TEST_F(Verify, ChecksTheRange) {
    for (const Bytes& cdb : every_verify(0, kBlocks - 1, 2)) {
        EXPECT_TRUE(is_check(run(cdb), 0x5, 0x2100)) << unsigned{cdb[0]};
    }
}

TEST_F(Verify, WorksOnAReadOnlyDevice) {
    device.properties.read_only = true;
    restart();
    EXPECT_TRUE(is_good(run(cdb10(0x2f, 0, 0, 1))));
}

TEST_F(WriteAndVerify, StoresDurablyAndReadsBack) {
    for (const Bytes& cdb : every_write_and_verify(0, 4, 2)) {
        device.requests.clear();
        fill_medium(4, 2, 0);
        EXPECT_TRUE(is_good(out(cdb, blocks(2, 0x22)))) << unsigned{cdb[0]};
        device.lose_power();
        EXPECT_TRUE(medium_is(4, 2, 0x22)) << unsigned{cdb[0]};
        EXPECT_EQ(device.count(Kind::kRead), 1U);
    }
}

TEST_F(WriteAndVerify, ComparesWithBytchk) {
    for (const Bytes& cdb : every_write_and_verify(kBytchkAll, 4, 2)) {
        EXPECT_TRUE(is_good(out(cdb, blocks(2, 0x23)))) << unsigned{cdb[0]};
    }
}

TEST_F(WriteAndVerify, RefusesReservedBytchk) {
    EXPECT_TRUE(is_invalid_cdb_field(out(cdb10(0x2e, 0x04, 0, 1), blocks(1, 1)), 1));
    EXPECT_TRUE(is_invalid_cdb_field(out(cdb10(0x2e, 0x06, 0, 1), blocks(1, 1)), 1));
    EXPECT_TRUE(medium_is(0, 1, 0));
}

TEST_F(WriteAndVerify, TellsWhatCannotBeReadBack) {
    device.fail_next(Kind::kRead, Error{EIO});
    EXPECT_TRUE(is_check(out(cdb10(0x2e, 0, 0, 1), blocks(1, 1)), 0x3, 0x1100));
}

TEST_F(WriteAndVerify, TreatsOtherBufferLengthsAsWriteDoes) {
    EXPECT_TRUE(is_good(out(cdb10(0x2e, 0, 0, 2), blocks(1, 0x24))));
    EXPECT_TRUE(medium_is(0, 1, 0x24));
    EXPECT_TRUE(medium_is(1, 1, 0));
    EXPECT_TRUE(is_check(out(cdb10(0x2e, 0, 0, 1), Bytes(200, 1)), 0x5, 0x0e03));
    EXPECT_TRUE(is_good(run(cdb10(0x2e, 0, 0, 1))));
}

TEST_F(WriteAndVerify, IsRefusedWhenWriteProtected) {
    device.properties.read_only = true;
    restart();
    for (const Bytes& cdb : every_write_and_verify(0, 4, 2)) {
        EXPECT_TRUE(is_check(out(cdb, blocks(2, 1)), 0x7, 0x2700)) << unsigned{cdb[0]};
    }
}

}  // namespace
}  // namespace lunkit::scsi::test

// SPDX-License-Identifier: Apache-2.0
#include "logical_unit_fixture.hpp"

namespace lunkit::scsi::test {
namespace {

class WriteSame : public LogicalUnitTest {};

constexpr std::uint8_t kAnchor = 0x10;
constexpr std::uint8_t kUnmap = 0x08;
constexpr std::uint8_t kNdob = 0x01;

std::vector<Bytes> both(std::uint8_t flags, std::uint32_t lba, std::uint16_t count) {
    return {cdb10(0x41, flags, lba, count), cdb16(0x93, flags, lba, count)};
}

TEST_F(WriteSame, RepeatsTheBlock) {
    Bytes block(kBlock);
    for (std::size_t i = 0; i < kBlock; ++i) {
        block[i] = static_cast<std::uint8_t>(i);
    }
    for (const Bytes& cdb : both(0, 3, 1500)) {  // more than one buffer
        fill_medium(0, kBlocks, 0xcc);
        EXPECT_TRUE(is_good(out(cdb, block)));
        EXPECT_TRUE(medium_is(2, 1, 0xcc) && medium_is(1503, 1, 0xcc));
        for (std::size_t lba = 3; lba < 1503; ++lba) {
            const auto at = device.bytes().subspan(lba * kBlock, kBlock);
            ASSERT_TRUE(std::ranges::equal(at, std::as_bytes(std::span(block)))) << lba;
        }
    }
}

TEST_F(WriteSame, LeavesZerosToTheDevice) {
    fill_medium(0, 10, 0xcc);
    for (const Bytes& cdb : both(0, 3, 4)) {
        device.requests.clear();
        EXPECT_TRUE(is_good(out(cdb, blocks(1, 0))));
        EXPECT_EQ(
            device.requests,
            (std::vector<MemoryDevice::Request>{{Kind::kWriteZeroes, 3 * kBlock, 4 * kBlock, 0}}));
    }
    EXPECT_TRUE(medium_is(2, 1, 0xcc) && medium_is(3, 4, 0) && medium_is(7, 1, 0xcc));
}

TEST_F(WriteSame, OfZerosWithUnmapMayDeallocate) {
    for (const Bytes& cdb : both(kUnmap, 3, 4)) {
        device.requests.clear();
        EXPECT_TRUE(is_good(out(cdb, blocks(1, 0))));
        EXPECT_EQ(device.requests.at(0).flags, LUNKIT_IO_MAY_UNMAP);
    }
}

TEST_F(WriteSame, OfAnythingElseWithUnmapIsWritten) {
    for (const Bytes& cdb : both(kUnmap, 3, 4)) {
        fill_medium(3, 4, 0);
        EXPECT_TRUE(is_good(out(cdb, blocks(1, 0x12))));
        EXPECT_TRUE(medium_is(3, 4, 0x12));
    }
}

TEST_F(WriteSame, WritesZerosOutWhereTheDeviceCannot) {
    fill_medium(0, 10, 0xcc);
    device.fail_next(Kind::kWriteZeroes, Error{EOPNOTSUPP});
    EXPECT_TRUE(is_good(out(cdb10(0x41, 0, 3, 4), blocks(1, 0))));
    EXPECT_TRUE(medium_is(3, 4, 0) && medium_is(7, 1, 0xcc));
    EXPECT_EQ(device.count(Kind::kWrite), 1U);
}

TEST_F(WriteSame, NeedsNoDataWithNdob) {
    fill_medium(0, 10, 0xcc);
    EXPECT_TRUE(is_good(run(cdb16(0x93, kNdob, 3, 2))));
    EXPECT_TRUE(is_good(run(cdb16(0x93, kNdob | kUnmap, 5, 2))));
    EXPECT_TRUE(medium_is(3, 4, 0));
}

TEST_F(WriteSame, WithUnmapAndWithoutDataUnmaps) {
    fill_medium(0, 10, 0xcc);
    for (const Bytes& cdb : both(kUnmap, 3, 2)) {
        EXPECT_TRUE(is_good(run(cdb)));
    }
    EXPECT_TRUE(medium_is(3, 2, 0));
}

TEST_F(WriteSame, RefusesAnyOtherAmountOfData) {
    for (const Bytes& cdb : both(0, 0, 2)) {
        EXPECT_TRUE(is_check(run(cdb), 0x5, 0x0e03));
        EXPECT_TRUE(is_check(out(cdb, Bytes(kBlock / 2, 1)), 0x5, 0x0e03));
        EXPECT_TRUE(is_check(out(cdb, blocks(2, 1)), 0x5, 0x0e03));
    }
    EXPECT_TRUE(device.requests.empty());
}

TEST_F(WriteSame, RefusesToAnchor) {
    for (const Bytes& cdb : both(kAnchor, 0, 1)) {
        EXPECT_TRUE(is_invalid_cdb_field(out(cdb, blocks(1, 0)), 1));
    }
    for (const Bytes& cdb : both(kAnchor | kUnmap, 0, 1)) {
        EXPECT_TRUE(is_invalid_cdb_field(out(cdb, blocks(1, 0)), 1));
    }
}

TEST_F(WriteSame, RefusesUnmapOnADeviceThatCannotDiscard) {
    device.properties.can_discard = false;
    restart();
    for (const Bytes& cdb : both(kUnmap, 0, 1)) {
        EXPECT_TRUE(is_invalid_cdb_field(out(cdb, blocks(1, 0)), 1));
    }
    EXPECT_TRUE(is_good(out(cdb10(0x41, 0, 0, 1), blocks(1, 0))));
}

TEST_F(WriteSame, RefusesPhysicalAndLogicalBlockData) {
    EXPECT_TRUE(is_invalid_cdb_field(out(cdb10(0x41, 0x02, 0, 1), blocks(1, 0)), 1));
    EXPECT_TRUE(is_invalid_cdb_field(out(cdb10(0x41, 0x04, 0, 1), blocks(1, 0)), 1));
}

TEST_F(WriteSame, RefusesProtectionInformation) {
    for (const Bytes& cdb : both(0x20, 0, 1)) {
        EXPECT_TRUE(is_invalid_cdb_field(out(cdb, blocks(1, 0)), 1));
    }
}

TEST_F(WriteSame, OfNoBlocksIsRefusedAsWsnzSays) {
    EXPECT_TRUE(is_invalid_cdb_field(out(cdb10(0x41, 0, 0, 0), blocks(1, 0)), 7));
    EXPECT_TRUE(is_invalid_cdb_field(out(cdb16(0x93, 0, 0, 0), blocks(1, 0)), 10));
}

TEST_F(WriteSame, ChecksTheRangeFirst) {
    for (const Bytes& cdb : both(0, kBlocks + 1, 0)) {
        EXPECT_TRUE(is_check(out(cdb, blocks(1, 0)), 0x5, 0x2100));
    }
    for (const Bytes& cdb : both(0, kBlocks - 1, 2)) {
        EXPECT_TRUE(is_check(out(cdb, blocks(1, 0)), 0x5, 0x2100));
    }
}

TEST_F(WriteSame, RefusesMoreThanItsMaximum) {
    device.properties.max_write_zeroes = 8 * kBlock;
    restart();
    EXPECT_TRUE(is_good(out(cdb10(0x41, 0, 0, 8), blocks(1, 0))));
    EXPECT_TRUE(is_invalid_cdb_field(out(cdb10(0x41, 0, 0, 9), blocks(1, 0)), 7));
}

TEST_F(WriteSame, IsDurableWithoutWriteCache) {
    options.write_cache = false;
    restart();
    fill_medium(0, 4, 0xcc);
    EXPECT_TRUE(is_good(out(cdb10(0x41, 0, 0, 2), blocks(1, 0x34))));
    device.lose_power();
    EXPECT_TRUE(medium_is(0, 2, 0x34));
    EXPECT_TRUE(is_good(out(cdb10(0x41, 0, 0, 2), blocks(1, 0))));
    device.lose_power();
    EXPECT_TRUE(medium_is(0, 2, 0));
}

TEST_F(WriteSame, TellsAFailure) {
    device.fail_next(Kind::kWriteZeroes, Error{EIO});
    EXPECT_TRUE(is_check(out(cdb10(0x41, 0, 0, 2), blocks(1, 0)), 0x3, 0x0c00));
    device.fail_next(Kind::kWrite, Error{ENOSPC});
    EXPECT_TRUE(is_check(out(cdb10(0x41, 0, 0, 2), blocks(1, 1)), 0x7, 0x2707));
}

TEST_F(WriteSame, IsRefusedWhenWriteProtectedWhateverElseIsWrong) {
    device.properties.read_only = true;
    restart();
    for (const Bytes& cdb : both(kUnmap, 0, 1)) {
        EXPECT_TRUE(is_check(run(cdb), 0x7, 0x2700));
    }
}

}  // namespace
}  // namespace lunkit::scsi::test

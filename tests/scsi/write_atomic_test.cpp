// SPDX-License-Identifier: Apache-2.0
#include "logical_unit_fixture.hpp"

namespace lunkit::scsi::test {
namespace {

class WriteAtomic : public LogicalUnitTest {
  protected:
    static constexpr std::uint16_t kMost = 16;  // blocks

    WriteAtomic() {
        device.properties.max_atomic_write = kMost * kBlock;
        restart();
    }
    static Bytes cdb(std::uint64_t lba, std::uint16_t count, std::uint8_t flags = 0) {
        return cdb16(0x9c, flags, lba, count);
    }
};

TEST_F(WriteAtomic, IsOneWriteThatTheDeviceDoesWholeOrNotAtAll) {
    EXPECT_TRUE(is_good(out(cdb(3, kMost), blocks(kMost, 0x5a))));
    EXPECT_TRUE(medium_is(3, kMost, 0x5a));
    EXPECT_EQ(device.requests, (std::vector<MemoryDevice::Request>{
                                   {Kind::kWrite, 3 * kBlock, kMost * kBlock, LUNKIT_IO_ATOMIC}}));
}

TEST_F(WriteAtomic, IsUnknownWhereTheDeviceDoesNotPromiseIt) {
    device.properties.max_atomic_write = kBlock - 1;  // not one block
    restart();
    EXPECT_TRUE(is_check(out(cdb(0, 1), blocks(1, 1)), 0x5, 0x2000));
    Bytes report(12);
    report[0] = 0xa3;
    report[1] = 0x0c;
    report[2] = 0x01;  // one command, by its operation code
    report[3] = 0x9c;
    report[9] = 0xff;
    EXPECT_EQ(in(report).data.at(1) & 0x07, 0x01);  // not supported
}

TEST_F(WriteAtomic, RefusesMoreBlocksThanItCanPromise) {
    EXPECT_TRUE(is_invalid_cdb_field(out(cdb(0, kMost + 1), blocks(kMost + 1, 1)), 12));
    EXPECT_TRUE(device.requests.empty());
}

TEST_F(WriteAtomic, RefusesBoundariesWithinTheWrite) {
    Bytes bytes = cdb(0, 4);
    bytes[11] = 2;  // ATOMIC BOUNDARY
    EXPECT_TRUE(is_invalid_cdb_field(out(bytes, blocks(4, 1)), 10));
}

TEST_F(WriteAtomic, WritesNoPartOfIt) {
    EXPECT_TRUE(is_check(out(cdb(0, 4), blocks(3, 0x40)), 0x5, 0x0e03));
    EXPECT_TRUE(is_check(run(cdb(0, 4)), 0x5, 0x0e03));
    EXPECT_TRUE(medium_is(0, 4, 0));
    EXPECT_TRUE(is_good(out(cdb(0, 4), blocks(5, 0x40))));  // the rest is not for it
    EXPECT_TRUE(medium_is(0, 4, 0x40) && medium_is(4, 1, 0));
}

TEST_F(WriteAtomic, OfNoBlocksIsGood) {
    EXPECT_TRUE(is_good(run(cdb(kBlocks, 0))));
    EXPECT_TRUE(is_check(run(cdb(kBlocks + 1, 0)), 0x5, 0x2100));
    EXPECT_TRUE(device.requests.empty());
}

TEST_F(WriteAtomic, ChecksRangeAndProtection) {
    EXPECT_TRUE(is_good(out(cdb(kBlocks - 1, 1), blocks(1, 1))));
    EXPECT_TRUE(is_check(out(cdb(kBlocks - 1, 2), blocks(2, 1)), 0x5, 0x2100));
    EXPECT_TRUE(is_check(out(cdb(~std::uint64_t{0}, 1), blocks(1, 1)), 0x5, 0x2100));
    EXPECT_TRUE(is_invalid_cdb_field(out(cdb(0, 1, 0x20), blocks(1, 1)), 1));
}

TEST_F(WriteAtomic, IsDurableWithFuaAndWithoutAWriteCache) {
    EXPECT_TRUE(is_good(out(cdb(0, 1, 0x08), blocks(1, 1))));
    EXPECT_TRUE(device.is_durable());
    options.write_cache = false;
    restart();
    EXPECT_TRUE(is_good(out(cdb(1, 1), blocks(1, 1))));
    EXPECT_TRUE(device.is_durable());
}

TEST_F(WriteAtomic, SaysWhatFailed) {
    device.fail_next(Kind::kWrite, Error{ENOSPC});
    EXPECT_TRUE(is_check(out(cdb(0, 4), blocks(4, 1)), 0x7, 0x2707));
    EXPECT_TRUE(medium_is(0, 4, 0));
}

TEST_F(WriteAtomic, IsToldInTheBlockLimits) {
    const Bytes limits = in({0x12, 1, 0xb0, 0, 0xff, 0}).data;
    ASSERT_EQ(limits.size(), 64U);
    EXPECT_EQ(get_be32(std::span(limits).subspan(44)), kMost);  // MAXIMUM ATOMIC TRANSFER LENGTH
    // ATOMIC ALIGNMENT, ATOMIC TRANSFER LENGTH GRANULARITY, what boundaries would allow.
    EXPECT_TRUE(std::all_of(limits.begin() + 48, limits.end(), [](auto b) { return b == 0; }));
}

TEST_F(WriteAtomic, IsNeverLongerThanATransfer) {
    options.max_transfer = 4 * kBlock;
    restart();
    EXPECT_TRUE(is_good(out(cdb(0, 4), blocks(4, 1))));
    EXPECT_TRUE(is_invalid_cdb_field(out(cdb(0, 5), blocks(5, 1)), 12));
}

}  // namespace
}  // namespace lunkit::scsi::test

// SPDX-License-Identifier: Apache-2.0
#include "logical_unit_fixture.hpp"

namespace lunkit::scsi::test {
namespace {

class SynchronizeCache : public LogicalUnitTest {};
class PreFetch : public LogicalUnitTest {};

TEST_F(SynchronizeCache, MakesWritesDurable) {
    for (const Bytes& cdb : {cdb10(0x35, 0, 0, 0), cdb16(0x91, 0, 0, 0), cdb10(0x35, 0x02, 5, 1)}) {
        fill_medium(5, 1, 0);
        EXPECT_TRUE(is_good(out(cdb10(0x2a, 0, 5, 1), blocks(1, 0x11))));
        EXPECT_TRUE(is_good(run(cdb))) << unsigned{cdb[0]};
        device.lose_power();
        EXPECT_TRUE(medium_is(5, 1, 0x11)) << unsigned{cdb[0]};
    }
}

TEST_F(SynchronizeCache, TellsAFailedFlush) {
    device.fail_next(Kind::kFlush, Error{EIO});
    EXPECT_TRUE(is_check(run(cdb10(0x35, 0, 0, 0)), 0x3, 0x0c00));
    device.fail_next(Kind::kFlush, Error{ENOSPC});
    EXPECT_TRUE(is_check(run(cdb16(0x91, 0x02, 0, 0)), 0x7, 0x2707));
}

TEST_F(SynchronizeCache, ChecksTheRange) {
    EXPECT_TRUE(is_check(run(cdb10(0x35, 0, kBlocks, 1)), 0x5, 0x2100));
    EXPECT_TRUE(is_check(run(cdb16(0x91, 0, ~std::uint64_t{0}, 1)), 0x5, 0x2100));
    EXPECT_EQ(device.count(Kind::kFlush), 0U);
}

TEST_F(PreFetch, IsGoodWithinTheMedium) {
    EXPECT_TRUE(is_good(run(cdb10(0x34, 0x02, 0, 256))));
    EXPECT_TRUE(is_good(run(cdb16(0x90, 0, kBlocks - 1, 1))));
    EXPECT_TRUE(is_good(run(cdb16(0x90, 0, 0, 0))));
}

TEST_F(PreFetch, ChecksTheRange) {
    EXPECT_TRUE(is_check(run(cdb10(0x34, 0, kBlocks, 1)), 0x5, 0x2100));
    EXPECT_TRUE(is_check(run(cdb10(0x34, 0, kBlocks + 1, 0)), 0x5, 0x2100));
    EXPECT_TRUE(is_check(run(cdb16(0x90, 0, std::uint64_t{1} << 63U, 1)), 0x5, 0x2100));
}

}  // namespace
}  // namespace lunkit::scsi::test

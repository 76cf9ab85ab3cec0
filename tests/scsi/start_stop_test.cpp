// SPDX-License-Identifier: Apache-2.0
#include "logical_unit_fixture.hpp"

namespace lunkit::scsi::test {
namespace {

class StartStopUnit : public LogicalUnitTest {
  protected:
    Reply start_stop(std::uint8_t byte4, std::uint8_t immed = 0) {
        return run({0x1b, immed, 0, 0, byte4, 0});
    }
    Reply test_unit_ready() { return run({0x00, 0, 0, 0, 0, 0}); }
};

TEST_F(StartStopUnit, StopsTheUnitAndStartsItAgain) {
    EXPECT_TRUE(is_good(test_unit_ready()));
    EXPECT_TRUE(is_good(start_stop(0)));
    EXPECT_TRUE(is_check(test_unit_ready(), 0x2, 0x0402));
    EXPECT_TRUE(is_check(in(cdb10(0x28, 0, 0, 1)), 0x2, 0x0402));
    EXPECT_TRUE(is_check(out(cdb10(0x2a, 0, 0, 1), blocks(1, 1)), 0x2, 0x0402));
    EXPECT_TRUE(is_good(start_stop(1, 1)));
    EXPECT_TRUE(is_good(test_unit_ready()));
    EXPECT_TRUE(is_good(in(cdb10(0x28, 0, 0, 1), kBlock)));
}

TEST_F(StartStopUnit, LeavesTheUnitTalkingWhenStopped) {
    EXPECT_TRUE(is_good(start_stop(0)));
    EXPECT_TRUE(is_good(in({0x12, 0, 0, 0, 96, 0})));
    EXPECT_TRUE(is_good(in({0x1a, 0, 0x3f, 0, 255, 0})));
    EXPECT_TRUE(is_good(in({0x4d, 0, 0x40, 0, 0, 0, 0, 0, 255, 0})));
}

TEST_F(StartStopUnit, FlushesBeforeItStops) {
    EXPECT_TRUE(is_good(out(cdb10(0x2a, 0, 0, 1), blocks(1, 0x11))));
    EXPECT_TRUE(is_good(start_stop(0)));
    device.lose_power();
    EXPECT_TRUE(medium_is(0, 1, 0x11));
}

TEST_F(StartStopUnit, DoesNotFlushWithNoFlush) {
    EXPECT_TRUE(is_good(start_stop(0x04)));
    EXPECT_EQ(device.count(Kind::kFlush), 0U);
}

TEST_F(StartStopUnit, GoesOnWhenTheFlushFails) {
    device.fail_next(Kind::kFlush, Error{EIO});
    EXPECT_TRUE(is_check(start_stop(0), 0x3, 0x0c00));
    EXPECT_TRUE(is_good(test_unit_ready()));
}

TEST_F(StartStopUnit, RefusesToEject) {
    EXPECT_TRUE(is_invalid_cdb_field(start_stop(0x02), 4));
    EXPECT_TRUE(is_invalid_cdb_field(start_stop(0x03, 1), 4));
    EXPECT_TRUE(is_good(test_unit_ready()));
}

TEST_F(StartStopUnit, RefusesPowerConditions) {
    for (unsigned condition = 1; condition < 16; ++condition) {
        EXPECT_TRUE(
            is_invalid_cdb_field(start_stop(static_cast<std::uint8_t>(condition << 4U)), 4));
    }
    EXPECT_TRUE(is_good(test_unit_ready()));
}

TEST_F(LogicalUnitTest, AcceptsPreventAndAllow) {
    EXPECT_TRUE(is_good(run({0x1e, 0, 0, 0, 1, 0})));
    EXPECT_TRUE(is_good(run({0x1e, 0, 0, 0, 0, 0})));
    EXPECT_TRUE(is_invalid_cdb_field(run({0x1e, 0, 0, 0, 2, 0}), 4));
}

}  // namespace
}  // namespace lunkit::scsi::test

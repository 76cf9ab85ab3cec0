// SPDX-License-Identifier: Apache-2.0
#include <chrono>

#include "logical_unit_fixture.hpp"
#include "scsi/unit_memory.hpp"

namespace lunkit::scsi::test {
namespace {

std::chrono::steady_clock::time_point clock_now;  // NOLINT: what the units below think it is

constexpr std::uint64_t kMebi = 1U << 20U;
constexpr unsigned kSoftThresholdReached = 0x3807;

/// 16 MiB; the soft threshold is 1 MiB of room.
class Provisioning : public LogicalUnitTest {
  protected:
    Provisioning() {
        device.resize_to(16 * kMebi);
        device.properties.can_tell_space = true;
        device.room = {3 * kMebi + 5, 100 * kMebi, true};
        options.now = [] { return clock_now; };
        restart();
    }
    Reply write_mebi() { return out(cdb10(0x2a, 0, 0, kMebi / kBlock), Bytes(kMebi, 1)); }
    Reply test_unit_ready() { return run(Bytes(6)); }
    Reply log(std::uint8_t pointer = 0) { return in({0x4d, 0, 0x4c, 0, 0, 0, pointer, 0, 255, 0}); }
    std::uint64_t asked() { return device.count(Kind::kSpace); }
};

TEST_F(Provisioning, TellsWhatIsAvailableAndUsed) {
    const Bytes expected{0x0c, 0, 0, 24, 0, 1, 3, 8, 0, 0, 0, 100, 2, 0,
                         0,    0, 0, 2,  3, 8, 0, 0, 0, 3, 1, 0,   0, 0};
    EXPECT_EQ(log().data, expected);
    EXPECT_EQ(log(2).data, (Bytes{0x0c, 0, 0, 12, 0, 2, 3, 8, 0, 0, 0, 3, 1, 0, 0, 0}));
    EXPECT_TRUE(is_invalid_cdb_field(log(3), 5));
    device.room.shared = false;
    EXPECT_EQ(log().data.at(12), 1);
}

TEST_F(Provisioning, IsAmongTheLogPages) {
    EXPECT_EQ(in({0x4d, 0, 0, 0, 0, 0, 0, 0, 255, 0}).data,
              (Bytes{0x00, 0, 0, 6, 0x00, 0x02, 0x03, 0x05, 0x0c, 0x2f}));
}

TEST_F(Provisioning, SaysWhenTheDeviceCannotTell) {
    device.fail_next(Kind::kSpace, Error{ETIMEDOUT});
    EXPECT_TRUE(is_check(log(), 0x4, 0x4400));
}

TEST_F(Provisioning, HasItsUnitInTheVpdPage) {
    EXPECT_EQ(in({0x12, 1, 0xb2, 0, 255, 0}).data.at(4), 11);  // 2048 blocks of 512
    options.block_size = 4096;
    restart();
    EXPECT_EQ(in({0x12, 1, 0xb2, 0, 255, 0}).data.at(4), 8);
}

TEST_F(Provisioning, HasItsThresholdInTheModePage) {
    Bytes expected(4 + 24);
    expected[0] = 27;
    expected[2] = 0x10;
    expected[4] = 0x5c;
    expected[5] = 0x02;
    expected[7] = 20;
    expected[20] = 0x80;  // enabled, soft, decreasing
    expected[21] = 0x01;  // of what is available
    expected[27] = 1;     // a tenth of 16 MiB
    EXPECT_EQ(in({0x1a, 0x08, 0x1c, 0x02, 255, 0}).data, expected);
    EXPECT_EQ(in({0x1a, 0x08, 0x1c, 0, 255, 0}).data.size(), 4U + 12);
    EXPECT_EQ(in({0x1a, 0x08, 0x1c, 0xff, 255, 0}).data.size(), 4U + 12 + 24);
    EXPECT_EQ(in({0x1a, 0x08, 0x3f, 0xff, 255, 0}).data.size(),
              in({0x1a, 0x08, 0x3f, 0, 255, 0}).data.size() + 24);
    EXPECT_TRUE(is_invalid_cdb_field(in({0x1a, 0x08, 0x1c, 0x01, 255, 0}), 3));
    EXPECT_TRUE(is_invalid_cdb_field(in({0x1a, 0x08, 0x3f, 0x02, 255, 0}), 3));
    // Nothing of it is changeable; but it may be sent back as it was read.
    EXPECT_EQ(in({0x1a, 0x08, 0x5c, 0x02, 255, 0}).data.at(20), 0);
    expected[0] = 0;
    EXPECT_TRUE(is_good(out({0x15, 0x10, 0, 0, 28, 0}, expected)));
    expected[27] = 2;
    EXPECT_TRUE(is_invalid_list_field(out({0x15, 0x10, 0, 0, 28, 0}, expected), 27));
}

TEST_F(Provisioning, TellsTheThresholdOnceWhenItIsReached) {
    EXPECT_TRUE(is_good(write_mebi()));
    EXPECT_TRUE(is_good(test_unit_ready()));
    device.room.available = kMebi;
    clock_now += std::chrono::seconds(6);
    EXPECT_TRUE(is_good(write_mebi()));
    EXPECT_TRUE(is_check(test_unit_ready(), 0x6, kSoftThresholdReached));
    clock_now += std::chrono::seconds(6);
    EXPECT_TRUE(is_good(write_mebi()));
    EXPECT_TRUE(is_good(test_unit_ready()));
}

TEST_F(Provisioning, SuccessorDoesNotTellItAgain) {
    UnitMemory memory{};
    options.memory = &memory;
    restart();
    for (const bool is_successor : {false, true}) {
        device.room.available = kMebi;
        clock_now += std::chrono::seconds(6);
        EXPECT_TRUE(is_good(write_mebi()));
        if (!is_successor) {
            EXPECT_TRUE(is_check(test_unit_ready(), 0x6, kSoftThresholdReached));
        }
        EXPECT_TRUE(is_good(test_unit_ready()));
        restart();
    }
    options.memory = nullptr;
    restart();
}

// LBPERE of the read-write error recovery page.
TEST_F(Provisioning, TellsTheThresholdToThoseWhoWantToHear) {
    Bytes select(4 + 12);
    select[4] = 0x01;
    select[5] = 0x0a;
    EXPECT_EQ(in({0x1a, 0x08, 0x01, 0, 255, 0}).data.at(4 + 7), 0x80);
    EXPECT_EQ(in({0x1a, 0x08, 0x41, 0, 255, 0}).data.at(4 + 7), 0x80) << "changeable";
    EXPECT_TRUE(is_good(out({0x15, 0x10, 0, 0, 16, 0}, select)));
    EXPECT_EQ(in({0x1a, 0x08, 0x01, 0, 255, 0}).data.at(4 + 7), 0);
    EXPECT_EQ(in({0x1a, 0x08, 0x81, 0, 255, 0}).data.at(4 + 7), 0x80) << "default";
    device.room.available = kMebi;
    EXPECT_TRUE(is_good(write_mebi()));
    EXPECT_TRUE(is_good(test_unit_ready()));
    select[4 + 7] = 0x80;
    EXPECT_TRUE(is_good(out({0x15, 0x10, 0, 0, 16, 0}, select)));
    clock_now += std::chrono::seconds(6);
    EXPECT_TRUE(is_good(write_mebi()));
    EXPECT_TRUE(is_check(test_unit_ready(), 0x6, kSoftThresholdReached));
}

TEST_F(Provisioning, SuccessorKnowsWhoDoesNotWantToHear) {
    UnitMemory memory{};
    options.memory = &memory;
    restart();
    Bytes select(4 + 12);
    select[4] = 0x01;
    select[5] = 0x0a;
    EXPECT_TRUE(is_good(out({0x15, 0x10, 0, 0, 16, 0}, select)));
    restart();
    EXPECT_EQ(in({0x1a, 0x08, 0x01, 0, 255, 0}).data.at(4 + 7), 0);
    options.memory = nullptr;
    restart();
}

TEST_F(Provisioning, TellsItAgainAfterThereWasRoom) {
    for (unsigned round = 0; round < 2; ++round) {
        device.room.available = 0;
        clock_now += std::chrono::seconds(6);
        EXPECT_TRUE(is_good(write_mebi()));
        EXPECT_TRUE(is_check(test_unit_ready(), 0x6, kSoftThresholdReached));
        device.room.available = 2 * kMebi;
        clock_now += std::chrono::seconds(6);
        EXPECT_TRUE(is_good(write_mebi()));
        EXPECT_TRUE(is_good(test_unit_ready()));
    }
}

TEST_F(Provisioning, AsksAgainWhenHalfOfTheRoomMayBeGone) {
    device.room.available = 7 * kMebi;  // 6 more than the threshold
    EXPECT_TRUE(is_good(write_mebi()));
    EXPECT_EQ(asked(), 1U);
    EXPECT_TRUE(is_good(write_mebi()));
    EXPECT_TRUE(is_good(write_mebi()));
    EXPECT_EQ(asked(), 1U);
    EXPECT_TRUE(is_good(write_mebi()));
    EXPECT_EQ(asked(), 2U);
}

TEST_F(Provisioning, AsksNothingWhileNothingIsWritten) {
    EXPECT_TRUE(is_good(write_mebi()));
    clock_now += std::chrono::hours(1);
    EXPECT_TRUE(is_good(test_unit_ready()));
    EXPECT_TRUE(is_good(in(cdb10(0x28, 0, 0, 8), 8 * kBlock)));
    EXPECT_TRUE(is_good(run(cdb10(0x35, 0, 0, 0))));
    EXPECT_EQ(asked(), 1U);
}

TEST_F(Provisioning, GoesOnAfterAFailure) {
    device.room.available = 0;
    device.fail_next(Kind::kSpace, Error{EIO});
    EXPECT_TRUE(is_good(write_mebi()));
    EXPECT_TRUE(is_good(test_unit_ready()));
    EXPECT_TRUE(is_good(write_mebi()));
    EXPECT_TRUE(is_check(test_unit_ready(), 0x6, kSoftThresholdReached));
}

TEST_F(Provisioning, IsForThinUnitsWhoseDeviceTells) {
    for (const bool thin : {false, true}) {
        device.properties.thin = thin;
        device.properties.can_tell_space = !thin;
        device.room.available = 0;
        restart();
        EXPECT_TRUE(is_good(write_mebi()));
        EXPECT_TRUE(is_good(test_unit_ready()));
        EXPECT_TRUE(is_invalid_cdb_field(log(), 2));
        EXPECT_TRUE(is_invalid_cdb_field(in({0x1a, 0x08, 0x1c, 0x02, 255, 0}), 3));
        EXPECT_EQ(in({0x12, 1, 0xb2, 0, 255, 0}).data.at(4), 0);
        for (const std::uint8_t current_or_changeable : Bytes{0x01, 0x41}) {
            EXPECT_EQ(in({0x1a, 0x08, current_or_changeable, 0, 255, 0}).data.at(4 + 7), 0);
        }
    }
    EXPECT_EQ(asked(), 0U);
}

}  // namespace
}  // namespace lunkit::scsi::test

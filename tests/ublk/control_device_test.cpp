// SPDX-License-Identifier: Apache-2.0
#include "ublk/control_device.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <vector>

namespace lunkit::ublk {
namespace {

struct Sent {
    std::uint32_t op;
    abi::ControlCommand command;
};

class ControlDeviceTest : public testing::Test {
  protected:
    ControlDevice control_{[this](std::uint32_t op, std::span<const std::byte> payload) {
        Sent sent{op, {}};
        EXPECT_EQ(payload.size(), sizeof sent.command);
        std::memcpy(&sent.command, payload.data(), sizeof sent.command);
        sent_.push_back(sent);
        return answer_(sent.command);
    }};
    std::function<Result<int>(const abi::ControlCommand&)> answer_ =
        [](const abi::ControlCommand&) { return 0; };
    std::vector<Sent> sent_;
};

TEST_F(ControlDeviceTest, AddNamesTheDeviceTwiceAndNoQueue) {
    answer_ = [](const abi::ControlCommand& command) -> Result<int> {
        abi::DeviceInfo info{};
        EXPECT_EQ(command.len, sizeof info);
        std::memcpy(&info, reinterpret_cast<const void*>(command.addr), sizeof info);
        EXPECT_EQ(info.dev_id, 5U);
        info.queue_depth = 64;  // what the kernel makes of it
        std::memcpy(reinterpret_cast<void*>(command.addr), &info, sizeof info);
        return 0;
    };
    abi::DeviceInfo wanted{};
    wanted.dev_id = 5;
    wanted.queue_depth = 128;
    const auto made = control_.add(wanted);
    ASSERT_TRUE(made);
    EXPECT_EQ(made->queue_depth, 64);
    ASSERT_EQ(sent_.size(), 1U);
    EXPECT_EQ(sent_[0].op, abi::kAddDev);
    EXPECT_EQ(sent_[0].command.dev_id, 5U);
    EXPECT_EQ(sent_[0].command.queue_id, abi::kNoQueue);
}

TEST_F(ControlDeviceTest, NumberThatIsTakenIsSaidSo) {
    answer_ = [](const abi::ControlCommand&) { return -EEXIST; };
    abi::DeviceInfo wanted{};
    wanted.dev_id = 5;
    const auto made = control_.add(wanted);
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().what, "there is a ublk device 5 already");
}

TEST_F(ControlDeviceTest, StartGivesTheServersProcess) {
    ASSERT_TRUE(control_.start(3, 4711));
    EXPECT_EQ(sent_[0].op, abi::kStartDev);
    EXPECT_EQ(sent_[0].command.dev_id, 3U);
    EXPECT_EQ(sent_[0].command.data, 4711U);
    EXPECT_EQ(sent_[0].command.addr, 0U);
}

TEST_F(ControlDeviceTest, RecoveryGivesTheNewServersProcess) {
    ASSERT_TRUE(control_.start_recovery(3));
    ASSERT_TRUE(control_.end_recovery(3, 4712));
    ASSERT_EQ(sent_.size(), 2U);
    EXPECT_EQ(sent_[0].op, abi::kStartUserRecovery);
    EXPECT_EQ(sent_[1].op, abi::kEndUserRecovery);
    EXPECT_EQ(sent_[1].command.dev_id, 3U);
    EXPECT_EQ(sent_[1].command.data, 4712U);
}

TEST_F(ControlDeviceTest, RefusalKeepsTheKernelsErrorNumber) {
    answer_ = [](const abi::ControlCommand&) { return -EINVAL; };
    const Status status = control_.set_params(1, {});
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, EINVAL);
}

TEST_F(ControlDeviceTest, FeaturesAreAskedWithEightBytes) {
    ASSERT_TRUE(control_.features());
    EXPECT_EQ(sent_[0].op, abi::kGetFeatures);
    EXPECT_EQ(sent_[0].command.len, 8);
}

}  // namespace
}  // namespace lunkit::ublk

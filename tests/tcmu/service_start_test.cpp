// SPDX-License-Identifier: Apache-2.0
// TcmuService: devices that were there before it, and what a predecessor left.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <string>

#include "support/tcmu_service_rig.hpp"

namespace lunkit::tcmu {
namespace {

using test::Answer;
using test::FakeKernelTree;
using test::TcmuKernelModel;
using test::TcmuServiceRig;
using Kind = DeviceEvent::Kind;

class ServiceStart : public testing::Test {
  protected:
    std::string parameter(const std::string& name) {
        return FakeKernelTree::get(rig.tree.paths.parameters + "/" + name);
    }
    void wait_for_the_end_of_the_scan() {
        while (parameter("block_netlink") != "0") {
            std::this_thread::yield();
        }
    }
    std::string action(const std::string& device, const std::string& name) {
        return FakeKernelTree::get(rig.tree.folder(device) + "/action/" + name);
    }
    TcmuServiceRig rig;
};

TEST_F(ServiceStart, NothingThereNothingIsReset) {
    rig.start();
    EXPECT_EQ(rig.kernel.expects_answers(), true);
    rig.stop();
    EXPECT_EQ(parameter("block_netlink"), "0");  // a predecessor may have left it at 1
    EXPECT_EQ(parameter("reset_netlink"), "");
}

TEST_F(ServiceStart, EnabledDeviceIsServed) {
    TcmuKernelModel& model = rig.add_device(0, "disk", true);
    rig.start();
    rig.wait_for_running(1);
    EXPECT_TRUE(TcmuServiceRig::serves(model));
    EXPECT_EQ(parameter("block_netlink"), "0");
    EXPECT_EQ(parameter("reset_netlink"), "1");
    EXPECT_EQ(rig.kernel.answers(), 0U);
    EXPECT_EQ(rig.kernel.stray(), 0U);
    EXPECT_TRUE(rig.took_over);
}

TEST_F(ServiceStart, EnabledDeviceKeepsItsWriteCache) {
    TcmuKernelModel& model = rig.add_device(0, "disk", true);
    rig.start();
    rig.wait_for_running(1);
    EXPECT_TRUE(TcmuServiceRig::serves(model));
    EXPECT_FALSE(rig.service->list()[0].write_cache);  // emulate_write_cache is 0
}

TEST_F(ServiceStart, WaitingAddIsCompleted) {
    TcmuKernelModel& model = rig.add_device(0, "disk", false);
    rig.kernel.leave_waiting(TcmuServiceRig::id_of(0), Kind::kAdded);
    rig.start();
    EXPECT_EQ(rig.kernel.next_answer(), (Answer{Kind::kAdded, TcmuServiceRig::id_of(0), 0}));
    EXPECT_TRUE(TcmuServiceRig::serves(model));
    EXPECT_EQ(parameter("reset_netlink"), "");
    EXPECT_EQ(parameter("block_netlink"), "0");
    EXPECT_FALSE(rig.took_over);
}

TEST_F(ServiceStart, WaitingAddThatFailsGetsTheError) {
    (void)rig.add_device(0, "disk", false, "ram/full");
    rig.kernel.leave_waiting(TcmuServiceRig::id_of(0), Kind::kAdded);
    rig.start();
    EXPECT_EQ(rig.kernel.next_answer(), (Answer{Kind::kAdded, TcmuServiceRig::id_of(0), -ENOSPC}));
}

TEST_F(ServiceStart, WaitingReconfigIsEndedBesideAWaitingAdd) {
    (void)rig.add_device(0, "new", false, "ram/stuck");
    (void)rig.add_device(1, "old", true);
    rig.kernel.leave_waiting(TcmuServiceRig::id_of(0), Kind::kAdded);
    rig.kernel.leave_waiting(TcmuServiceRig::id_of(1), Kind::kReconfig);
    rig.start();
    EXPECT_EQ(rig.kernel.next_answer(),
              (Answer{Kind::kReconfig, TcmuServiceRig::id_of(1), -EINTR}));
    rig.let_go();
    EXPECT_EQ(rig.kernel.next_answer(), (Answer{Kind::kAdded, TcmuServiceRig::id_of(0), 0}));
    EXPECT_EQ(rig.kernel.mismatched(), 0U);
    EXPECT_EQ(parameter("reset_netlink"), "");
}

// Two answers could end whatever comes after it.
TEST_F(ServiceStart, ReconfigThatIsHeardIsAnsweredOnceBesideAWaitingAdd) {
    (void)rig.add_device(0, "new", false, "ram/stuck");
    (void)rig.add_device(1, "old", true);
    rig.kernel.leave_waiting(TcmuServiceRig::id_of(0), Kind::kAdded);
    rig.kernel.send(rig.reconfig(1, "old", DeviceEvent::NewSize{TcmuServiceRig::kSize}));
    rig.start();
    EXPECT_EQ(rig.kernel.next_answer(), (Answer{Kind::kReconfig, TcmuServiceRig::id_of(1), 0}));
    rig.let_go();
    EXPECT_EQ(rig.kernel.next_answer(), (Answer{Kind::kAdded, TcmuServiceRig::id_of(0), 0}));
    EXPECT_EQ(rig.kernel.stray(), 0U);
}

// Its initiators wait for it.
TEST_F(ServiceStart, DeviceThatCannotBeAskedIsTriedAgain) {
    rig.retry_time = std::chrono::milliseconds(10);
    TcmuKernelModel& model = rig.add_device(0, "disk", true);
    const std::string enable = rig.tree.folder("user_0/disk") + "/enable";
    FakeKernelTree::put(enable, "?\n");
    rig.start();
    wait_for_the_end_of_the_scan();
    const auto list = rig.service->list();
    ASSERT_EQ(list.size(), 1U);
    EXPECT_EQ(list[0].state, core::DeviceState::kFailed);
    EXPECT_NE(list[0].error, "");
    FakeKernelTree::put(enable, "1\n");
    rig.wait_for_running(1);
    EXPECT_TRUE(TcmuServiceRig::serves(model));
}

TEST_F(ServiceStart, WhatMayWaitForADeviceThatCannotBeAskedIsEndedBesideAWaitingAdd) {
    (void)rig.add_device(0, "new", false, "ram/stuck");
    (void)rig.add_device(1, "old", true);
    FakeKernelTree::put(rig.tree.folder("user_0/old") + "/enable", "?\n");
    rig.kernel.leave_waiting(TcmuServiceRig::id_of(0), Kind::kAdded);
    rig.start();
    EXPECT_TRUE(rig.wait_for_opening());
    EXPECT_EQ(parameter("reset_netlink"), "");
    rig.let_go();
    EXPECT_EQ(rig.kernel.next_answer(), (Answer{Kind::kAdded, TcmuServiceRig::id_of(0), 0}));
    wait_for_the_end_of_the_scan();
    EXPECT_EQ(parameter("reset_netlink"), "1");
}

TEST_F(ServiceStart, DeviceOfNobodyThatWaitsIsRefused) {
    rig.settings.foreign_timeout = std::chrono::milliseconds(1);
    (void)rig.add_device(0, "other", false, "rbd/x");
    rig.kernel.leave_waiting(TcmuServiceRig::id_of(0), Kind::kAdded);
    rig.start();
    EXPECT_EQ(rig.kernel.next_answer(), (Answer{Kind::kAdded, TcmuServiceRig::id_of(0), -ENOENT}));
}

// Its answer is due as well: a reset of netlink would end it with an error.
TEST_F(ServiceStart, EventThatWaitsIsAnsweredBeforeTheReset) {
    (void)rig.add_device(0, "disk", true, "ram/stuck");
    rig.kernel.send(rig.reconfig(0, "disk", DeviceEvent::NewSize{TcmuServiceRig::kSize}));
    rig.start();
    EXPECT_TRUE(rig.wait_for_opening());
    EXPECT_EQ(parameter("reset_netlink"), "");
    rig.let_go();
    EXPECT_EQ(rig.kernel.next_answer(), (Answer{Kind::kReconfig, TcmuServiceRig::id_of(0), 0}));
    wait_for_the_end_of_the_scan();
    EXPECT_EQ(parameter("reset_netlink"), "1");
}

// The event was on its way when the device was found.
TEST_F(ServiceStart, AddedThatIsFoundAndToldIsAnsweredOnce) {
    TcmuKernelModel& model = rig.add_device(0, "disk", false);
    rig.kernel.send(rig.event(Kind::kAdded, 0, "disk"));
    rig.start();
    EXPECT_EQ(rig.kernel.next_answer(), (Answer{Kind::kAdded, TcmuServiceRig::id_of(0), 0}));
    EXPECT_TRUE(TcmuServiceRig::serves(model));
    EXPECT_EQ(rig.kernel.answers(), 1U);
    EXPECT_EQ(rig.kernel.mismatched(), 0U);
}

TEST_F(ServiceStart, RingOfUnknownStateIsReset) {
    TcmuKernelModel& model = rig.add_device(0, "disk", true);
    (void)model.read({0, 0, 0, 0, 0, 0}, 0);
    rig.start();
    rig.wait_for_running(1);
    EXPECT_TRUE(TcmuServiceRig::serves(model));  // a folder resets nothing: it is served
    EXPECT_EQ(action("user_0/disk", "reset_ring"), "1");
    EXPECT_EQ(action("user_0/disk", "block_dev")[0], '0');
}

TEST_F(ServiceStart, EmptyRingIsNotReset) {
    TcmuKernelModel& model = rig.add_device(0, "disk", true);
    rig.start();
    rig.wait_for_running(1);
    EXPECT_TRUE(TcmuServiceRig::serves(model));
    EXPECT_EQ(action("user_0/disk", "reset_ring"), "");
}

TEST_F(ServiceStart, DrainedRingIsResumed) {
    TcmuKernelModel& model = rig.add_device(0, "disk", true);
    rig.start();
    rig.wait_for_running(1);
    EXPECT_TRUE(TcmuServiceRig::serves(model));
    rig.stop();
    const auto left = model.read({0, 0, 0, 0, 0, 0}, 0);
    rig.start();
    rig.wait_for_running(1);
    EXPECT_TRUE(TcmuServiceRig::serves(model));
    EXPECT_EQ(model.order()[1], *left);
    EXPECT_EQ(action("user_0/disk", "reset_ring"), "");
    EXPECT_TRUE(rig.took_over);
}

// It holds what initiators count on, whatever became of the table.
TEST_F(ServiceStart, MemoryOfADeviceThatCannotBeResumedIsNeverGone) {
    (void)rig.add_device(0, "disk", true);
    rig.start();
    rig.wait_for_running(1);
    rig.stop();
    const std::string path = rig.tree.run_dir() + "/tcmu/uio0.inflight";
    struct stat before{};
    ASSERT_EQ(::stat(path.c_str(), &before), 0);
    std::fstream(path, std::ios::in | std::ios::out | std::ios::binary)
        .seekp(InflightFolder::kTableOffset)
        .put('?');
    rig.start();
    rig.wait_for_running(1);
    struct stat after{};
    ASSERT_EQ(::stat(path.c_str(), &after), 0);
    EXPECT_EQ(after.st_ino, before.st_ino);
    rig.stop();
}

TEST_F(ServiceStart, TableOfAnotherDeviceIsNotTakenOver) {
    TcmuKernelModel& model = rig.add_device(0, "disk", true);
    rig.start();
    rig.wait_for_running(1);
    EXPECT_TRUE(TcmuServiceRig::serves(model));
    rig.stop();
    (void)model.read({0, 0, 0, 0, 0, 0}, 0);
    // Made anew under the same name and number while nobody was there.
    rig.tree.add_configfs("user_0/disk", 1, TcmuServiceRig::kSize, true, "ram/x");
    rig.start();
    rig.wait_for_running(1);
    EXPECT_TRUE(TcmuServiceRig::serves(model));
    EXPECT_EQ(action("user_0/disk", "reset_ring"), "1");
}

TEST_F(ServiceStart, BlockedDeviceIsUnblocked) {
    TcmuKernelModel& model = rig.add_device(0, "disk", true);
    FakeKernelTree::put(rig.tree.folder("user_0/disk") + "/action/block_dev", "blocked\n");
    rig.start();
    rig.wait_for_running(1);
    EXPECT_TRUE(TcmuServiceRig::serves(model));
    EXPECT_EQ(action("user_0/disk", "block_dev")[0], '0');
}

TEST_F(ServiceStart, ManyStuckOpeningsHoldUpNoOther) {
    constexpr std::uint32_t kStuck = 140;
    rig.turn_time = std::chrono::milliseconds(100);
    for (std::uint32_t minor = 0; minor < kStuck; ++minor) {
        (void)rig.add_device(minor, "stuck" + std::to_string(minor), true, "ram/stuck");
    }
    TcmuKernelModel& model = rig.add_device(kStuck, "disk", true);
    rig.start();
    rig.wait_for_running(1);
    EXPECT_TRUE(TcmuServiceRig::serves(model));
}

TEST_F(ServiceStart, ManyDevicesDoNotComeUpAllAtOnce) {
    constexpr std::uint32_t kStuck = 200;
    for (std::uint32_t minor = 0; minor < kStuck; ++minor) {
        (void)rig.add_device(minor, "stuck" + std::to_string(minor), true, "ram/stuck");
    }
    rig.start();
    EXPECT_TRUE(rig.wait_for_opening(50));
    EXPECT_LT(rig.queues->workers().threads(), kStuck * 3 / 4);
}

TEST_F(ServiceStart, OthersDevicesAreLeftAlone) {
    (void)rig.add_device(0, "other", true, "rbd/pool/image");
    TcmuKernelModel& model = rig.add_device(1, "disk", true);
    rig.start();
    rig.wait_for_running(1);
    EXPECT_TRUE(TcmuServiceRig::serves(model));
    ASSERT_EQ(rig.service->list().size(), 1U);
    EXPECT_EQ(rig.service->list()[0].name, "user_0/disk");
}

// reset_netlink would fail it.
TEST_F(ServiceStart, WaitingAddOfOthersIsNotHarmed) {
    (void)rig.add_device(0, "other", false, "rbd/pool/image");
    TcmuKernelModel& model = rig.add_device(1, "disk", true);
    rig.kernel.leave_waiting(TcmuServiceRig::id_of(0), Kind::kAdded);
    rig.start();
    rig.wait_for_running(1);
    EXPECT_TRUE(TcmuServiceRig::serves(model));
    EXPECT_EQ(parameter("reset_netlink"), "");
    EXPECT_EQ(rig.kernel.answers(), 0U);
}

}  // namespace
}  // namespace lunkit::tcmu

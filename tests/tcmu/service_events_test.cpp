// SPDX-License-Identifier: Apache-2.0
// TcmuService: each event gets its one answer.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>
#include <utility>

#include "lunkit/unique_fd.hpp"
#include "support/tcmu_service_rig.hpp"

namespace lunkit::tcmu {
namespace {

using test::Answer;
using test::TcmuKernelModel;
using test::TcmuServiceRig;
using Kind = DeviceEvent::Kind;

/// A file of the tree as a fifo that nobody uses: opening it hangs.
class HangingFile {
  public:
    explicit HangingFile(std::string path) : path_(std::move(path)) {
        std::filesystem::remove(path_);
        EXPECT_EQ(::mkfifo(path_.c_str(), 0600), 0);
    }
    HangingFile(const HangingFile&) = delete;
    HangingFile& operator=(const HangingFile&) = delete;
    HangingFile(HangingFile&&) = delete;
    HangingFile& operator=(HangingFile&&) = delete;
    ~HangingFile() { let_go(); }

    void let_go() { other_end_.reset(::open(path_.c_str(), O_RDWR | O_CLOEXEC)); }

  private:
    std::string path_;
    UniqueFd other_end_;
};

class ServiceEvents : public testing::Test {
  protected:
    /// A device that is served.
    TcmuKernelModel& add(std::uint32_t minor = 0, const std::string& name = "disk") {
        TcmuKernelModel& model = rig.add_device(minor, name, false);
        EXPECT_EQ(rig.ask(rig.event(Kind::kAdded, minor, name)), 0);
        return model;
    }
    void wait_for_stray_answer() {
        while (rig.kernel.stray() == 0) {
            std::this_thread::yield();
        }
    }
    TcmuServiceRig rig;
};

TEST_F(ServiceEvents, AddedDeviceIsServed) {
    rig.start();
    TcmuKernelModel& model = add();
    EXPECT_TRUE(TcmuServiceRig::serves(model));
    const auto list = rig.service->list();
    ASSERT_EQ(list.size(), 1U);
    EXPECT_EQ(list[0].name, "user_0/disk");
    EXPECT_EQ(list[0].config, "ram/x");
    EXPECT_EQ(list[0].node, "/dev/uio0");
    EXPECT_EQ(list[0].state, core::DeviceState::kRunning);
    EXPECT_EQ(list[0].size, TcmuServiceRig::kSize);
    EXPECT_EQ(list[0].other_commands, 1U);
}

TEST_F(ServiceEvents, WriteCacheOfANewDeviceFollowsTheHandler) {
    rig.start();
    (void)add();
    EXPECT_TRUE(rig.service->list()[0].write_cache);
    EXPECT_EQ(test::FakeKernelTree::get(rig.tree.folder("user_0/disk") +
                                        "/attrib/emulate_write_cache")[0],
              '1');
}

TEST_F(ServiceEvents, WhatTheHandlerSaysReachesTheCreator) {
    rig.start();
    (void)rig.add_device(0, "disk", false, "ram/full");
    EXPECT_EQ(rig.ask(rig.event(Kind::kAdded, 0, "disk", "ram/full")), -ENOSPC);
    EXPECT_EQ(rig.ask(rig.event(Kind::kRemoved, 9999, "nothing")), 0);  // it is settled now
    EXPECT_TRUE(rig.service->list().empty());
}

// The kernel has enabled it, and it is nobody's else to serve.
TEST_F(ServiceEvents, DeviceThatAnotherDaemonApprovedOfIsTriedAgain) {
    rig.start();
    (void)rig.add_device(0, "disk", true, "ram/full");
    rig.kernel.send_answered(rig.event(Kind::kAdded, 0, "disk", "ram/full"));
    wait_for_stray_answer();
    EXPECT_EQ(rig.ask(rig.event(Kind::kRemoved, 9999, "nothing")), 0);  // it is settled now
    const auto list = rig.service->list();
    ASSERT_EQ(list.size(), 1U);
    EXPECT_EQ(list[0].state, core::DeviceState::kFailed);
    EXPECT_EQ(rig.ask(rig.event(Kind::kRemoved, 0, "disk")), 0);
}

TEST_F(ServiceEvents, DeviceThatAnotherDaemonRefusedIsForgotten) {
    rig.start();
    rig.kernel.send_answered(rig.event(Kind::kAdded, 0, "disk"));
    wait_for_stray_answer();
    EXPECT_EQ(rig.ask(rig.event(Kind::kRemoved, 9999, "nothing")), 0);
    EXPECT_TRUE(rig.service->list().empty());
}

TEST_F(ServiceEvents, DeviceThatIsNotThereIsAnError) {
    rig.start();
    EXPECT_EQ(rig.ask(rig.event(Kind::kAdded, 0, "disk")), -ENOENT);
}

TEST_F(ServiceEvents, RemovedDeviceIsClosedBeforeTheAnswer) {
    rig.start();
    (void)add();
    EXPECT_EQ(rig.ask(rig.event(Kind::kRemoved, 0, "disk")), 0);
    EXPECT_TRUE(rig.wait_for_closed(1));
    EXPECT_TRUE(rig.service->list().empty());
}

TEST_F(ServiceEvents, RemovalOfWhatIsNotServedIsFine) {
    rig.start();
    EXPECT_EQ(rig.ask(rig.event(Kind::kRemoved, 0, "disk")), 0);
}

TEST_F(ServiceEvents, DeviceComesBackUnderItsName) {
    rig.start();
    (void)add();
    EXPECT_EQ(rig.ask(rig.event(Kind::kRemoved, 0, "disk")), 0);
    EXPECT_TRUE(TcmuServiceRig::serves(add(1)));
}

TEST_F(ServiceEvents, UnchangedSizeDoesNotReachTheHandler) {
    rig.start();
    (void)add();
    EXPECT_EQ(rig.ask(rig.reconfig(0, "disk", DeviceEvent::NewSize{TcmuServiceRig::kSize})), 0);
    EXPECT_EQ(rig.resizes, 0);
}

TEST_F(ServiceEvents, NewSizeReachesTheHandler) {
    rig.start();
    (void)add();
    EXPECT_EQ(rig.ask(rig.reconfig(0, "disk", DeviceEvent::NewSize{4 << 20})), 0);
    EXPECT_EQ(rig.resizes, 1);
    EXPECT_EQ(rig.service->list()[0].size, 4U << 20);
}

TEST_F(ServiceEvents, RefusedSizeIsAnErrorOfTheHandler) {
    rig.start();
    TcmuKernelModel& model = add();
    rig.resize_error = EFBIG;
    EXPECT_EQ(rig.ask(rig.reconfig(0, "disk", DeviceEvent::NewSize{4 << 20})), -EFBIG);
    EXPECT_TRUE(TcmuServiceRig::serves(model));
}

TEST_F(ServiceEvents, OnlyTheSameConfigurationIsAccepted) {
    rig.start();
    (void)add();
    EXPECT_EQ(rig.ask(rig.reconfig(0, "disk", DeviceEvent::NewConfig{"ram/x"})), 0);
    EXPECT_EQ(rig.ask(rig.reconfig(0, "disk", DeviceEvent::NewConfig{"ram/y"})), -EOPNOTSUPP);
}

TEST_F(ServiceEvents, WriteCacheIsSwitched) {
    rig.start();
    (void)add();
    EXPECT_EQ(rig.ask(rig.reconfig(0, "disk", DeviceEvent::NewWriteCache{true})), 0);
    EXPECT_EQ(rig.ask(rig.reconfig(0, "disk", DeviceEvent::NewWriteCache{false})), 0);
    EXPECT_FALSE(rig.service->list()[0].write_cache);
}

TEST_F(ServiceEvents, ChangeOfSomethingUnknownIsRefused) {
    rig.start();
    (void)add();
    EXPECT_EQ(rig.ask(rig.reconfig(0, "disk", std::monostate{})), -EOPNOTSUPP);
}

TEST_F(ServiceEvents, OthersDevicesAreNotAnswered) {
    rig.settings.foreign_subtypes = core::ForeignSubtype::kIgnore;
    rig.start();
    rig.kernel.send(rig.event(Kind::kAdded, 7, "other", "rbd/pool/image"));
    const std::size_t before = rig.kernel.answers();
    (void)add();  // the first answer is for ours
    EXPECT_EQ(rig.kernel.answers(), before + 1);
}

TEST_F(ServiceEvents, OthersDevicesAreAnsweredWhenNobodyDoes) {
    rig.settings.foreign_timeout = std::chrono::milliseconds(1);
    rig.start();
    EXPECT_EQ(rig.ask(rig.event(Kind::kAdded, 7, "other", "rbd/pool/image")), -ENOENT);
}

TEST_F(ServiceEvents, ReloadReachesTheService) {
    rig.settings.foreign_subtypes = core::ForeignSubtype::kIgnore;
    rig.start();
    rig.settings.foreign_subtypes = core::ForeignSubtype::kLate;
    rig.settings.foreign_timeout = std::chrono::milliseconds(1);
    rig.service->settings_changed();
    EXPECT_EQ(rig.ask(rig.event(Kind::kAdded, 7, "other", "rbd/pool/image")), -ENOENT);
}

// The kernel goes on only when it has an answer: a second event shows that the first has had one,
// and an answer of the first one's kind would hang the second.
TEST_F(ServiceEvents, NewerEventOfAnotherDeviceVoidsTheOlder) {
    rig.settings.foreign_timeout = std::chrono::milliseconds(1);
    rig.kernel.send(rig.event(Kind::kAdded, 7, "other", "rbd/pool/image"));
    rig.kernel.send(rig.event(Kind::kRemoved, 7, "other", "rbd/pool/image"));
    rig.start();
    EXPECT_EQ(rig.kernel.next_answer(), (Answer{Kind::kRemoved, TcmuServiceRig::id_of(7), 0}));
    EXPECT_EQ(rig.kernel.mismatched(), 0U);
}

TEST_F(ServiceEvents, StuckOpeningIsAnsweredByTheWatchdog) {
    rig.settings.bring_up_timeout = std::chrono::milliseconds(20);
    rig.start();
    (void)rig.add_device(0, "disk", false, "ram/stuck");
    EXPECT_EQ(rig.ask(rig.event(Kind::kAdded, 0, "disk", "ram/stuck")), -ETIMEDOUT);
    EXPECT_EQ(rig.ask(rig.event(Kind::kRemoved, 9999, "nothing")), 0);  // it is settled now
    EXPECT_TRUE(rig.service->list().empty());
    rig.let_go();
    EXPECT_TRUE(rig.wait_for_closed(1));  // what came of it after all
}

// The kernel has dropped the device by then, and another one has its minor number.
TEST_F(ServiceEvents, OpeningThatWasGivenUpLeavesTheTableOfTheNextDevice) {
    rig.settings.bring_up_timeout = std::chrono::milliseconds(500);
    rig.start();
    (void)rig.add_device(0, "disk", false, "ram/stuck");
    EXPECT_EQ(rig.ask(rig.event(Kind::kAdded, 0, "disk", "ram/stuck")), -ETIMEDOUT);
    rig.remove_device(0, "disk");
    TcmuKernelModel& next = add(0, "next");
    const std::string path = rig.tree.run_dir() + "/tcmu/uio0.inflight";
    struct stat before{};
    ASSERT_EQ(::stat(path.c_str(), &before), 0);
    rig.let_go();
    EXPECT_TRUE(rig.wait_for_closed(1));
    struct stat after{};
    ASSERT_EQ(::stat(path.c_str(), &after), 0);
    EXPECT_EQ(after.st_ino, before.st_ino);
    EXPECT_TRUE(TcmuServiceRig::serves(next));
}

TEST_F(ServiceEvents, OpeningThatWasGivenUpDoesNothingWithTheNodeOfTheNextDevice) {
    rig.settings.bring_up_timeout = std::chrono::milliseconds(500);
    rig.nodes_hang = true;
    rig.start();
    (void)rig.add_device(0, "disk", false);
    EXPECT_EQ(rig.ask(rig.event(Kind::kAdded, 0, "disk")), -ETIMEDOUT);
    rig.remove_device(0, "disk");
    rig.nodes_hang = false;
    (void)add(0, "next");
    rig.let_go();
    rig.stop();
    EXPECT_EQ(rig.closed(), 1);  // nothing was opened for the first
}

// Somebody deletes the device while it is created: configfs waits for the answer to ADDED.
TEST_F(ServiceEvents, DeletionDuringCreationIsAnsweredSoon) {
    rig.configfs_time = std::chrono::milliseconds(20);
    rig.start();
    (void)rig.add_device(0, "disk", false);
    const HangingFile size(rig.tree.folder("user_0/disk") + "/attrib/hw_block_size");
    EXPECT_EQ(rig.ask(rig.event(Kind::kAdded, 0, "disk")), -ETIMEDOUT);
    EXPECT_EQ(rig.ask(rig.event(Kind::kRemoved, 9999, "nothing")), 0);  // it is settled now
    EXPECT_TRUE(rig.service->list().empty());
}

// The reset of netlink, which the removal lets come, waits for what was heard together with it.
TEST_F(ServiceEvents, EventBehindARemovalDuringTheScanIsAnsweredBeforeTheReset) {
    rig.resizes_hang = true;
    (void)rig.add_device(0, "gone", true);
    (void)rig.add_device(1, "disk", true);
    const HangingFile enable(rig.tree.folder("user_0/gone") + "/enable");
    rig.start();
    rig.wait_for_running(1);
    rig.kernel.send(rig.event(Kind::kRemoved, 0, "gone"),
                    rig.reconfig(1, "disk", DeviceEvent::NewSize{8 << 20}));
    EXPECT_EQ(rig.kernel.next_answer(), (Answer{Kind::kRemoved, TcmuServiceRig::id_of(0), 0}));
    EXPECT_TRUE(rig.wait_for_opening());  // the resizing, that is
    EXPECT_EQ(test::FakeKernelTree::get(rig.tree.paths.parameters + "/reset_netlink"), "");
    rig.let_go();
    EXPECT_EQ(rig.kernel.next_answer(), (Answer{Kind::kReconfig, TcmuServiceRig::id_of(1), 0}));
}

TEST_F(ServiceEvents, DeletionAtTheEndOfACreationIsAnsweredSoon) {
    rig.configfs_time = std::chrono::milliseconds(300);
    rig.start();
    (void)rig.add_device(0, "disk", false);
    HangingFile notification(rig.tree.folder("user_0/disk") + "/attrib/tmr_notification");
    EXPECT_EQ(rig.ask(rig.event(Kind::kAdded, 0, "disk")), -ETIMEDOUT);
    notification.let_go();
    EXPECT_TRUE(rig.wait_for_closed(1));  // what had been opened
}

// Two hundred creations at once are slow, and none of them waits for a deletion.
TEST_F(ServiceEvents, CreationHasMoreTimeWhileOthersGoOn) {
    rig.configfs_time = std::chrono::milliseconds(500);
    rig.start();
    (void)rig.add_device(0, "disk", false);
    HangingFile notification(rig.tree.folder("user_0/disk") + "/attrib/tmr_notification");
    rig.kernel.send(rig.event(Kind::kAdded, 0, "disk"));
    const auto end = std::chrono::steady_clock::now() + 3 * rig.configfs_time;
    for (std::uint32_t minor = 1; std::chrono::steady_clock::now() < end; ++minor) {
        (void)add(minor, "other" + std::to_string(minor));
        std::this_thread::sleep_for(rig.configfs_time / 10);
    }
    notification.let_go();
    EXPECT_EQ(rig.kernel.next_answer(), (Answer{Kind::kAdded, TcmuServiceRig::id_of(0), 0}));
}

// The kernel gave up the first (another daemon refused it), and its minor number is free again.
TEST_F(ServiceEvents, AnotherDeviceOfTheSameNameAndMinorIsServed) {
    rig.start();
    TcmuKernelModel& model = rig.add_device(0, "disk", false);
    rig.kernel.send_answered(rig.event(Kind::kAdded, 0, "disk", "ram/stuck"));
    EXPECT_TRUE(rig.wait_for_opening());
    DeviceEvent another = rig.event(Kind::kAdded, 0, "disk");
    another.device_id = 200;
    rig.kernel.send(another);
    EXPECT_EQ(rig.kernel.next_answer(), (Answer{Kind::kAdded, 200, 0}));
    EXPECT_TRUE(TcmuServiceRig::serves(model));
    rig.let_go();
    EXPECT_TRUE(rig.wait_for_closed(1));
}

TEST_F(ServiceEvents, WriteCacheThatChangesTooLateReachesTheKernelAfterAll) {
    rig.settings.bring_up_timeout = std::chrono::milliseconds(500);
    rig.flushes_hang = true;
    rig.start();
    add();
    EXPECT_EQ(rig.ask(rig.reconfig(0, "disk", DeviceEvent::NewWriteCache{false})), -ETIMEDOUT);
    rig.let_go();
    const std::string file = rig.tree.folder("user_0/disk") + "/attrib/emulate_write_cache";
    while (test::FakeKernelTree::get(file)[0] != '0') {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
}

TEST_F(ServiceEvents, StuckOpeningHoldsUpNoOther) {
    rig.start();
    (void)rig.add_device(5, "slow", false, "ram/stuck");
    rig.kernel.send(rig.event(Kind::kAdded, 5, "slow", "ram/stuck"));
    EXPECT_TRUE(rig.wait_for_opening());
    EXPECT_TRUE(TcmuServiceRig::serves(add()));
    rig.let_go();
    EXPECT_EQ(rig.kernel.next_answer(), (Answer{Kind::kAdded, TcmuServiceRig::id_of(5), 0}));
}

TEST_F(ServiceEvents, RemovalDoesNotWaitForAStuckOpening) {
    rig.start();
    (void)rig.add_device(5, "slow", false, "ram/stuck");
    rig.kernel.send(rig.event(Kind::kAdded, 5, "slow", "ram/stuck"));
    EXPECT_TRUE(rig.wait_for_opening());
    EXPECT_EQ(rig.ask(rig.event(Kind::kRemoved, 5, "slow", "ram/stuck")), 0);
    EXPECT_EQ(rig.kernel.mismatched(), 0U);
    rig.let_go();
    EXPECT_TRUE(rig.wait_for_closed(1));
}

}  // namespace
}  // namespace lunkit::tcmu

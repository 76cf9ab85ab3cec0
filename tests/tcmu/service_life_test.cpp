// SPDX-License-Identifier: Apache-2.0
// TcmuService: what happens to a device between its coming and its going, and the end of it all.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <future>
#include <string>

#include "support/tcmu_service_rig.hpp"

namespace lunkit::tcmu {
namespace {

using test::Answer;
using test::FakeKernelTree;
using test::TcmuKernelModel;
using test::TcmuServiceRig;
using Kind = DeviceEvent::Kind;

class ServiceLife : public testing::Test {
  protected:
    TcmuKernelModel& add(std::uint32_t minor = 0, const std::string& name = "disk") {
        TcmuKernelModel& model = rig.add_device(minor, name, false);
        EXPECT_EQ(rig.ask(rig.event(Kind::kAdded, minor, name)), 0);
        return model;
    }
    TcmuServiceRig rig;
};

/// A file of the tree as a fifo, so that the test can wait for what is written to it.
class WrittenFile {
  public:
    explicit WrittenFile(std::string path) : path_(std::move(path)) {
        std::filesystem::remove(path_);
        EXPECT_EQ(::mkfifo(path_.c_str(), 0600), 0);
    }
    std::string wait() const {
        const UniqueFd fd(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
        std::array<char, 256> buffer{};
        const ssize_t got = ::read(fd.get(), buffer.data(), buffer.size());
        return {buffer.data(), got < 0 ? 0 : static_cast<std::size_t>(got)};
    }

  private:
    std::string path_;
};

TEST_F(ServiceLife, SizeOfTheStorageReachesTheKernel) {
    rig.start();
    (void)rig.add_device(0, "disk", false);
    const WrittenFile control(rig.tree.folder("user_0/disk") + "/control");
    EXPECT_EQ(rig.ask(rig.event(Kind::kAdded, 0, "disk")), 0);
    rig.size_changed(8 << 20);
    EXPECT_EQ(control.wait(), "dev_size=8388608");
}

// Telling the kernel hangs on a lock; the answer to REMOVED must not wait for that.
TEST_F(ServiceLife, RemovalDoesNotWaitForTheSize) {
    rig.start();
    (void)rig.add_device(0, "disk", false);
    const WrittenFile control(rig.tree.folder("user_0/disk") + "/control");  // nobody reads: hangs
    EXPECT_EQ(rig.ask(rig.event(Kind::kAdded, 0, "disk")), 0);
    rig.size_changed(8 << 20);
    EXPECT_EQ(rig.ask(rig.event(Kind::kRemoved, 0, "disk")), 0);
    (void)control.wait();
}

// A change that has waited for it has its turn then.
TEST_F(ServiceLife, SizeThatTheKernelDoesNotTakeHoldsUpNoChange) {
    rig.settings.bring_up_timeout = std::chrono::milliseconds(500);
    rig.start();
    (void)rig.add_device(0, "disk", false);
    const WrittenFile control(rig.tree.folder("user_0/disk") + "/control");  // nobody reads: hangs
    EXPECT_EQ(rig.ask(rig.event(Kind::kAdded, 0, "disk")), 0);
    rig.size_changed(8 << 20);
    EXPECT_EQ(rig.ask(rig.event(Kind::kRemoved, 9999, "nothing")), 0);  // it has begun
    EXPECT_EQ(rig.ask(rig.reconfig(0, "disk", DeviceEvent::NewSize{16 << 20})), 0);
    (void)control.wait();
}

TEST_F(ServiceLife, KernelIsToldTheSizeThatHoldsInTheEnd) {
    rig.settings.bring_up_timeout = std::chrono::milliseconds(500);
    rig.resizes_hang = true;
    rig.start();
    (void)rig.add_device(0, "disk", false);
    EXPECT_EQ(rig.ask(rig.event(Kind::kAdded, 0, "disk")), 0);
    EXPECT_EQ(rig.ask(rig.reconfig(0, "disk", DeviceEvent::NewSize{8 << 20})), -ETIMEDOUT);
    rig.kernel.send(rig.reconfig(0, "disk", DeviceEvent::NewSize{16 << 20}));
    EXPECT_EQ(rig.ask(rig.event(Kind::kRemoved, 9999, "nothing")), 0);  // it waits
    rig.let_go();
    EXPECT_EQ(rig.kernel.next_answer(), (Answer{Kind::kReconfig, TcmuServiceRig::id_of(0), 0}));
    rig.stop();
    const std::string control = FakeKernelTree::get(rig.tree.folder("user_0/disk") + "/control");
    EXPECT_EQ(control.find("dev_size=8388608"), std::string::npos) << control;
}

// Another device of the daemon stored on it, and at the stop waited for commands that nobody took.
TEST_F(ServiceLife, DiskWithTheSerialNumberOfAUnitIsServed) {
    rig.start();
    add(0, "disk");
    FakeKernelTree::put(rig.tree.folder("user_0/disk") + "/wwn/vpd_unit_serial",
                        "T10 VPD Unit Serial Number: 4711\n");
    rig.serial_of_sda = "4711";
    EXPECT_TRUE(rig.service->serves_disk("sda"));
    EXPECT_FALSE(rig.service->serves_disk("sdb"));
    rig.serial_of_sda = "4712";
    EXPECT_FALSE(rig.service->serves_disk("sda"));
}

TEST_F(ServiceLife, UnitWithoutASerialNumberIsNoDisk) {
    rig.start();
    add(0, "disk");
    EXPECT_FALSE(rig.service->serves_disk("sda"));
}

TEST_F(ServiceLife, StopWaitsForAnOpeningThatWasGivenUp) {
    rig.closing_takes = std::chrono::milliseconds(200);
    rig.start();
    (void)rig.add_device(0, "disk", false, "ram/stuck");
    rig.kernel.send(rig.event(Kind::kAdded, 0, "disk", "ram/stuck"));
    EXPECT_TRUE(rig.wait_for_opening());
    std::promise<int> closed;
    rig.service->stop([&](bool clean) { closed.set_value(clean ? rig.closed() : -1); });
    EXPECT_EQ(rig.kernel.next_answer(), (Answer{Kind::kAdded, TcmuServiceRig::id_of(0), -EINTR}));
    rig.let_go();
    EXPECT_EQ(closed.get_future().get(), 1);
    rig.service.reset();
}

TEST_F(ServiceLife, ModeSelectReachesConfigfs) {
    rig.start();
    TcmuKernelModel& model = rig.add_device(0, "disk", false);
    EXPECT_EQ(rig.ask(rig.event(Kind::kAdded, 0, "disk")), 0);
    // MODE SELECT(6), caching page with WCE 0; the file is read until it follows.
    const std::vector<std::uint8_t> list{0, 0, 0, 0, 0x08, 0x12, 0, 0, 0, 0, 0, 0,
                                         0, 0, 0, 0, 0,    0,    0, 0, 0, 0, 0, 0};
    const auto* bytes = reinterpret_cast<const std::byte*>(list.data());
    const auto id = model.write({0x15, 0x10, 0, 0, 24, 0}, {bytes, list.size()});
    EXPECT_TRUE(TcmuServiceRig::serves(model));
    ASSERT_TRUE(model.results().contains(*id));
    ASSERT_EQ(model.result(*id).status, 0);
    EXPECT_FALSE(rig.service->list()[0].write_cache);
    const std::string file = rig.tree.folder("user_0/disk") + "/attrib/emulate_write_cache";
    while (FakeKernelTree::get(file)[0] != '0') {
    }
}

TEST_F(ServiceLife, DeadNodeClosesTheDevice) {
    rig.start();
    TcmuKernelModel& model = add();
    model.unregister();
    EXPECT_TRUE(rig.wait_for_closed(1));
}

TEST_F(ServiceLife, BrokenRingIsListedAndHurtsNoOther) {
    rig.start();
    TcmuKernelModel& hurt = add(0, "hurt");
    TcmuKernelModel& other = add(1, "other");
    (void)hurt.read({0, 0, 0, 0, 0, 0}, 0);
    hurt.memory()[128] = std::byte{1};
    hurt.notify();
    EXPECT_TRUE(TcmuServiceRig::serves(other));
    core::DeviceStatus status;
    do {
        status = rig.service->list()[0];
    } while (status.state != core::DeviceState::kFailed);
    EXPECT_TRUE(status.error.starts_with("ring is broken")) << status.error;
}

TEST_F(ServiceLife, DeviceThatCannotBeServedIsListedWithTheReason) {
    (void)rig.add_device(0, "disk", true, "ram/full");
    rig.start();
    core::DeviceStatus status;
    do {
        const auto list = rig.service->list();
        status = list.empty() ? core::DeviceStatus{} : list[0];
    } while (status.state != core::DeviceState::kFailed);
    EXPECT_EQ(status.error, "no space for it");
    EXPECT_EQ(rig.ask(rig.reconfig(0, "disk", DeviceEvent::NewSize{512})), -ENODEV);
}

TEST_F(ServiceLife, StopLeavesTheTableAndNoExpectations) {
    rig.start();
    TcmuKernelModel& model = add();
    EXPECT_TRUE(TcmuServiceRig::serves(model));
    rig.stop();
    EXPECT_EQ(rig.kernel.expects_answers(), false);
    EXPECT_TRUE(std::filesystem::exists(rig.tree.run_dir() + "/tcmu/uio0.inflight"));
}

TEST_F(ServiceLife, RemovalTakesTheTableAway) {
    rig.start();
    (void)add();
    EXPECT_TRUE(std::filesystem::exists(rig.tree.run_dir() + "/tcmu/uio0.inflight"));
    EXPECT_EQ(rig.ask(rig.event(Kind::kRemoved, 0, "disk")), 0);
    EXPECT_FALSE(std::filesystem::exists(rig.tree.run_dir() + "/tcmu/uio0.inflight"));
}

TEST_F(ServiceLife, ChangeThatStopInterruptsIsNotCalledDone) {
    rig.settings.drain_timeout = std::chrono::milliseconds(1);
    rig.start();
    (void)add();
    rig.resizes_hang = true;
    rig.kernel.send(rig.reconfig(0, "disk", DeviceEvent::NewSize{4096}));
    EXPECT_TRUE(rig.wait_for_opening());
    rig.stop(false);
    EXPECT_EQ(rig.kernel.next_answer(),
              (Answer{Kind::kReconfig, TcmuServiceRig::id_of(0), -EINTR}));
    rig.let_go();
    EXPECT_TRUE(rig.wait_for_closed(1));
}

// The kernel was told that it failed, so it has kept the old size.
TEST_F(ServiceLife, ResizeThatEndsTooLateIsToldToTheKernel) {
    rig.settings.bring_up_timeout = std::chrono::milliseconds(50);
    rig.start();
    (void)rig.add_device(0, "disk", false);
    const WrittenFile control(rig.tree.folder("user_0/disk") + "/control");
    EXPECT_EQ(rig.ask(rig.event(Kind::kAdded, 0, "disk")), 0);
    rig.resizes_hang = true;
    EXPECT_EQ(rig.ask(rig.reconfig(0, "disk", DeviceEvent::NewSize{4096})), -ETIMEDOUT);
    rig.let_go();
    EXPECT_EQ(control.wait(), "dev_size=4096");
}

TEST_F(ServiceLife, IdleDeviceIsClosedWithoutAnyTimeToDrain) {
    rig.settings.drain_timeout = std::chrono::milliseconds(0);
    rig.start();
    (void)add();
    rig.stop();
    EXPECT_TRUE(rig.handed_over);
}

TEST_F(ServiceLife, DeadEventChannelMakesNobodyWait) {
    rig.start();
    EXPECT_EQ(rig.kernel.expects_answers(), true);
    rig.kernel.die();
    while (rig.kernel.expects_answers() == true) {
        std::this_thread::yield();
    }
}

TEST_F(ServiceLife, StopHandsDevicesOverAndARemovalDoesNot) {
    rig.start();
    (void)add(0, "removed");
    EXPECT_EQ(rig.ask(rig.event(Kind::kRemoved, 0, "removed")), 0);
    EXPECT_TRUE(rig.wait_for_closed(1));
    EXPECT_FALSE(rig.handed_over);
    (void)add(1, "stays");
    rig.stop();
    EXPECT_TRUE(rig.wait_for_closed(2));
    EXPECT_TRUE(rig.handed_over);
}

TEST_F(ServiceLife, BrokenRingIsNotTakenOver) {
    rig.start();
    TcmuKernelModel& model = add();
    EXPECT_TRUE(TcmuServiceRig::serves(model));
    (void)model.read({0, 0, 0, 0, 0, 0}, 0);
    model.memory()[128 + model.tail()] = std::byte{1};
    model.notify();
    while (rig.service->list()[0].state != core::DeviceState::kFailed) {
    }
    rig.stop();
    FakeKernelTree::put(rig.tree.folder("user_0/disk") + "/enable", "1\n");
    rig.start();
    while (FakeKernelTree::get(rig.tree.folder("user_0/disk") + "/action/reset_ring") != "1") {
        std::this_thread::yield();
    }
}

// The open that nobody can end is left running, and the main program is told so.
TEST_F(ServiceLife, StopAnswersWhoCreatesADevice) {
    rig.settings.drain_timeout = std::chrono::milliseconds(1);
    rig.start();
    (void)rig.add_device(0, "disk", false, "ram/stuck");
    rig.kernel.send(rig.event(Kind::kAdded, 0, "disk", "ram/stuck"));
    EXPECT_TRUE(rig.wait_for_opening());
    rig.stop(false);
    EXPECT_EQ(rig.kernel.next_answer(), (Answer{Kind::kAdded, TcmuServiceRig::id_of(0), -EINTR}));
}

TEST_F(ServiceLife, StartsWithoutAKernelModuleTellWhy) {
    Surroundings world;
    world.ensure_kernel = [] { return Status(failure(ENOENT, "this kernel has no TCMU")); };
    TcmuService service(*rig.runtime, std::move(world));
    const Status started = service.start();
    ASSERT_FALSE(started.has_value());
    EXPECT_EQ(started.error().what, "this kernel has no TCMU");
    bool stopped = false;
    service.stop([&stopped](bool clean) { stopped = clean; });
    EXPECT_TRUE(stopped);
}

}  // namespace
}  // namespace lunkit::tcmu

// SPDX-License-Identifier: Apache-2.0
// What the service asks of the kernel while devices come and go, and what it answers when the
// kernel refuses. That the real driver does what the rig's does: tests/vm.
#include "ublk/ublk_service.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <future>
#include <string>
#include <thread>

#include "support/ublk_service_rig.hpp"

namespace lunkit::ublk {
namespace {

using core::DeviceState;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::uint32_t kAnotherDevice = 7;

class UblkServiceTest : public testing::Test {
  protected:
    void SetUp() override { rig_.start(); }
    void TearDown() override {
        if (rig_.service) {
            EXPECT_TRUE(rig_.stop());
        }
    }
    /// A device that the service knows nothing of.
    void put_device(std::uint16_t state, std::int32_t server) {
        abi::DeviceInfo info{};
        info.dev_id = kAnotherDevice;
        info.state = state;
        info.ublksrv_pid = server;
        rig_.devices[kAnotherDevice] = info;
    }
    /// A process that has ended.
    static pid_t dead_process() {
        const pid_t child = ::fork();
        if (child == 0) {
            ::_exit(0);
        }
        EXPECT_EQ(::waitpid(child, nullptr, 0), child);
        return child;
    }

    test::UblkServiceRig rig_;
};

TEST_F(UblkServiceTest, StorageThatDoesNotOpenMakesNoDevice) {
    const auto node = rig_.add("ram/missing");
    ASSERT_FALSE(node);
    EXPECT_EQ(node.error().what, "it is missing");
    EXPECT_TRUE(rig_.sent().empty());
    EXPECT_TRUE(rig_.service->list().empty());
}

TEST_F(UblkServiceTest, DeviceTheKernelRefusesIsNotLeftBehind) {
    rig_.answers[abi::kSetParams] = -EINVAL;
    ASSERT_FALSE(rig_.add("ram/a"));
    EXPECT_THAT(rig_.sent(), ElementsAre(abi::kAddDev, abi::kSetParams, abi::kDelDev));
    EXPECT_TRUE(rig_.service->list().empty());
}

TEST_F(UblkServiceTest, DeviceIsServedUntilItIsRemoved) {
    const auto node = rig_.add("ram/a");
    ASSERT_TRUE(node);
    EXPECT_EQ(*node, "/dev/ublkb4");
    EXPECT_EQ(rig_.only_device().state, DeviceState::kRunning);
    EXPECT_TRUE(rig_.remove(*node));
    EXPECT_THAT(rig_.sent(), ElementsAre(abi::kAddDev, abi::kSetParams, abi::kStartDev,
                                         abi::kStopDev, abi::kDelDev));
    EXPECT_TRUE(rig_.service->list().empty());
}

// Others of its daemon stored on it, and at the stop waited for it when it had left.
TEST_F(UblkServiceTest, DiskIsServedWhileItsDeviceIsThere) {
    EXPECT_FALSE(rig_.service->serves_disk("ublkb4"));
    ASSERT_TRUE(rig_.add("ram/a"));
    EXPECT_TRUE(rig_.service->serves_disk("ublkb4"));
    put_device(abi::kStateLive, ::getpid());
    for (const char* other : {"ublkb7", "ublkb44", "sda", "dm-4"}) {
        EXPECT_FALSE(rig_.service->serves_disk(other)) << other;
    }
    EXPECT_TRUE(rig_.remove("4"));
    EXPECT_FALSE(rig_.service->serves_disk("ublkb4"));
}

// It is in the kernel only when its storage is open.
TEST_F(UblkServiceTest, StorageLearnsTheNameOfItsDevice) {
    ASSERT_TRUE(rig_.add("ram/a"));
    const host::OpenDevice request = rig_.opened().back().request;
    EXPECT_EQ((host::DeviceLabel{request.name, request.late_name}.get()), "ublkb4");
}

// Without the look at them START_DEV would wait for ever.
TEST_F(UblkServiceTest, TagsThatAreRefusedEndTheDeviceBeforeItStarts) {
    rig_.refuse_fetches();
    const auto node = rig_.add("ram/a");
    ASSERT_FALSE(node);
    EXPECT_THAT(node.error().what, HasSubstr("requests"));
    EXPECT_THAT(rig_.sent(),
                ElementsAre(abi::kAddDev, abi::kSetParams, abi::kStopDev, abi::kDelDev));
    EXPECT_TRUE(rig_.service->list().empty());
}

// Nobody answered whoever had asked for the device.
TEST_F(UblkServiceTest, DeviceThatNeitherStartsNorStopsIsAnsweredAndStaysAsFailed) {
    rig_.answers = {{abi::kStartDev, -EINVAL}, {abi::kStopDev, -EIO}};
    const auto node = rig_.add("ram/a");
    ASSERT_FALSE(node);
    EXPECT_THAT(node.error().what, AllOf(HasSubstr("starting"), HasSubstr("does not go")));
    EXPECT_EQ(rig_.only_device().state, DeviceState::kFailed);
    EXPECT_EQ(rig_.only_device().error, node.error().what);
    rig_.answer_with(abi::kStopDev, {});
    EXPECT_TRUE(rig_.remove("4"));
    EXPECT_TRUE(rig_.service->list().empty());
}

TEST_F(UblkServiceTest, DeviceThatDoesNotStopMakesTheDaemonsStopUnclean) {
    rig_.offered_flags = 0;  // no recovery: the stop has to remove it
    ASSERT_TRUE(rig_.add("ram/a"));
    rig_.answer_with(abi::kStopDev, -EIO);
    EXPECT_FALSE(rig_.remove("4"));
    EXPECT_EQ(rig_.only_device().state, DeviceState::kRunning);
    EXPECT_FALSE(rig_.stop());
    rig_.answer_with(abi::kStopDev, {});
}

// The refusal ended the stop, unclean, and the device stayed.
TEST_F(UblkServiceTest, RemovalThatIsRefusedWhileTheDaemonStopsDoesNotEndTheStop) {
    rig_.offered_flags = 0;  // no recovery: the stop has to remove it
    ASSERT_TRUE(rig_.add("ram/a"));
    std::promise<void> asked;
    std::promise<void> go_on;
    rig_.check_unused = [&] {
        asked.set_value();
        go_on.get_future().wait();
        return failure(EBUSY, "it is mounted");
    };
    std::future<Status> removed = rig_.begin_remove("4");
    asked.get_future().wait();
    std::promise<bool> clean;
    rig_.service->stop([&clean](bool is_clean) { clean.set_value(is_clean); });
    go_on.set_value();
    EXPECT_FALSE(removed.get());
    EXPECT_TRUE(clean.get_future().get());
    EXPECT_TRUE(rig_.devices.empty());
}

// A removal that looks whether the device is in use, and is refused when somebody else has asked
// for it with force: that one had the refusal too.
class UblkForcedRemovalTest : public UblkServiceTest {
  protected:
    void begin(const std::string& name) {
        rig_.check_unused = [this] {
            asked_.set_value();
            go_on_.get_future().wait();
            return failure(EBUSY, "it is mounted");
        };
        first_ = rig_.begin_remove(name);
        asked_.get_future().wait();
    }
    void expect_that_force_wins(const std::string& name) {
        std::future<Status> forced = rig_.begin_remove(name, true);
        go_on_.set_value();
        EXPECT_TRUE(forced.get());
        EXPECT_TRUE(first_.get());  // it is gone
        EXPECT_TRUE(rig_.devices.empty());
        EXPECT_TRUE(rig_.service->list().empty());
    }
    std::promise<void> asked_;
    std::promise<void> go_on_;
    std::future<Status> first_;
};

TEST_F(UblkForcedRemovalTest, OfAServedDeviceIsMadeWhenTheOneBeforeIsRefused) {
    ASSERT_TRUE(rig_.add("ram/a"));
    begin("4");
    expect_that_force_wins("4");
}

TEST_F(UblkForcedRemovalTest, OfADeadDeviceIsMadeWhenTheOneBeforeIsRefused) {
    put_device(abi::kStateDead, -1);
    begin("7");
    expect_that_force_wins("7");
}

TEST_F(UblkForcedRemovalTest, OfADeviceThatWaitsForItsStorageIsMadeWhenTheOneBeforeIsRefused) {
    ASSERT_TRUE(rig_.add("ram/a"));
    EXPECT_TRUE(rig_.stop());
    rig_.storage_fails = true;
    rig_.start();
    ASSERT_TRUE(rig_.becomes(DeviceState::kFailed));
    begin("4");
    expect_that_force_wins("4");
}

TEST_F(UblkForcedRemovalTest, CancelsARecreationThatIsRefused) {
    ASSERT_TRUE(rig_.add("ram/a"));
    int looks = 0;
    rig_.check_unused = [this, &looks] {
        if (++looks == 1) {
            return Status();
        }
        asked_.set_value();
        go_on_.get_future().wait();
        return Status(failure(EBUSY, "it is mounted"));
    };
    std::future<Status> resized = rig_.begin_resize("4", 2U << 20U, true);
    asked_.get_future().wait();
    std::future<Status> forced = rig_.begin_remove("4", true);
    go_on_.set_value();
    EXPECT_EQ(resized.get().error().code, ECANCELED);
    EXPECT_TRUE(forced.get());
    EXPECT_TRUE(rig_.devices.empty());
}

TEST_F(UblkServiceTest, NumberThatItHasIsToldApartFromOneThatAnotherHas) {
    put_device(abi::kStateLive, ::getpid());
    EXPECT_EQ(rig_.add("ram/a", kAnotherDevice).error().code, EEXIST);
    ASSERT_TRUE(rig_.add("ram/a", 4));
    const std::size_t opened = rig_.opened().size();
    EXPECT_EQ(rig_.add("ram/a", 4).error().code, EALREADY);
    EXPECT_EQ(rig_.opened().size(), opened);
}

TEST_F(UblkServiceTest, SeveralQueuesAreForHandlersThatAreParallel) {
    const auto node = rig_.add("ram/a", 4, 2);
    ASSERT_FALSE(node);
    EXPECT_THAT(node.error().what, HasSubstr("served by one queue"));
    EXPECT_TRUE(rig_.sent().empty());
    ASSERT_TRUE(rig_.add("ram/parallel", 4, 2));
    EXPECT_EQ(rig_.devices.at(4).nr_hw_queues, 2);
    for (const std::uint32_t queues : {0U, 4097U}) {
        EXPECT_EQ(rig_.add("ram/parallel", 5, queues).error().code, EINVAL);
    }
}

constexpr std::uint64_t kTwoMiB = 2U << 20U;

TEST_F(UblkServiceTest, SizeIsChangedInUseWhereTheKernelCan) {
    rig_.features = abi::kFlagUpdateSize;
    ASSERT_TRUE(rig_.add("ram/a"));
    rig_.check_unused = [] { return failure(EBUSY, "it is mounted"); };
    for (const std::uint64_t size : {kTwoMiB, kTwoMiB / 4}) {
        EXPECT_TRUE(rig_.resize("4", size));
        EXPECT_EQ(rig_.sectors, size / 512);
        EXPECT_EQ(rig_.only_device().size, size);
        EXPECT_EQ(rig_.records().at(0).size, size);
    }
    EXPECT_THAT(rig_.sent(), ElementsAre(abi::kAddDev, abi::kSetParams, abi::kStartDev,
                                         abi::kUpdateSize, abi::kUpdateSize));
    rig_.check_unused = [] { return Status(); };
}

TEST_F(UblkServiceTest, StorageGrowsBeforeTheDeviceSoThatItsRefusalChangesNothing) {
    rig_.features = abi::kFlagUpdateSize;
    ASSERT_TRUE(rig_.add("ram/a"));
    const Status status = rig_.resize("4", std::uint64_t{1} << 40U);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().what, "there is no room");
    EXPECT_EQ(rig_.sectors, 0U);
    EXPECT_EQ(rig_.only_device().size, kTwoMiB / 2);
}

// The size that the storage had already was taken for the device's, and nothing was done.
TEST_F(UblkServiceTest, SizeThatTheKernelRefusedCanBeAskedForAgain) {
    rig_.features = abi::kFlagUpdateSize;
    ASSERT_TRUE(rig_.add("ram/a"));
    rig_.answer_with(abi::kUpdateSize, -EIO);
    EXPECT_FALSE(rig_.resize("4", kTwoMiB));
    EXPECT_EQ(rig_.only_device().size, kTwoMiB / 2);
    EXPECT_EQ(rig_.records().at(0).size, kTwoMiB / 2);
    rig_.answer_with(abi::kUpdateSize, {});
    EXPECT_TRUE(rig_.resize("4", kTwoMiB));
    EXPECT_EQ(rig_.sectors, kTwoMiB / 512);
    EXPECT_EQ(rig_.only_device().size, kTwoMiB);
}

TEST_F(UblkServiceTest, DeviceFollowsStorageThatHasGrownOnceItIsAsked) {
    rig_.features = abi::kFlagUpdateSize;
    ASSERT_TRUE(rig_.add("ram/a"));
    rig_.change_storage(kTwoMiB);
    EXPECT_EQ(rig_.only_device().size, kTwoMiB / 2);
    EXPECT_TRUE(rig_.resize("4", kTwoMiB));
    EXPECT_EQ(rig_.sectors, kTwoMiB / 512);
    EXPECT_EQ(rig_.only_device().size, kTwoMiB);
    EXPECT_EQ(rig_.records().at(0).size, kTwoMiB);
}

TEST_F(UblkServiceTest, KernelThatCannotResizeTakesARecreation) {
    ASSERT_TRUE(rig_.add("ram/a"));
    const Status refused = rig_.resize("4", kTwoMiB);
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().what, AllOf(HasSubstr("6.16"), HasSubstr("--recreate")));
    EXPECT_EQ(rig_.only_device().size, kTwoMiB / 2);
    EXPECT_TRUE(rig_.resize("4", kTwoMiB, true));
    EXPECT_EQ(rig_.only_device().node, "/dev/ublkb4");
    EXPECT_EQ(rig_.only_device().size, kTwoMiB);
    EXPECT_THAT(rig_.sent(),
                ElementsAre(abi::kAddDev, abi::kSetParams, abi::kStartDev, abi::kStopDev,
                            abi::kDelDev, abi::kAddDev, abi::kSetParams, abi::kStartDev));
    ASSERT_EQ(rig_.opened().size(), 2U);
    EXPECT_TRUE(rig_.opened()[0].handed_over);  // its contents stay
    EXPECT_TRUE(rig_.opened()[1].request.take_over);
    EXPECT_EQ(rig_.opened()[1].request.size, kTwoMiB);
    EXPECT_EQ(rig_.records().size(), 1U);
    EXPECT_TRUE(rig_.remove("4"));
    EXPECT_FALSE(rig_.opened()[1].handed_over);
}

TEST_F(UblkServiceTest, DeviceThatIsUsedIsNotRecreated) {
    ASSERT_TRUE(rig_.add("ram/a"));
    rig_.check_unused = [] { return failure(EBUSY, "it is mounted"); };
    EXPECT_EQ(rig_.resize("4", kTwoMiB, true).error().code, EBUSY);
    rig_.check_unused = [] { return Status(); };
    EXPECT_EQ(rig_.only_device().size, kTwoMiB / 2);
    EXPECT_EQ(rig_.only_device().state, DeviceState::kRunning);
}

TEST_F(UblkServiceTest, DeviceThatDoesNotGoKeepsItsSize) {
    ASSERT_TRUE(rig_.add("ram/a"));
    rig_.answer_with(abi::kStopDev, -EIO);
    EXPECT_FALSE(rig_.resize("4", kTwoMiB, true));
    EXPECT_EQ(rig_.only_device().size, kTwoMiB / 2);
    rig_.answer_with(abi::kStopDev, {});
    EXPECT_TRUE(rig_.remove("4"));
    EXPECT_FALSE(rig_.opened()[0].handed_over);
}

// Its storage was cut at once, while requests of the whole device could come.
TEST_F(UblkServiceTest, StorageShrinksWhenTheDeviceHasGone) {
    ASSERT_TRUE(rig_.add("ram/a"));
    int asked = 0;
    rig_.check_unused = [&asked] {
        return ++asked == 1 ? Status() : failure(EBUSY, "it is mounted");
    };
    EXPECT_EQ(rig_.resize("4", kTwoMiB / 4, true).error().code, EBUSY);
    EXPECT_EQ(asked, 2);
    rig_.check_unused = [] { return Status(); };
    EXPECT_EQ(rig_.only_device().size, kTwoMiB / 2);
    EXPECT_TRUE(rig_.resize("4", kTwoMiB / 4, true));
    EXPECT_EQ(rig_.only_device().size, kTwoMiB / 4);
    EXPECT_TRUE(rig_.live_resizes().empty());
}

TEST_F(UblkServiceTest, DeviceWhoseStorageDoesNotShrinkIsMadeAgainAsItWas) {
    ASSERT_TRUE(rig_.add("ram/a"));
    rig_.storage_shrinks = false;
    const Status status = rig_.resize("4", kTwoMiB / 4, true);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().what, "it does not shrink");
    EXPECT_EQ(rig_.only_device().size, kTwoMiB / 2);
    EXPECT_EQ(rig_.only_device().state, DeviceState::kRunning);
}

// What others ask while a recreation looks whether the device is used: at its `nth` look.
class UblkRecreationTest : public UblkServiceTest {
  protected:
    std::future<Status> begin(int nth) {
        EXPECT_TRUE(rig_.add("ram/a"));
        rig_.check_unused = [this, nth] {
            if (++looks_ == nth) {
                looks_here_.set_value();
                go_on_.get_future().wait();
            }
            return Status();
        };
        std::future<Status> resized = rig_.begin_resize("4", kTwoMiB, true);
        looks_here_.get_future().wait();
        return resized;
    }
    std::atomic<int> looks_{0};
    std::promise<void> looks_here_;
    std::promise<void> go_on_;
};

// The first was never answered.
TEST_F(UblkRecreationTest, SecondOneIsRefused) {
    std::future<Status> first = begin(2);
    EXPECT_EQ(rig_.resize("4", 2 * kTwoMiB, true).error().code, EAGAIN);
    go_on_.set_value();
    EXPECT_TRUE(first.get());
    EXPECT_EQ(rig_.only_device().size, kTwoMiB);
}

TEST_F(UblkRecreationTest, RemovalThatWasFasterWins) {
    std::future<Status> resized = begin(1);
    std::future<Status> removed = rig_.begin_remove("4");
    while (rig_.only_device().state == DeviceState::kRunning) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    go_on_.set_value();
    EXPECT_EQ(resized.get().error().code, EAGAIN);
    EXPECT_TRUE(removed.get());
    EXPECT_TRUE(rig_.service->list().empty());
    EXPECT_FALSE(rig_.opened().at(0).handed_over);
}

// It was said to be removed, and came back.
TEST_F(UblkRecreationTest, RemovalCancelsIt) {
    std::future<Status> resized = begin(2);
    std::future<Status> removed = rig_.begin_remove("4");
    go_on_.set_value();
    EXPECT_EQ(resized.get().error().code, ECANCELED);
    EXPECT_TRUE(removed.get());
    EXPECT_TRUE(rig_.service->list().empty());
    EXPECT_FALSE(rig_.opened().at(0).handed_over);
}

// The device was gone for good.
TEST_F(UblkRecreationTest, DaemonThatStopsMakesTheDeviceAgainForTheNext) {
    std::future<Status> resized = begin(2);
    std::promise<bool> clean;
    rig_.service->stop([&clean](bool is_clean) { clean.set_value(is_clean); });
    go_on_.set_value();
    EXPECT_TRUE(resized.get());
    EXPECT_TRUE(clean.get_future().get());
    EXPECT_EQ(rig_.devices.at(4).state, abi::kStateLive);
    ASSERT_EQ(rig_.records().size(), 1U);
    EXPECT_EQ(rig_.records().at(0).size, kTwoMiB);
}

TEST_F(UblkServiceTest, DeviceThatCannotBeMadeAgainIsSaidToBeGone) {
    ASSERT_TRUE(rig_.add("ram/a"));
    rig_.storage_fails = true;
    const Status status = rig_.resize("4", kTwoMiB, true);
    ASSERT_FALSE(status);
    EXPECT_THAT(status.error().what, AllOf(HasSubstr("was removed"), HasSubstr("missing")));
    EXPECT_TRUE(rig_.service->list().empty());
}

// A RAM disk was empty afterwards.
TEST_F(UblkServiceTest, DeviceThatCannotBeMadeAgainLeavesWhatItsStorageHas) {
    ASSERT_TRUE(rig_.add("ram/a"));
    rig_.answer_with(abi::kAddDev, -ENOMEM);
    EXPECT_FALSE(rig_.resize("4", kTwoMiB, true));
    ASSERT_EQ(rig_.opened().size(), 2U);
    EXPECT_TRUE(rig_.opened()[1].handed_over);
}

TEST_F(UblkServiceTest, RemovalThatTheKernelDoesNotEndIsNoSuccess) {
    ASSERT_TRUE(rig_.add("ram/a"));
    rig_.answer_with(abi::kDelDev, -EIO);
    EXPECT_EQ(rig_.remove("4").error().code, EIO);
    EXPECT_EQ(rig_.records().size(), 1U) << "the next daemon removes it";
    rig_.answer_with(abi::kDelDev, {});
    EXPECT_TRUE(rig_.remove("4"));
}

TEST_F(UblkServiceTest, SizeIsOfWholeBlocksOfADeviceThatIsThere) {
    EXPECT_EQ(rig_.resize("4", kTwoMiB).error().code, ENOENT);
    EXPECT_EQ(rig_.resize("sda", kTwoMiB).error().code, EINVAL);
    ASSERT_TRUE(rig_.add("ram/a"));
    for (const std::uint64_t size : {std::uint64_t{0}, kTwoMiB + 1}) {
        EXPECT_EQ(rig_.resize("4", size, true).error().code, EINVAL);
    }
    EXPECT_TRUE(rig_.resize("4", kTwoMiB / 2));  // the one that it has
}

TEST_F(UblkServiceTest, NeedsIoUring) {
    rig_.settings.engine = core::EngineChoice::kThreads;
    const auto node = rig_.add("ram/a");
    ASSERT_FALSE(node);
    EXPECT_THAT(node.error().what, HasSubstr("engine=threads"));
    EXPECT_TRUE(rig_.sent().empty());
}

TEST_F(UblkServiceTest, UnknownDeviceIsNotFound) {
    for (const char* name : {"7", "ublkb7", "/dev/ublkb7"}) {
        const Status status = rig_.remove(name);
        ASSERT_FALSE(status);
        EXPECT_EQ(status.error().code, ENOENT) << name;
    }
    EXPECT_TRUE(rig_.sent().empty());
}

// They counted as devices that are gone already.
TEST_F(UblkServiceTest, NameThatCannotBeADevicesIsInvalid) {
    for (const char* name : {"sda", "", "/dev/7", "ublkc7", "7x", "-1", "1048576", "4294967295"}) {
        const Status status = rig_.remove(name);
        ASSERT_FALSE(status);
        EXPECT_EQ(status.error().code, EINVAL) << name;
    }
    const auto node = rig_.add("ram/a", 0xffff'ffff);  // the kernel's word for "any"
    ASSERT_FALSE(node);
    EXPECT_EQ(node.error().code, EINVAL);
}

// lunkit said that it was gone.
TEST_F(UblkServiceTest, DeviceOfADaemonThatDiedIsRemoved) {
    for (const std::uint16_t state : {abi::kStateDead, abi::kStateLive}) {
        put_device(state, dead_process());
        EXPECT_TRUE(rig_.remove("/dev/ublkb7"));
        EXPECT_TRUE(rig_.devices.empty());
    }
    EXPECT_TRUE(rig_.service->list().empty());
}

TEST_F(UblkServiceTest, DeviceOfALivingServerIsLeftToIt) {
    put_device(abi::kStateLive, ::getpid());
    const Status status = rig_.remove("7", true);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, EBUSY);
    EXPECT_THAT(status.error().what, HasSubstr(std::to_string(::getpid())));
    EXPECT_TRUE(rig_.sent().empty());
}

TEST_F(UblkServiceTest, DeadDeviceThatIsInUseTakesForce) {
    put_device(abi::kStateDead, -1);
    rig_.check_unused = [] { return failure(EBUSY, "it is mounted"); };
    EXPECT_EQ(rig_.remove("7").error().code, EBUSY);
    EXPECT_TRUE(rig_.remove("7", true));
}

TEST_F(UblkServiceTest, NothingIsMadeOnceItStops) {
    EXPECT_TRUE(rig_.stop());
    const auto node = rig_.add("ram/a");
    ASSERT_FALSE(node);
    EXPECT_EQ(node.error().code, ECANCELED);
}

}  // namespace
}  // namespace lunkit::ublk

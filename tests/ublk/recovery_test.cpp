// SPDX-License-Identifier: Apache-2.0
// Devices from one daemon to the next, as the service sees it. That no request is lost on the way
// takes the real driver: tests/vm/cases/ublk_recovery.sh.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <future>
#include <string>
#include <thread>

#include "support/ublk_service_rig.hpp"
#include "ublk/ublk_service.hpp"

namespace lunkit::ublk {
namespace {

using core::DeviceState;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr std::uint64_t kIdentity = 0x1234;
constexpr std::uint64_t kRecovery = abi::kFlagUserRecovery | abi::kFlagUserRecoveryReissue;
constexpr std::uint64_t kBytes = 1U << 20U;

class UblkRecoveryTest : public testing::Test {
  protected:
    void TearDown() override {
        if (rig_.service) {
            EXPECT_TRUE(rig_.stop());
        }
    }
    /// What a daemon that was killed leaves behind.
    void put_device(std::uint16_t state, std::uint64_t flags = kRecovery) {
        abi::DeviceInfo info{};
        info.dev_id = 4;
        info.nr_hw_queues = 1;
        info.queue_depth = 2;
        info.max_io_buf_bytes = 4096;
        info.state = state;
        info.flags = flags;
        info.ublksrv_flags = kIdentity;
        rig_.devices[info.dev_id] = info;
    }
    void put_record(std::uint64_t size = kBytes, const std::string& config = "ram/a") {
        rig_.write_record(
            {.identity = kIdentity, .config = config, .size = size, .block_size = 512});
    }
    test::UblkServiceRig rig_;
};

TEST_F(UblkRecoveryTest, DeviceIsMadeToBeRecoveredAndRecordedUntilItGoes) {
    rig_.start();
    ASSERT_TRUE(rig_.add("ram/a"));
    const auto records = rig_.records();
    ASSERT_EQ(records.size(), 1U);
    EXPECT_EQ(records[0].config, "ram/a");
    EXPECT_EQ(records[0].size, kBytes);
    EXPECT_EQ(rig_.devices.at(4).ublksrv_flags, records[0].identity);
    EXPECT_EQ(rig_.devices.at(4).flags & kRecovery, kRecovery);
    ASSERT_TRUE(rig_.remove("4"));
    EXPECT_TRUE(rig_.records().empty());
    EXPECT_FALSE(rig_.opened().at(0).handed_over);
    EXPECT_FALSE(rig_.add("ram/missing"));
    rig_.answer_with(abi::kAddDev, -ENOMEM);
    EXPECT_FALSE(rig_.add("ram/a"));
    EXPECT_TRUE(rig_.records().empty());
}

TEST_F(UblkRecoveryTest, DaemonThatStopsLeavesItsDeviceToTheNext) {
    rig_.start();
    ASSERT_TRUE(rig_.add("ram/a"));
    EXPECT_TRUE(rig_.stop());
    EXPECT_THAT(rig_.sent(), ElementsAre(abi::kAddDev, abi::kSetParams, abi::kStartDev));
    EXPECT_TRUE(rig_.opened().at(0).handed_over);
    rig_.start();
    EXPECT_TRUE(rig_.becomes(DeviceState::kRunning));
    EXPECT_THAT(rig_.sent(), ElementsAre(abi::kAddDev, abi::kSetParams, abi::kStartDev,
                                         abi::kStartUserRecovery, abi::kEndUserRecovery));
    const host::OpenDevice request = rig_.opened().at(1).request;
    EXPECT_TRUE(request.take_over);
    EXPECT_EQ(request.config, "ram/a");
    EXPECT_EQ(request.late_name->get(), "ublkb4");
    EXPECT_EQ(request.size, kBytes);
    EXPECT_EQ(rig_.only_device().node, "/dev/ublkb4");
    EXPECT_EQ(rig_.devices.at(4).ublksrv_pid, ::getpid());
    EXPECT_TRUE(rig_.remove("4"));
    EXPECT_FALSE(rig_.opened().at(1).handed_over);
}

TEST_F(UblkRecoveryTest, KernelWithoutItHasTheDeviceRemovedByTheStop) {
    rig_.offered_flags = ~abi::kFlagUserRecoveryReissue;
    rig_.start();
    ASSERT_TRUE(rig_.add("ram/a"));
    EXPECT_TRUE(rig_.stop());
    EXPECT_TRUE(rig_.devices.empty());
    EXPECT_TRUE(rig_.records().empty());
    EXPECT_FALSE(rig_.opened().at(0).handed_over);
}

TEST_F(UblkRecoveryTest, KernelThatHasNotNoticedTheDeathIsAskedAgain) {
    put_device(abi::kStateQuiesced);
    put_record();
    rig_.busy_recoveries = 3;
    rig_.start();
    EXPECT_TRUE(rig_.becomes(DeviceState::kRunning));
    EXPECT_EQ(std::ranges::count(rig_.sent(), abi::kStartUserRecovery), 4);
}

TEST_F(UblkRecoveryTest, RecoveryThatItsDaemonDidNotEndGoesOn) {
    put_device(abi::kStateQuiesced);
    put_record();
    rig_.answers = {{abi::kStartUserRecovery, -EINVAL}};
    rig_.start();
    EXPECT_TRUE(rig_.becomes(DeviceState::kRunning));
}

TEST_F(UblkRecoveryTest, StorageThatDoesNotOpenIsTriedAgain) {
    put_device(abi::kStateQuiesced);
    put_record();
    rig_.storage_fails = true;
    rig_.start();
    EXPECT_TRUE(rig_.becomes(DeviceState::kFailed));
    EXPECT_EQ(rig_.only_device().error, "it is missing");
    EXPECT_TRUE(rig_.sent().empty());
    rig_.storage_fails = false;
    EXPECT_TRUE(rig_.becomes(DeviceState::kRunning));
}

TEST_F(UblkRecoveryTest, DiskIsServedAlsoWhileItWaitsForItsStorage) {
    put_device(abi::kStateQuiesced);
    put_record();
    rig_.storage_fails = true;
    rig_.start();
    EXPECT_TRUE(rig_.becomes(DeviceState::kFailed));
    EXPECT_TRUE(rig_.service->serves_disk("ublkb4"));
}

TEST_F(UblkRecoveryTest, WhetherADiskIsServedIsToldWhenWhatWasLeftIsKnown) {
    put_device(abi::kStateQuiesced);
    put_record();
    rig_.make();
    auto serves =
        std::async(std::launch::async, [this] { return rig_.service->serves_disk("ublkb4"); });
    auto serves_another =
        std::async(std::launch::async, [this] { return rig_.service->serves_disk("ublkb5"); });
    EXPECT_TRUE(rig_.service->start());
    EXPECT_TRUE(serves.get());
    EXPECT_FALSE(serves_another.get());
}

TEST_F(UblkRecoveryTest, DiskCountsAsServedWhenNobodyCanTell) {
    rig_.start_patience = std::chrono::milliseconds(1);
    rig_.make();
    EXPECT_TRUE(rig_.service->serves_disk("ublkb5"));
    EXPECT_FALSE(rig_.service->serves_disk("sda"));
}

TEST_F(UblkRecoveryTest, StorageThatHasShrunkIsNotServed) {
    put_device(abi::kStateQuiesced);
    put_record(2 * kBytes);
    rig_.start();
    EXPECT_TRUE(rig_.becomes(DeviceState::kFailed));
    EXPECT_THAT(rig_.only_device().error, HasSubstr("2097152"));
    EXPECT_TRUE(rig_.sent().empty());
    EXPECT_TRUE(rig_.opened().at(0).handed_over);  // what lives as long as the device is kept
}

TEST_F(UblkRecoveryTest, DeviceThatIsNotRecoveredYetCanBeRemoved) {
    put_device(abi::kStateQuiesced);
    put_record();
    rig_.storage_fails = true;
    rig_.start();
    EXPECT_TRUE(rig_.becomes(DeviceState::kFailed));
    rig_.check_unused = [] { return failure(EBUSY, "it is mounted"); };
    EXPECT_EQ(rig_.remove("4").error().code, EBUSY);
    EXPECT_TRUE(rig_.remove("4", true));
    EXPECT_THAT(rig_.sent(), ElementsAre(abi::kStopDev, abi::kDelDev));
    EXPECT_TRUE(rig_.records().empty());
    EXPECT_TRUE(rig_.service->list().empty());
}

TEST_F(UblkRecoveryTest, DeviceThatIsNotRecoveredYetIsLeftByAStop) {
    put_device(abi::kStateQuiesced);
    put_record();
    rig_.storage_fails = true;
    rig_.start();
    EXPECT_TRUE(rig_.becomes(DeviceState::kFailed));
    EXPECT_TRUE(rig_.stop());
    EXPECT_EQ(rig_.devices.at(4).state, abi::kStateQuiesced);
    EXPECT_EQ(rig_.records().size(), 1U);
}

TEST_F(UblkRecoveryTest, DeviceThatEndedWithItsDaemonIsRemoved) {
    struct Left {
        std::uint16_t state;
        std::uint64_t flags;
    };
    for (const auto& [state, flags] :
         {Left{abi::kStateDead, kRecovery}, Left{abi::kStateLive, abi::kFlagUserRecovery}}) {
        put_device(state, flags);
        put_record();
        rig_.start();
        EXPECT_TRUE(rig_.becomes_empty());
        EXPECT_TRUE(rig_.devices.empty());
        EXPECT_TRUE(rig_.records().empty());
        EXPECT_THAT(rig_.sent(), Not(Contains(abi::kStartUserRecovery)));
        EXPECT_TRUE(rig_.stop());
    }
}

// A declared device was not made, as the one that was being removed had its number.
TEST_F(UblkRecoveryTest, NumberIsFreeAgainOnceWhatIsLeftOfTheLastDeviceHasGone) {
    put_device(abi::kStateDead);
    put_record();
    rig_.start();
    EXPECT_TRUE(rig_.add("ram/b", 4));
    EXPECT_EQ(rig_.only_device().config, "ram/b");
}

TEST_F(UblkRecoveryTest, NumberIsTakenWhileTheLastDevicesStorageIsMissing) {
    put_device(abi::kStateQuiesced);
    put_record();
    rig_.storage_fails = true;
    rig_.start();
    EXPECT_EQ(rig_.add("ram/b", 4).error().code, EALREADY);
    EXPECT_EQ(rig_.only_device().config, "ram/a");
}

TEST_F(UblkRecoveryTest, DeviceOfSeveralQueuesIsRecoveredWithAllOfThem) {
    put_device(abi::kStateQuiesced);
    rig_.devices.at(4).nr_hw_queues = 2;
    put_record(kBytes, "ram/parallel");
    rig_.start();
    EXPECT_TRUE(rig_.becomes(DeviceState::kRunning));
    EXPECT_FALSE(rig_.folder().is_fetching(kIdentity));
}

// The handler may have been another, or set differently, when the device was made.
TEST_F(UblkRecoveryTest, SeveralQueuesAreNotRecoveredForAHandlerThatTakesOne) {
    put_device(abi::kStateQuiesced);
    rig_.devices.at(4).nr_hw_queues = 2;
    put_record();
    rig_.start();
    EXPECT_TRUE(rig_.becomes(DeviceState::kFailed));
    EXPECT_THAT(rig_.only_device().error, HasSubstr("served by one queue"));
    EXPECT_TRUE(rig_.sent().empty());
}

// The next daemon would have begun another recovery, which crashes Linux 6.12.
TEST_F(UblkRecoveryTest, MarkStaysWhenSomeOfTheQueuesWereFetched) {
    put_device(abi::kStateQuiesced);
    rig_.devices.at(4).nr_hw_queues = 2;
    put_record(kBytes, "ram/parallel");
    rig_.refuse_fetches(3);
    rig_.answers = {{abi::kStopDev, -EIO}};
    rig_.start();
    EXPECT_TRUE(rig_.becomes(DeviceState::kFailed));
    EXPECT_TRUE(rig_.folder().is_fetching(kIdentity));
    rig_.answer_with(abi::kStopDev, {});
    EXPECT_TRUE(rig_.remove("4"));
    EXPECT_FALSE(rig_.folder().is_fetching(kIdentity));
}

// A second START_USER_RECOVERY crashes Linux 6.12.
TEST_F(UblkRecoveryTest, DeviceWhoseDaemonDiedBetweenTheFetchesOfItsQueuesIsRemoved) {
    put_device(abi::kStateQuiesced);
    rig_.devices.at(4).nr_hw_queues = 2;
    put_record();
    ASSERT_TRUE(rig_.folder().mark_fetching(kIdentity));
    rig_.start();
    EXPECT_TRUE(rig_.becomes_empty());
    EXPECT_TRUE(rig_.devices.empty());
    EXPECT_THAT(rig_.sent(), ElementsAre(abi::kStopDev, abi::kDelDev));
    EXPECT_FALSE(rig_.folder().is_fetching(kIdentity));
}

TEST_F(UblkRecoveryTest, DeviceOfAnotherIsLeftAloneAndARecordWithoutDeviceGoes) {
    put_device(abi::kStateQuiesced);
    rig_.devices.at(4).ublksrv_flags = kIdentity + 1;
    put_record();
    rig_.start();
    EXPECT_TRUE(rig_.service->list().empty());
    EXPECT_TRUE(rig_.records().empty());
    EXPECT_EQ(rig_.devices.size(), 1U);
    EXPECT_TRUE(rig_.sent().empty());
}

TEST_F(UblkRecoveryTest, RecordIsKeptWhileTheKernelDoesNotTell) {
    put_device(abi::kStateQuiesced);
    put_record();
    rig_.answers = {{abi::kGetDevInfo, -EINTR}};
    rig_.start();
    EXPECT_TRUE(rig_.service->list().empty());
    EXPECT_EQ(rig_.records().size(), 1U);
}

TEST_F(UblkRecoveryTest, RecoveryThatTheKernelRefusesBehindTheFetchesEndsTheDevice) {
    put_device(abi::kStateQuiesced);
    put_record();
    rig_.answers = {{abi::kEndUserRecovery, -EINVAL}};
    rig_.start();
    EXPECT_TRUE(rig_.becomes_empty());
    EXPECT_TRUE(rig_.devices.empty());
    EXPECT_TRUE(rig_.records().empty());
}

TEST_F(UblkRecoveryTest, DeviceOfWhichTheKernelTellsLateIsRecovered) {
    put_device(abi::kStateQuiesced);
    put_record();
    rig_.answers = {{abi::kGetDevInfo, -EINTR}};
    rig_.start();
    EXPECT_EQ(rig_.add("ram/a").error().code, EAGAIN) << "its storage may be that of the device";
    EXPECT_TRUE(rig_.opened().empty());
    rig_.answer_with(abi::kGetDevInfo, {});
    EXPECT_TRUE(rig_.becomes(DeviceState::kRunning));
    EXPECT_TRUE(rig_.remove("4"));
    EXPECT_TRUE(rig_.add("ram/a"));
}

TEST_F(UblkRecoveryTest, UnprivilegedDeviceOfAnotherKeepsNobodyFromAddingOne) {
    put_device(abi::kStateLive);
    put_record();
    rig_.answers = {{abi::kGetDevInfo, -EINVAL}};
    rig_.start();
    EXPECT_TRUE(rig_.records().empty());
    EXPECT_TRUE(rig_.add("ram/a", 5));
    rig_.answer_with(abi::kGetDevInfo, {});
}

TEST_F(UblkRecoveryTest, WhatTheMachineLacksForAMomentDoesNotEndTheDevice) {
    put_device(abi::kStateQuiesced);
    put_record();
    rig_.answers = {{abi::kEndUserRecovery, -ENOMEM}};
    rig_.start();
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    EXPECT_THAT(rig_.sent(), Not(Contains(abi::kStopDev)));
    rig_.answer_with(abi::kEndUserRecovery, {});
    EXPECT_TRUE(rig_.becomes(DeviceState::kRunning));
}

TEST_F(UblkRecoveryTest, StopLeavesADeviceWhoseRecoveryCannotBeEnded) {
    put_device(abi::kStateQuiesced);
    put_record();
    rig_.answers = {{abi::kEndUserRecovery, -ENOMEM}};
    rig_.start();
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    EXPECT_TRUE(rig_.stop());
    EXPECT_THAT(rig_.sent(), Not(Contains(abi::kStopDev)));
    rig_.answer_with(abi::kEndUserRecovery, {});
    rig_.start();
    EXPECT_TRUE(rig_.becomes(DeviceState::kRunning));
}

}  // namespace
}  // namespace lunkit::ublk

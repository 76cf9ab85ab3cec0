// SPDX-License-Identifier: Apache-2.0
// A worker between the model of a target and storage in memory.
#include "dm_user/worker.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <functional>
#include <future>
#include <limits>
#include <map>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "core/queue_set.hpp"
#include "support/dm_user_model.hpp"
#include "support/memory_device.hpp"

namespace lunkit::dm_user {
namespace {

using abi::RequestType;
using test::DmUserModel;
using test::MemoryDevice;
using Kind = test::MemoryDevice::Kind;
using namespace std::chrono_literals;

constexpr std::uint64_t kSize = 1U << 20U;
constexpr std::size_t kRoom = 8192;
constexpr auto kError = static_cast<std::uint64_t>(abi::Answer::kError);
constexpr auto kUnsupported = static_cast<std::uint64_t>(abi::Answer::kUnsupported);

std::vector<std::byte> bytes_of(std::size_t size, unsigned seed = 1) {
    std::vector<std::byte> bytes(size);
    for (std::size_t i = 0; i < size; ++i) {
        bytes[i] = static_cast<std::byte>(i * 7 + i / 251 + seed * 31U);
    }
    return bytes;
}

class WorkerTest : public testing::Test {
  protected:
    void TearDown() override { end(); }

    /// Its first request starts the worker, so that a test may set things before.
    DmUserModel::Completed run(DmUserModel::Request request) {
        start();
        return model_.run(std::move(request));
    }
    void start() {
        if (worker_) {
            return;
        }
        worker_ = std::make_unique<Worker>(target_, model_.open(), room_);
        thread_ = std::thread([this] { outcome_ = worker_->run(); });
    }
    /// The target goes; gives why the worker ended.
    Status end() {
        if (thread_.joinable()) {
            model_.remove();
            thread_.join();
        }
        return outcome_;
    }
    /// What the storage was asked for.
    std::vector<MemoryDevice::Request> asked() { return memory_.requests; }

    DmUserModel model_;
    MemoryDevice memory_{kSize};
    std::unique_ptr<core::QueueSet> queues_ =
        *core::QueueSet::start(core::EngineChoice::kThreads, 1, 0us);
    Target target_{.name = "disk",
                   .block = memory_,
                   .queue = queues_->at(0),
                   .open_channel = [this]() -> Result<std::unique_ptr<Channel>> {
                       if (!may_open_) {
                           return failure(ENOENT, "there is no node");
                       }
                       return model_.open();
                   }};
    std::vector<std::byte> room_ = std::vector<std::byte>(kRoom);
    bool may_open_ = true;
    std::unique_ptr<Worker> worker_;
    std::thread thread_;
    Status outcome_;
};

/// With reads and writes of the channel cut to so many bytes, and storage that takes its time.
class CutWorkerTest : public WorkerTest, public testing::WithParamInterface<std::size_t> {
  protected:
    void SetUp() override {
        model_.longest_read = GetParam();
        model_.longest_write = GetParam();
        memory_.suspends = true;
    }
};

TEST_P(CutWorkerTest, WritesAndReadsBack) {
    const auto data = bytes_of(4096);
    EXPECT_EQ(run({.type = RequestType::kWrite, .sector = 9, .data = data}).error, 0);
    const auto read = run({.type = RequestType::kRead, .sector = 9, .len = 4096});
    EXPECT_EQ(read.error, 0);
    EXPECT_EQ(read.data, data);
    EXPECT_EQ(asked(), (std::vector<MemoryDevice::Request>{{Kind::kWrite, 9 * 512, 4096, 0},
                                                           {Kind::kRead, 9 * 512, 4096, 0}}));
    EXPECT_EQ(end().error().code, ENOTBLK);
    EXPECT_EQ(worker_->counters().write_bytes, 4096U);
    EXPECT_EQ(worker_->counters().read_commands, 1U);
    EXPECT_EQ(worker_->counters().in_flight, 0U);
    EXPECT_EQ(worker_->counters().kicks, 2U);
}

TEST_P(CutWorkerTest, LongWriteGoesThroughTheRoom) {
    const auto data = bytes_of(5 * kRoom + 512);
    EXPECT_EQ(run({.type = RequestType::kWrite, .data = data}).error, 0);
    EXPECT_EQ(memory_.count(Kind::kWrite), 6U);
    EXPECT_TRUE(std::ranges::equal(memory_.bytes().first(data.size()), data));
}

TEST_P(CutWorkerTest, LongReadIsKnownToSucceedBeforeItIsAnswered) {
    const auto data = bytes_of(5 * kRoom + 512);
    std::ranges::copy(data, memory_.bytes().begin());
    EXPECT_EQ(run({.type = RequestType::kRead, .len = data.size()}).data, data);
    EXPECT_EQ(memory_.count(Kind::kRead), 12U);
    memory_.fail_next(Kind::kRead, Error{.code = EIO});
    const auto failed = run({.type = RequestType::kRead, .len = data.size()});
    EXPECT_EQ(failed.answer, kError);
    EXPECT_EQ(model_.opened_so_far(), 1U);
}

TEST_P(CutWorkerTest, FailedWriteIsReadToItsEnd) {
    start();
    memory_.fail_next(Kind::kWrite, Error{.code = ENOSPC});
    auto failed = model_.submit({.type = RequestType::kWrite, .data = bytes_of(3 * kRoom)});
    EXPECT_EQ(failed.get().answer, kError);
    EXPECT_EQ(memory_.count(Kind::kWrite), 1U);
    EXPECT_EQ(run({.type = RequestType::kWrite, .data = bytes_of(512)}).error, 0);
    end();
    EXPECT_EQ(worker_->counters().errors, 1U);
    core::DeviceStatus status;
    const core::DeviceCounters* const counters = &worker_->counters();
    core::tell_counters({&counters, 1}, status);
    EXPECT_EQ(status.error_counts, (std::map<std::string, std::uint64_t>{{"ENOSPC", 1}}));
    EXPECT_EQ(status.latency[1].count, 2U);
}

TEST_P(CutWorkerTest, RequestsCanBeWatched) {
    ASSERT_TRUE(target_.trace->start());
    EXPECT_EQ(run({.type = RequestType::kRead, .sector = 9, .len = 4096}).error, 0);
    end();
    std::array<core::TraceRecord, 4> records;
    ASSERT_EQ(target_.trace->take(records), 1U);
    EXPECT_EQ(records[0].operation, core::BlockOperation::kRead);
    EXPECT_EQ(records[0].offset, 9U * 512);
    EXPECT_EQ(records[0].bytes, 4096U);
}

TEST_P(CutWorkerTest, FlushIsAWriteOfNothingAtAnySector) {
    EXPECT_EQ(run({.type = RequestType::kWrite, .data = bytes_of(512)}).error, 0);
    EXPECT_FALSE(memory_.is_durable());
    EXPECT_EQ(run({.type = RequestType::kWrite, .sector = 1U << 30U, .flags = 0x698}).error, 0);
    EXPECT_TRUE(memory_.is_durable());
    EXPECT_EQ(run({.type = RequestType::kFlush}).error, 0);
    EXPECT_EQ(memory_.count(Kind::kFlush), 2U);
    EXPECT_EQ(run({.type = RequestType::kWrite, .sector = 3}).error, 0);  // asks for nothing
    EXPECT_EQ(memory_.count(Kind::kFlush), 2U);
    memory_.fail_next(Kind::kFlush, Error{.code = EIO});
    EXPECT_EQ(run({.type = RequestType::kWrite, .flags = abi::kFlagPreflush}).answer, kError);
}

TEST_P(CutWorkerTest, PreflushWithDataFlushesFirst) {
    EXPECT_EQ(run({.type = RequestType::kWrite,
                   .flags = abi::kFlagPreflush | abi::kFlagFua,
                   .data = bytes_of(512)})
                  .error,
              0);
    EXPECT_EQ(asked(), (std::vector<MemoryDevice::Request>{{Kind::kFlush, 0, 0, 0},
                                                           {Kind::kWrite, 0, 512, LUNKIT_IO_FUA}}));
    memory_.fail_next(Kind::kFlush, Error{.code = EIO});
    EXPECT_EQ(
        run({.type = RequestType::kWrite, .flags = abi::kFlagPreflush, .data = bytes_of(512, 2)})
            .answer,
        kError);
    EXPECT_EQ(memory_.count(Kind::kWrite), 1U);
}

TEST_P(CutWorkerTest, FuaIsDurableWhenItIsAnswered) {
    const auto data = bytes_of(2 * kRoom);
    EXPECT_EQ(run({.type = RequestType::kWrite, .flags = 0x288, .data = data}).error, 0);
    EXPECT_TRUE(memory_.is_durable());
}

TEST_P(CutWorkerTest, UnknownFlagsAreIgnored) {
    constexpr std::uint64_t kAll = std::numeric_limits<std::uint64_t>::max();
    constexpr std::uint64_t kUnknown = kAll & ~(abi::kFlagFua | abi::kFlagPreflush);
    EXPECT_EQ(run({.type = RequestType::kWrite, .flags = kUnknown, .data = bytes_of(512)}).error,
              0);
    EXPECT_EQ(run({.type = RequestType::kRead, .len = 512, .flags = kAll}).data, bytes_of(512));
    EXPECT_EQ(memory_.count(Kind::kFlush), 0U);
}

TEST_P(CutWorkerTest, DiscardAndWriteZeroes) {
    std::ranges::fill(memory_.bytes(), std::byte{1});
    EXPECT_EQ(run({.type = RequestType::kDiscard, .sector = 8, .len = 4096}).error, 0);
    EXPECT_EQ(run({.type = RequestType::kWriteZeroes, .sector = 16, .len = 4096}).error, 0);
    EXPECT_EQ(run({.type = RequestType::kWriteZeroes,
                   .sector = 24,
                   .len = 4096,
                   .flags = abi::kFlagNoUnmap | abi::kFlagFua})
                  .error,
              0);
    EXPECT_EQ(run({.type = RequestType::kDiscard, .len = 512, .flags = abi::kFlagPreflush}).error,
              0);
    EXPECT_EQ(run({.type = RequestType::kDiscard}).error, 0);  // of nothing
    EXPECT_EQ(asked(), (std::vector<MemoryDevice::Request>{
                           {Kind::kDiscard, 4096, 4096, 0},
                           {Kind::kWriteZeroes, 8192, 4096, LUNKIT_IO_MAY_UNMAP},
                           {Kind::kWriteZeroes, 12288, 4096, LUNKIT_IO_FUA},
                           {Kind::kFlush, 0, 0, 0},
                           {Kind::kDiscard, 0, 512, 0}}));
    EXPECT_EQ(std::ranges::count(memory_.bytes(), std::byte{0}), 3 * 4096 + 512);
}

TEST_P(CutWorkerTest, WhatCannotBeDoneIsUnsupported) {
    for (const RequestType type :
         {RequestType::kSecureErase, RequestType::kWriteSame, RequestType::kZoneOpen,
          RequestType::kZoneClose, RequestType::kZoneFinish, RequestType::kZoneAppend,
          RequestType::kZoneReset, RequestType::kZoneResetAll, static_cast<RequestType>(99),
          static_cast<RequestType>(~std::uint64_t{0})}) {
        EXPECT_EQ(run({.type = type, .len = 512}).answer, kUnsupported);
    }
    memory_.fail_next(Kind::kDiscard, Error{.code = EOPNOTSUPP});
    EXPECT_EQ(run({.type = RequestType::kDiscard, .len = 512}).answer, kUnsupported);
    EXPECT_EQ(run({.type = RequestType::kRead, .len = 512}).error, 0);
}

TEST_P(CutWorkerTest, WhatIsOutsideOfTheStorageFails) {
    constexpr std::uint64_t kSectors = kSize / 512;
    constexpr std::uint64_t kFar = std::numeric_limits<std::uint64_t>::max();
    for (const auto& [sector, len] :
         std::vector<std::pair<std::uint64_t, std::uint64_t>>{{kSectors, 512},
                                                              {kSectors - 1, 1024},
                                                              {kFar, 512},
                                                              {kFar >> 9U, 512},
                                                              {0, 513},
                                                              {0, kSize + 512},
                                                              {1, kFar - 511}}) {
        EXPECT_EQ(run({.type = RequestType::kRead, .sector = sector, .len = len}).answer, kError);
        EXPECT_EQ(run({.type = RequestType::kDiscard, .sector = sector, .len = len}).answer,
                  kError);
    }
    EXPECT_EQ(
        run({.type = RequestType::kWrite, .sector = kSectors - 1, .data = bytes_of(1024)}).answer,
        kError);
    EXPECT_EQ(run({.type = RequestType::kRead, .sector = kSectors}).error, 0);  // of nothing
    EXPECT_TRUE(asked().empty());
    EXPECT_EQ(run({.type = RequestType::kRead, .sector = kSectors - 1, .len = 512}).error, 0);
    EXPECT_EQ(memory_.violations, 0U);
}

TEST_P(CutWorkerTest, SectorsCountFromTheStartOfTheMappedDevice) {
    target_.start_sectors512 = 1000;
    EXPECT_EQ(run({.type = RequestType::kWrite, .sector = 1001, .data = bytes_of(512)}).error, 0);
    EXPECT_EQ(asked().at(0).offset, 512U);
    EXPECT_EQ(run({.type = RequestType::kRead, .sector = 999, .len = 512}).answer, kError);
}

INSTANTIATE_TEST_SUITE_P(Cut, CutWorkerTest, testing::Values(13, 40, 4095, 1U << 30U));

/// A channel with something done before its reads and writes.
class WatchedChannel final : public Channel {
  public:
    using Watch = std::function<void(Channel& below)>;
    WatchedChannel(std::unique_ptr<Channel> below, Watch before_read, Watch before_write)
        : below_(std::move(below)),
          before_read_(std::move(before_read)),
          before_write_(std::move(before_write)) {}
    Result<std::size_t> read(std::span<std::byte> room) override {
        before_read_(*below_);
        return below_->read(room);
    }
    Result<std::size_t> write(std::span<const std::byte> header,
                              std::span<const std::byte> payload) override {
        before_write_(*below_);
        return below_->write(header, payload);
    }

  private:
    std::unique_ptr<Channel> below_;
    Watch before_read_;
    Watch before_write_;
};

class WatchedWorkerTest : public WorkerTest {
  protected:
    void start_with(const Target& target, WatchedChannel::Watch before_read,
                    WatchedChannel::Watch before_write) {
        worker_ = std::make_unique<Worker>(
            target,
            std::make_unique<WatchedChannel>(model_.open(), std::move(before_read),
                                             std::move(before_write)),
            room_);
        thread_ = std::thread([this] { outcome_ = worker_->run(); });
    }
    void start_breaking_after(int writes) {
        start_with(
            target_, [](Channel&) {},
            [writes](Channel& below) mutable {
                if (writes-- == 0) {
                    (void)below.write({}, {});  // poisons
                }
            });
    }
};

TEST_F(WatchedWorkerTest, StopComesBetweenTwoRequests) {
    auto last = model_.submit({.type = RequestType::kWrite, .data = bytes_of(3 * kRoom)});
    start_with(target_, [this](Channel&) { worker_->stop(); }, [](Channel&) {});
    EXPECT_EQ(last.get().error, 0);
    thread_.join();
    EXPECT_TRUE(outcome_);
    EXPECT_EQ(model_.opens(), 0U);
}

TEST_F(WatchedWorkerTest, PoisonedChannelIsReplacedAndNothingThatWaitsFails) {
    start_breaking_after(1);
    EXPECT_EQ(run({.type = RequestType::kFlush}).error, 0);
    auto broken = model_.submit({.type = RequestType::kFlush});
    auto waits = model_.submit({.type = RequestType::kRead, .len = 512});
    EXPECT_EQ(broken.get().error, EIO);
    EXPECT_EQ(waits.get().error, 0);
    EXPECT_EQ(model_.opened_so_far(), 2U);
    EXPECT_EQ(model_.opens(), 1U);
}

/// Zeros, which can be read so many times.
class WearingDevice final : public BlockDevice {
  public:
    explicit WearingDevice(int reads_left) : reads_left_(reads_left) {}
    [[nodiscard]] DeviceInfo info() const override { return {.size = kSize}; }
    Task<Status> read(Queue& /*queue*/, const IoRequest& io) override {
        zero_iov(*io.data, io.data_offset, io.length);
        // An error that would mean something else if it were the channel's.
        co_return reads_left_-- > 0 ? Status() : failure(ENOTBLK);
    }
    Task<Status> write(Queue& /*queue*/, const IoRequest& /*io*/) override {
        co_return failure(EROFS);
    }
    Task<Status> flush(Queue& /*queue*/) override { co_return Status(); }

  private:
    int reads_left_;
};

TEST_F(WatchedWorkerTest, ReadThatFailsBehindItsSuccessCostsTheChannelOnly) {
    WearingDevice wearing(3);  // two pieces to know that it can be read, and one of the second time
    const Target target{.name = "disk",
                        .block = wearing,
                        .queue = queues_->at(0),
                        .open_channel = target_.open_channel};
    start_with(target, [](Channel&) {}, [](Channel&) {});
    auto broken = model_.submit({.type = RequestType::kRead, .len = 2 * kRoom});
    auto waits = model_.submit({.type = RequestType::kFlush});
    EXPECT_EQ(broken.get().error, EIO);
    EXPECT_EQ(waits.get().error, 0);
    EXPECT_EQ(model_.opened_so_far(), 2U);
    end();
}

TEST_F(WatchedWorkerTest, NodeThatCannotBeOpenedAnewEndsTheWorker) {
    start_breaking_after(1);
    EXPECT_EQ(run({.type = RequestType::kFlush}).error, 0);
    may_open_ = false;
    EXPECT_EQ(run({.type = RequestType::kFlush}).error, EIO);
    thread_.join();
    EXPECT_EQ(outcome_.error().code, ENOENT);
    EXPECT_EQ(model_.opens(), 0U);
}

TEST_F(WatchedWorkerTest, ChannelThatNeverWorkedIsNotReplacedForEver) {
    start_breaking_after(0);
    EXPECT_EQ(run({.type = RequestType::kFlush}).error, EIO);
    thread_.join();
    EXPECT_EQ(outcome_.error().code, EINVAL);
    EXPECT_EQ(model_.opened_so_far(), 1U);
}

}  // namespace
}  // namespace lunkit::dm_user

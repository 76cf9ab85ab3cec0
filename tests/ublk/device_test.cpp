// SPDX-License-Identifier: Apache-2.0
// Requests as the driver shows them, and what is committed for them. The test is the driver: it has
// the tags' commands, writes descriptors into the memory that the server sees, and the data of
// writes into the tags' buffers.
#include "ublk/device.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "support/fake_engine_queue.hpp"
#include "support/memory_device.hpp"
#include "support/ublk_driver.hpp"

namespace lunkit::ublk {
namespace {

using test::MemoryDevice;
using Kind = MemoryDevice::Kind;

constexpr std::uint16_t kDepth = 4;
constexpr std::uint32_t kMaxIo = 8192;

class UblkDeviceBeginTest : public testing::Test {
  protected:
    void SetUp() override {
        auto memory = std::make_unique<MemoryDevice>(1U << 20U);
        memory_ = memory.get();
        DeviceParts parts;
        parts.name = "ublkb0";
        parts.queue_depth = kDepth;
        parts.max_io_bytes = kMaxIo;
        parts.chars = driver_.open();
        parts.block = std::move(memory);
        parts.ended = [this] { ++ended_; };
        core::EngineQueue* const queue = &queue_;
        device_ = *Device::make(std::move(parts), {&queue, 1});
        begin();
    }
    void TearDown() override {
        driver_.abort_all(queue_);
        EXPECT_EQ(ended_, left_ ? 0 : 1);
        EXPECT_EQ(memory_->violations, 0U);
    }
    /// The driver gives the request to `tag`; what is committed for it.
    std::int32_t request(std::uint16_t tag, std::uint32_t op_flags, std::uint64_t sector,
                         std::uint32_t sectors) {
        driver_.deliver(queue_, tag, {op_flags, sectors, sector, 0});
        queue_.settle();
        return driver_.committed(queue_, tag);
    }
    static std::uint32_t op(abi::Op op, std::uint32_t flags = 0) {
        return static_cast<std::uint32_t>(op) | flags;
    }

    void begin() {
        device_->begin([this](Status status) { begun_ = std::move(status); });
        (void)queue_.inner.run_one();  // the fetches
    }

    test::FakeEngineQueue queue_;
    test::UblkDriver driver_;
    std::optional<Status> begun_;
    MemoryDevice* memory_ = nullptr;
    std::unique_ptr<Device> device_;
    int ended_ = 0;
    bool left_ = false;
};

/// All tags are fetched.
class UblkDeviceTest : public UblkDeviceBeginTest {
  protected:
    void SetUp() override {
        UblkDeviceBeginTest::SetUp();
        queue_.settle();
        ASSERT_TRUE(begun_ && *begun_);
    }
};

TEST_F(UblkDeviceTest, FetchesEveryTagOnceWithABufferOfItsOwn) {
    ASSERT_EQ(queue_.commands.size(), kDepth);
    for (std::uint16_t tag = 0; tag < kDepth; ++tag) {
        EXPECT_EQ(queue_.commands[tag].command.op, abi::kFetchReq);
        EXPECT_EQ(driver_.io(queue_.commands[tag]).tag, tag);
        EXPECT_EQ(driver_.io(queue_.commands[tag]).q_id, 0);
    }
    EXPECT_EQ(driver_.io(queue_.commands[1]).addr - driver_.io(queue_.commands[0]).addr, kMaxIo);
}

TEST_F(UblkDeviceTest, WriteTakesTheTagsBufferAndCommitsItsBytes) {
    std::memset(driver_.buffer(queue_, 2), 0x5a, 4096);
    EXPECT_EQ(request(2, op(abi::Op::kWrite), 8, 8), 4096);
    EXPECT_EQ(memory_->bytes()[4096], std::byte{0x5a});
    EXPECT_EQ(memory_->bytes()[8191], std::byte{0x5a});
    EXPECT_EQ(memory_->bytes()[8192], std::byte{0});
    EXPECT_FALSE(memory_->is_durable());
    EXPECT_EQ(device_->status().write_bytes, 4096U);
}

TEST_F(UblkDeviceTest, ReadFillsTheTagsBuffer) {
    std::ranges::fill(memory_->bytes().subspan(512, 512), std::byte{0x77});
    EXPECT_EQ(request(0, op(abi::Op::kRead), 1, 1), 512);
    EXPECT_EQ(*driver_.buffer(queue_, 0), std::byte{0x77});
    EXPECT_EQ(device_->status().read_commands, 1U);
}

TEST_F(UblkDeviceTest, FuaIsABitOfTheWholeWordAndMakesTheWriteDurable) {
    EXPECT_EQ(request(0, op(abi::Op::kWrite, abi::kIoFua), 0, 1), 512);
    EXPECT_TRUE(memory_->is_durable());
}

TEST_F(UblkDeviceTest, FlushHasNoRangeToCheck) {
    (void)request(0, op(abi::Op::kWrite), 0, 1);
    EXPECT_EQ(request(1, op(abi::Op::kFlush), ~std::uint64_t{0}, 0), 0);
    EXPECT_TRUE(memory_->is_durable());
}

TEST_F(UblkDeviceTest, ZeroesMayUnmapUnlessTheKernelSaysNoUnmap) {
    EXPECT_EQ(request(0, op(abi::Op::kWriteZeroes), 0, 8), 0);
    EXPECT_EQ(request(0, op(abi::Op::kWriteZeroes, abi::kIoNoUnmap), 8, 8), 0);
    ASSERT_EQ(memory_->requests.size(), 2U);
    EXPECT_EQ(memory_->requests[0].flags, static_cast<unsigned>(LUNKIT_IO_MAY_UNMAP));
    EXPECT_EQ(memory_->requests[1].flags, 0U);
}

TEST_F(UblkDeviceTest, DiscardIsLargerThanABuffer) {
    EXPECT_EQ(request(0, op(abi::Op::kDiscard), 0, 1024), 0);
    EXPECT_EQ(memory_->requests.at(0), (MemoryDevice::Request{Kind::kDiscard, 0, 524288, 0}));
}

TEST_F(UblkDeviceTest, ErrorsAreCommittedAsTheirNumber) {
    memory_->fail_next(Kind::kWrite, Error{.code = ENOSPC});
    EXPECT_EQ(request(0, op(abi::Op::kWrite), 0, 1), -ENOSPC);
    memory_->fail_next(Kind::kFlush, Error{.code = EIO});
    EXPECT_EQ(request(0, op(abi::Op::kFlush), 0, 0), -EIO);
    EXPECT_EQ(device_->status().errors, 2U);
    EXPECT_EQ(device_->status().error_counts,
              (std::map<std::string, std::uint64_t>{{"EIO", 1}, {"ENOSPC", 1}}));
    EXPECT_EQ(device_->status().latency[1].count, 1U);
    EXPECT_EQ(request(0, op(abi::Op::kWrite), 0, 1), 512);  // the tag goes on
}

TEST_F(UblkDeviceTest, RequestsCanBeWatched) {
    ASSERT_TRUE(device_->trace()->start());
    EXPECT_EQ(request(2, op(abi::Op::kWrite), 8, 8), 4096);
    EXPECT_EQ(request(1, op(abi::Op::kFlush), ~std::uint64_t{0}, 0), 0);
    std::array<core::TraceRecord, 4> records;
    ASSERT_EQ(device_->trace()->take(records), 2U);
    EXPECT_EQ(records[0].operation, core::BlockOperation::kWrite);
    EXPECT_EQ(records[0].offset, 4096U);
    EXPECT_EQ(records[0].bytes, 4096U);
    EXPECT_EQ(records[0].tag, 2U);
    EXPECT_EQ(records[1].operation, core::BlockOperation::kFlush);
    EXPECT_EQ(records[1].offset, 0U);
}

TEST_F(UblkDeviceTest, UnknownOperationIsAnswered) {
    EXPECT_EQ(request(0, op(abi::Op::kWriteSame), 0, 1), -EOPNOTSUPP);
    EXPECT_EQ(request(0, 200, 0, 1), -EOPNOTSUPP);
}

TEST_F(UblkDeviceTest, MoreThanABufferHoldsIsRefused) {
    EXPECT_EQ(request(0, op(abi::Op::kWrite), 0, kMaxIo / 512 + 1), -EIO);
    EXPECT_TRUE(memory_->requests.empty());
}

TEST_F(UblkDeviceTest, TagsRunAtOnceAndCommitAsTheyEnd) {
    memory_->suspends = true;
    driver_.deliver(queue_, 0, {op(abi::Op::kWrite), 1, 0, 0});
    driver_.deliver(queue_, 1, {op(abi::Op::kRead), 1, 8, 0});
    (void)queue_.inner.run_one();
    (void)queue_.inner.run_one();
    EXPECT_EQ(device_->status().in_flight, 2U);
    queue_.settle();
    EXPECT_EQ(device_->status().in_flight, 0U);
    EXPECT_EQ(driver_.committed(queue_, 0), 512);
    EXPECT_EQ(driver_.committed(queue_, 1), 512);
}

TEST_F(UblkDeviceTest, EndsWhenTheLastTagIsBackAndNotBefore) {
    memory_->suspends = true;
    driver_.deliver(queue_, 3, {op(abi::Op::kWrite), 1, 0, 0});
    (void)queue_.inner.run_one();
    driver_.abort_all(queue_);  // the tag that runs has no command to abort
    EXPECT_EQ(driver_.committed(queue_, 3), 512);
    EXPECT_EQ(ended_, 0);
}

TEST_F(UblkDeviceTest, DeviceThatIsLeftEndsWhatRunsAndBeginsNothing) {
    left_ = true;
    memory_->suspends = true;
    driver_.deliver(queue_, 0, {op(abi::Op::kWrite), 1, 0, 0});
    (void)queue_.inner.run_one();  // it runs
    int rested = 0;
    device_->leave([&rested] { ++rested; });
    (void)queue_.inner.run_one();  // it hears of that
    driver_.deliver(queue_, 1, {op(abi::Op::kWrite), 1, 8, 0});
    EXPECT_EQ(rested, 0);
    queue_.settle();
    EXPECT_EQ(rested, 1);
    EXPECT_EQ(driver_.committed(queue_, 0), 512);
    EXPECT_EQ(memory_->requests.size(), 1U);
    driver_.deliver(queue_, 0, {op(abi::Op::kWrite), 1, 16, 0});  // the next one's
    queue_.settle();
    EXPECT_EQ(memory_->requests.size(), 1U);
    EXPECT_EQ(rested, 1);
}

TEST_F(UblkDeviceTest, IdleDeviceIsLeftAtOnce) {
    left_ = true;
    int rested = 0;
    device_->leave([&rested] { ++rested; });
    queue_.settle();
    EXPECT_EQ(rested, 1);
}

// A refusal was given ten milliseconds to show; a ring that was entered later made START_DEV wait
// for the tag for ever.
TEST_F(UblkDeviceBeginTest, TagThatTheKernelRefusesIsSaidHoweverLateThatIs) {
    EXPECT_FALSE(begun_);
    queue_.answer_command(0, -EINVAL);
    queue_.settle();
    ASSERT_TRUE(begun_);
    EXPECT_FALSE(*begun_);
}

/// Two hardware queues, each on a queue of its own.
class UblkQueuesTest : public testing::Test {
  protected:
    void SetUp() override {
        auto memory = std::make_unique<MemoryDevice>(1U << 20U);
        memory_ = memory.get();
        DeviceParts parts;
        parts.name = "ublkb0";
        parts.queue_depth = kDepth;
        parts.max_io_bytes = kMaxIo;
        parts.chars = driver_.open();
        parts.block = std::move(memory);
        parts.ended = [this] { ++ended_; };
        const std::array<core::EngineQueue*, 2> queues = {queues_.data(), &queues_[1]};
        device_ = *Device::make(std::move(parts), queues);
        device_->begin([this](Status status) { begun_ = std::move(status); });
    }
    void settle() {
        while (queues_[0].turn() || queues_[1].turn()) {
        }
    }
    std::array<test::FakeEngineQueue, 2> queues_;
    test::UblkDriver driver_;
    std::optional<Status> begun_;
    MemoryDevice* memory_ = nullptr;
    std::unique_ptr<Device> device_;
    int ended_ = 0;
};

TEST_F(UblkQueuesTest, EachFetchesItsOwnTagsAndTheDeviceHasBegunWhenBothHave) {
    queues_[0].settle();
    EXPECT_FALSE(begun_);
    settle();
    ASSERT_TRUE(begun_ && *begun_);
    for (std::uint16_t number = 0; number < 2; ++number) {
        ASSERT_EQ(queues_[number].commands.size(), kDepth);
        for (const auto& command : queues_[number].commands) {
            EXPECT_EQ(driver_.io(command).q_id, number);
        }
    }
    driver_.abort_all(queues_[0]);
    driver_.abort_all(queues_[1]);
}

TEST_F(UblkQueuesTest, EachServesItsOwnRequestsAndTheCountersAreOfBoth) {
    settle();
    const auto write = static_cast<std::uint32_t>(abi::Op::kWrite);
    for (std::uint16_t number = 0; number < 2; ++number) {
        std::memset(driver_.buffer(queues_[number], 1), 0x10 + number, 512);
        driver_.deliver(queues_[number], 1, {write, 1, number, 0});
    }
    settle();
    EXPECT_EQ(driver_.committed(queues_[0], 1), 512);
    EXPECT_EQ(driver_.committed(queues_[1], 1), 512);
    EXPECT_EQ(memory_->bytes()[0], std::byte{0x10});
    EXPECT_EQ(memory_->bytes()[512], std::byte{0x11});
    EXPECT_EQ(device_->status().write_commands, 2U);
    EXPECT_EQ(device_->status().write_bytes, 1024U);
    driver_.abort_all(queues_[0]);
    EXPECT_EQ(ended_, 0);
    driver_.abort_all(queues_[1]);
    EXPECT_EQ(ended_, 1);
}

TEST_F(UblkQueuesTest, TagThatOneIsRefusedIsTheDevicesFailure) {
    queues_[0].settle();
    queues_[1].command_refusal = -EINVAL;
    settle();
    ASSERT_TRUE(begun_);
    EXPECT_FALSE(*begun_);
    EXPECT_EQ(ended_, 0);
    driver_.abort_all(queues_[0]);
    EXPECT_EQ(ended_, 1);
}

TEST_F(UblkQueuesTest, DeviceRestsWhenBothDo) {
    settle();
    memory_->suspends = true;
    driver_.deliver(queues_[1], 0, {static_cast<std::uint32_t>(abi::Op::kRead), 1, 0, 0});
    (void)queues_[1].inner.run_one();  // it runs
    int rested = 0;
    device_->leave([&rested] { ++rested; });
    queues_[0].settle();
    EXPECT_EQ(rested, 0);
    settle();
    EXPECT_EQ(rested, 1);
    driver_.abort_all(queues_[0]);
    driver_.abort_all(queues_[1]);
    EXPECT_EQ(ended_, 0);
}

}  // namespace
}  // namespace lunkit::ublk

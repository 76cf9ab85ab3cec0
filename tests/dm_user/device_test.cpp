// SPDX-License-Identifier: Apache-2.0
// A device with its threads, between the model of a target and storage in memory.
#include "dm_user/device.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <chrono>
#include <future>
#include <optional>
#include <vector>

#include "core/queue_set.hpp"
#include "support/dm_user_model.hpp"
#include "support/memory_device.hpp"

namespace lunkit::dm_user {
namespace {

using abi::RequestType;
using test::DmUserModel;
using test::MemoryDevice;
using namespace std::chrono_literals;

constexpr std::uint64_t kSize = 48U << 20U;

std::vector<std::byte> bytes_of(std::size_t size, unsigned seed) {
    std::vector<std::byte> bytes(size);
    for (std::size_t i = 0; i < size; ++i) {
        bytes[i] = static_cast<std::byte>(i * 7 + i / 251 + seed * 31U);
    }
    return bytes;
}

class DmUserDeviceTest : public testing::Test {
  protected:
    Result<std::unique_ptr<Device>> start(std::uint32_t channels) {
        auto memory = std::make_unique<MemoryDevice>(kSize);
        memory->suspends = true;
        return Device::start({.name = "disk",
                              .block = std::move(memory),
                              .start_sectors512 = 0,
                              .channels = channels,
                              .open_channel = [this]() -> Result<std::unique_ptr<Channel>> {
                                  if (opens_left_-- == 0) {
                                      return failure(EACCES, "the node is closed");
                                  }
                                  return model_.open();
                              },
                              .ended = [this](Status why) { why_.set_value(std::move(why)); }},
                             queues_->at(0));
    }
    Status why() { return why_.get_future().get(); }

    DmUserModel model_;
    int opens_left_ = 100;
    std::unique_ptr<core::QueueSet> queues_ =
        *core::QueueSet::start(core::EngineChoice::kThreads, 1, 0us);
    std::promise<Status> why_;
};

TEST_F(DmUserDeviceTest, ChannelsShareTheRequests) {
    const auto device = *start(4);
    EXPECT_EQ(model_.opens(), 4U);
    constexpr std::size_t kRequests = 200;
    std::vector<std::future<DmUserModel::Completed>> writes;
    for (unsigned i = 0; i < kRequests; ++i) {
        writes.push_back(model_.submit(
            {.type = RequestType::kWrite, .sector = i * 8U, .data = bytes_of(4096, i)}));
    }
    for (auto& write : writes) {
        EXPECT_EQ(write.get().error, 0);
    }
    for (unsigned i = 0; i < kRequests; ++i) {
        EXPECT_EQ(model_.run({.type = RequestType::kRead, .sector = i * 8U, .len = 4096}).data,
                  bytes_of(4096, i));
    }
    EXPECT_EQ(device->status().write_bytes, kRequests * 4096);
    EXPECT_EQ(device->status().size, kSize);
    model_.remove();
    EXPECT_EQ(why().error().code, ENOTBLK);
    EXPECT_EQ(device->status().read_commands, kRequests);
    EXPECT_EQ(device->status().in_flight, 0U);
}

TEST_F(DmUserDeviceTest, MessageLargerThanAllItsMemory) {
    const auto device = *start(1);
    const auto data = bytes_of(kSize, 5);
    EXPECT_EQ(model_.run({.type = RequestType::kWrite, .data = data}).error, 0);
    EXPECT_EQ(model_.run({.type = RequestType::kRead, .len = kSize}).data, data);
    model_.remove();
    (void)why();
}

TEST_F(DmUserDeviceTest, StopWakesChannelsThatWaitAndLosesNothing) {
    const auto device = *start(3);
    for (int round = 0; round < 50; ++round) {
        EXPECT_EQ(model_.run({.type = RequestType::kWrite, .flags = abi::kFlagPreflush}).error, 0);
    }
    auto successor = model_.open();  // before the old one goes, as the kernel wants it
    std::vector<std::future<DmUserModel::Completed>> last;
    for (int i = 0; i < 50; ++i) {
        last.push_back(model_.submit({.type = RequestType::kRead, .len = 4096}));
    }
    EXPECT_TRUE(device->stop(10s));
    EXPECT_TRUE(why());
    EXPECT_EQ(model_.opens(), 1U);
    // What was read was answered; the rest waits for the next.
    std::size_t answered = 0;
    for (auto& request : last) {
        if (request.wait_for(0s) == std::future_status::ready) {
            EXPECT_EQ(request.get().error, 0);
            ++answered;
        }
    }
    EXPECT_EQ(answered + model_.waiting(), 50U);
}

TEST_F(DmUserDeviceTest, ChannelThatCannotBeOpenedFailsTheStart) {
    opens_left_ = 2;
    const auto device = start(3);
    ASSERT_FALSE(device);
    EXPECT_EQ(device.error().code, EACCES);
    EXPECT_EQ(model_.opens(), 0U);
}

}  // namespace
}  // namespace lunkit::dm_user

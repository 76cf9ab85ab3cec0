// SPDX-License-Identifier: Apache-2.0
#include "dm_user/message_stream.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <span>

#include "support/dm_user_model.hpp"

namespace lunkit::dm_user {
namespace {

using abi::RequestType;
using test::DmUserModel;

std::vector<std::byte> bytes_of(std::size_t size) {
    std::vector<std::byte> bytes(size);
    for (std::size_t i = 0; i < size; ++i) {
        bytes[i] = static_cast<std::byte>(i * 7 + i / 251);
    }
    return bytes;
}

/// With reads and writes cut to so many bytes.
class MessageStreamTest : public testing::TestWithParam<std::size_t> {
  protected:
    void SetUp() override {
        model_.longest_read = GetParam();
        model_.longest_write = GetParam();
    }
    DmUserModel model_;
    std::unique_ptr<DmUserModel::Opened> channel_ = model_.open();
    MessageStream stream_{*channel_};
};

TEST_P(MessageStreamTest, WholeWriteComesIn) {
    auto write = model_.submit(
        {.type = RequestType::kWrite, .sector = 5, .flags = abi::kFlagFua, .data = bytes_of(1024)});
    const auto request = *stream_.next();
    EXPECT_EQ(request->type, 1U);
    EXPECT_EQ(request->sector, 5U);
    EXPECT_EQ(request->flags, abi::kFlagFua);
    ASSERT_EQ(request->len, 1024U);
    std::vector<std::byte> payload(1024);
    ASSERT_TRUE(stream_.read_payload(std::span(payload).first(600)));
    ASSERT_TRUE(stream_.read_payload(std::span(payload).subspan(600)));
    EXPECT_EQ(payload, bytes_of(1024));
    ASSERT_TRUE(stream_.answer(*request, abi::Answer::kSuccess));
    EXPECT_EQ(write.get().error, 0);
}

TEST_P(MessageStreamTest, WholeReadGoesOut) {
    auto read = model_.submit({.type = RequestType::kRead, .len = 1024});
    const auto request = *stream_.next();
    const std::vector<std::byte> data = bytes_of(1024);
    ASSERT_TRUE(stream_.answer(*request, abi::Answer::kSuccess, std::span(data).first(512)));
    ASSERT_TRUE(stream_.write_payload(std::span(data).subspan(512)));
    ASSERT_TRUE(stream_.write_payload({}));
    EXPECT_EQ(read.get().data, data);
}

TEST_P(MessageStreamTest, SignalBeforeARequestIsTold) {
    channel_->interrupt();
    EXPECT_FALSE(*stream_.next());
    (void)model_.submit({.type = RequestType::kFlush});
    EXPECT_TRUE(*stream_.next());
}

INSTANTIATE_TEST_SUITE_P(Cut, MessageStreamTest, testing::Values(1, 7, 39, 41, 511, 1U << 20U));

TEST(MessageStream, TargetThatHasGoneEndsIt) {
    DmUserModel model;
    const auto channel = model.open();
    MessageStream stream(*channel);
    model.remove();
    EXPECT_EQ(stream.next().error().code, ENOTBLK);
}

/// A node that gives what it is told to.
class ScriptedChannel final : public Channel {
  public:
    Result<std::size_t> read(std::span<std::byte> room) override {
        if (interrupts_ > 0 && began_) {
            --interrupts_;
            return failure(EINTR);
        }
        began_ = true;
        const std::size_t length = std::min(room.size(), bytes_);
        bytes_ -= length;
        return length;
    }
    Result<std::size_t> write(std::span<const std::byte> header,
                              std::span<const std::byte> payload) override {
        if (interrupts_ > 0) {
            --interrupts_;
            return failure(EINTR);
        }
        if (stuck_) {
            return 0;
        }
        written_ += header.size() + payload.size();
        return header.size() + payload.size();
    }
    std::size_t bytes_ = 0;
    int interrupts_ = 0;
    bool began_ = false;
    bool stuck_ = false;
    std::size_t written_ = 0;
};

TEST(MessageStream, EndInTheMiddleOfAHeaderIsAnError) {
    ScriptedChannel channel;
    MessageStream stream(channel);
    EXPECT_EQ(stream.next().error().code, EIO);
    channel.bytes_ = 12;
    EXPECT_EQ(stream.next().error().code, EIO);
}

TEST(MessageStream, SignalsWhileItTransfersAreRepeated) {
    ScriptedChannel channel;
    MessageStream stream(channel);
    channel.bytes_ = 39;
    channel.interrupts_ = 2;
    EXPECT_EQ(stream.next().error().code, EIO);  // past the signals
    EXPECT_EQ(channel.interrupts_, 0);
    channel.interrupts_ = 1;
    EXPECT_TRUE(stream.answer({}, abi::Answer::kSuccess));
    EXPECT_EQ(channel.written_, 40U);
}

TEST(MessageStream, NodeThatTakesNothingIsAnError) {
    ScriptedChannel channel;
    channel.stuck_ = true;
    MessageStream stream(channel);
    EXPECT_EQ(stream.answer({}, abi::Answer::kSuccess).error().code, EIO);
}

}  // namespace
}  // namespace lunkit::dm_user

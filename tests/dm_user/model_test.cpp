// SPDX-License-Identifier: Apache-2.0
// The model against the rules that were measured with the kernel's driver.
#include "support/dm_user_model.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <thread>

#include "support/engine_rig.hpp"

namespace lunkit::test {
namespace {

using dm_user::abi::Answer;
using dm_user::abi::Message;
using dm_user::abi::RequestType;
using namespace std::chrono_literals;

std::vector<std::byte> bytes_of(std::size_t size, unsigned seed = 1) {
    const std::string text = pattern(size, seed);
    const auto bytes = std::as_bytes(std::span(text));
    return {bytes.begin(), bytes.end()};
}

class DmUserModelTest : public testing::Test {
  protected:
    Message read_header(DmUserModel::Opened& opened) {
        Message message{};
        const auto got = opened.read(std::as_writable_bytes(std::span(&message, 1)));
        EXPECT_EQ(got.value_or(0), sizeof message);
        return message;
    }
    static Result<std::size_t> answer(DmUserModel::Opened& opened, std::uint64_t seq, Answer type,
                                      std::span<const std::byte> payload = {}) {
        const Message header{.seq = seq,
                             .type = static_cast<std::uint64_t>(type),
                             .flags = 9,
                             .sector = 9,
                             .len = 9};
        return opened.write(std::as_bytes(std::span(&header, 1)), payload);
    }
    static bool is_open(const std::future<DmUserModel::Completed>& future) {
        return future.wait_for(0s) != std::future_status::ready;
    }

    DmUserModel model_;
    std::unique_ptr<DmUserModel::Opened> first_ = model_.open();
};

TEST_F(DmUserModelTest, ReadStopsBetweenHeaderAndPayload) {
    (void)model_.submit({.type = RequestType::kWrite, .data = bytes_of(512)});
    std::vector<std::byte> room(8U << 20U);
    EXPECT_EQ(*first_->read(room), 40U);
    EXPECT_EQ(*first_->read(std::span(room).first(7)), 7U);
    EXPECT_EQ(*first_->read(room), 505U);
}

TEST_F(DmUserModelTest, WriteStopsBehindTheAnswer) {
    auto read = model_.submit({.type = RequestType::kRead, .len = 512});
    auto flush = model_.submit({.type = RequestType::kWrite});
    const Message request = read_header(*first_);
    (void)read_header(*first_);
    EXPECT_EQ(*answer(*first_, request.seq, Answer::kSuccess, bytes_of(600)), 552U);
    EXPECT_EQ(read.get().data, bytes_of(512));
    EXPECT_TRUE(is_open(flush));
    EXPECT_EQ(*answer(*first_, request.seq + 1, Answer::kSuccess, bytes_of(40)), 40U);
    EXPECT_EQ(flush.get().error, 0);
}

TEST_F(DmUserModelTest, AnswersComeInAnyOrderAndInPieces) {
    auto one = model_.submit({.type = RequestType::kRead, .len = 512});
    auto two = model_.submit({.type = RequestType::kDiscard, .len = 512});
    (void)read_header(*first_);
    (void)read_header(*first_);
    EXPECT_EQ(*answer(*first_, 1, Answer::kUnsupported), 40U);
    EXPECT_EQ(two.get().error, EIO);
    model_.longest_write = 8;
    const Message header{.seq = 0, .type = 0, .flags = 0, .sector = 0, .len = 0};
    const auto bytes = std::as_bytes(std::span(&header, 1));
    for (std::size_t at = 0; at < 40; at += 8) {
        EXPECT_EQ(*first_->write(bytes.subspan(at), {}), 8U);
    }
    model_.longest_write = 300;
    const std::vector<std::byte> data = bytes_of(512);
    EXPECT_EQ(*first_->write({}, data), 300U);
    EXPECT_EQ(*first_->write({}, std::span(data).subspan(300)), 212U);
    EXPECT_EQ(one.get().data, data);
}

TEST_F(DmUserModelTest, AnswerBeforeThePayloadWasReadPoisons) {
    auto write = model_.submit({.type = RequestType::kWrite, .data = bytes_of(512)});
    (void)read_header(*first_);
    EXPECT_EQ(*answer(*first_, 0, Answer::kSuccess), 40U);
    EXPECT_EQ(answer(*first_, 0, Answer::kSuccess).error().code, EINVAL);
    std::vector<std::byte> room(512);
    EXPECT_EQ(*first_->read(room), 512U);
    EXPECT_EQ(answer(*first_, 0, Answer::kSuccess).error().code, EINVAL);
    EXPECT_TRUE(is_open(write));
    first_.reset();
    EXPECT_EQ(write.get().error, EIO);
}

TEST_F(DmUserModelTest, WriteOfNothingPoisons) {
    EXPECT_EQ(*first_->write({}, {}), 0U);
    EXPECT_EQ(answer(*first_, 0, Answer::kSuccess).error().code, EINVAL);
}

TEST_F(DmUserModelTest, PayloadBehindAnErrorIsTheNextHeader) {
    auto read = model_.submit({.type = RequestType::kRead, .len = 512});
    (void)read_header(*first_);
    EXPECT_EQ(*answer(*first_, 0, Answer::kError, bytes_of(512)), 40U);
    EXPECT_EQ(read.get().error, EIO);
    EXPECT_EQ(*first_->write({}, bytes_of(512)), 40U);
    EXPECT_EQ(first_->write({}, bytes_of(512)).error().code, EINVAL);
}

TEST_F(DmUserModelTest, MessageBelongsToTheOpenThatReadOfIt) {
    const auto second = model_.open();
    auto one = model_.submit({.type = RequestType::kRead, .len = 512});
    auto two = model_.submit({.type = RequestType::kRead, .len = 512});
    EXPECT_EQ(*first_->read({}), 0U);
    EXPECT_EQ(read_header(*second).seq, 1U);
    EXPECT_EQ(read_header(*first_).seq, 0U);
    first_.reset();
    EXPECT_EQ(one.get().error, EIO);
    EXPECT_TRUE(is_open(two));
    EXPECT_EQ(*answer(*second, 1, Answer::kSuccess, bytes_of(512)), 552U);
    EXPECT_EQ(two.get().error, 0);
}

TEST_F(DmUserModelTest, LastCloseFailsWhatWaitsOnKernelsOfToday) {
    auto waits = model_.submit({.type = RequestType::kRead, .len = 512});
    first_.reset();
    EXPECT_EQ(waits.get().error, EIO);
    EXPECT_EQ(model_.run({.type = RequestType::kRead, .len = 512}).error, EIO);
    model_.fails_without_server = false;
    auto later = model_.submit({.type = RequestType::kRead, .len = 512});
    first_ = model_.open();
    EXPECT_EQ(read_header(*first_).seq, 1U);
    EXPECT_TRUE(is_open(later));
}

TEST_F(DmUserModelTest, ReadWaitsForAMessageAnInterruptAndTheEnd) {
    std::thread user([this] {
        std::this_thread::sleep_for(1ms);
        (void)model_.submit({.type = RequestType::kFlush});
    });
    EXPECT_EQ(read_header(*first_).type, 2U);
    user.join();
    std::array<std::byte, 40> room{};
    first_->interrupt();
    EXPECT_EQ(first_->read(room).error().code, EINTR);
    EXPECT_EQ(*answer(*first_, 0, Answer::kSuccess), 40U);
    model_.remove();
    EXPECT_EQ(first_->read(room).error().code, ENOTBLK);
    EXPECT_EQ(first_->read(room).error().code, ENOTBLK);
}

}  // namespace
}  // namespace lunkit::test

// SPDX-License-Identifier: Apache-2.0
#include "tcmu/device_event.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <utility>

#include "support/fake_event_channel.hpp"

namespace lunkit::tcmu {
namespace {

using Kind = DeviceEvent::Kind;
using test::Answer;
using test::FakeEventChannel;
using test::FakeKernelEvents;

class PendingReplyTest : public testing::Test {
  protected:
    PendingReplyTest() { kernel.leave_waiting(5, Kind::kAdded); }
    FakeKernelEvents kernel;
    FakeEventChannel channel{kernel};
};

TEST_F(PendingReplyTest, IsGivenOnce) {
    PendingReply reply(channel, Kind::kAdded, 5);
    EXPECT_TRUE(reply.answer(0));
    kernel.leave_waiting(5, Kind::kRemoved);
    EXPECT_FALSE(reply.answer(-EINVAL));
    EXPECT_EQ(kernel.answers(), 1U);
    EXPECT_EQ(kernel.next_answer(), (Answer{Kind::kAdded, 5, 0}));
}

TEST_F(PendingReplyTest, DroppedGivesAnError) {
    {
        const PendingReply reply(channel, Kind::kAdded, 5);
    }
    EXPECT_EQ(kernel.next_answer(), (Answer{Kind::kAdded, 5, -EIO}));
}

TEST_F(PendingReplyTest, MovedIsGivenByItsLastOwner) {
    PendingReply reply(channel, Kind::kAdded, 5);
    {
        PendingReply taken = std::move(reply);
        EXPECT_TRUE(taken.answer(-ENOSPC));
    }
    EXPECT_FALSE(reply.answer(0));  // NOLINT(bugprone-use-after-move): that is the point
    EXPECT_EQ(kernel.answers(), 1U);
}

TEST_F(PendingReplyTest, ReplacedIsAnsweredFirst) {
    PendingReply reply(channel, Kind::kAdded, 5);
    reply = PendingReply();
    EXPECT_EQ(kernel.next_answer(), (Answer{Kind::kAdded, 5, -EIO}));
}

TEST_F(PendingReplyTest, PositiveNumbersAreNotSent) {
    PendingReply reply(channel, Kind::kAdded, 5);
    (void)reply.answer(7);
    EXPECT_EQ(kernel.next_answer()->result, -EIO);
}

TEST_F(PendingReplyTest, ForgottenSaysNothing) {
    {
        PendingReply reply(channel, Kind::kAdded, 5);
        reply.forget();
    }
    EXPECT_EQ(kernel.answers(), 0U);
    EXPECT_EQ(kernel.stray(), 0U);
}

TEST_F(PendingReplyTest, TellsWhetherTheKernelWaited) {
    PendingReply reply(channel, Kind::kAdded, 99);
    EXPECT_FALSE(reply.answer(0));
}

}  // namespace
}  // namespace lunkit::tcmu

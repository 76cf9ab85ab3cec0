// SPDX-License-Identifier: Apache-2.0
#include "scsi/medium.hpp"

#include "logical_unit_fixture.hpp"

namespace lunkit::scsi::test {
namespace {

/// Requests that note when they have ended, beside a holder of blocks 8 to 15.
class MediumTest : public ::testing::Test {
  protected:
    using Request = Task<Status> (BlockDevice::*)(Queue&, const IoRequest&);

    static Detached start(Task<void> task) {
        Task<void> running = std::move(task);
        co_await running;
    }
    Task<void> hold(char letter) {
        Medium::Hold hold(medium_, {8 * kBlock, 8 * kBlock});
        co_await hold.acquire(queue_);
        log_ += letter;
        (void)co_await queue_.sleep(std::chrono::seconds(1));
        log_ += '.';
    }
    Task<void> run(char letter, Request request, std::uint64_t block) {
        Bytes bytes(2 * kBlock);
        SingleData data(bytes.data(), bytes.size());
        IoRequest io(block * kBlock, data);
        io.length = kBlock;
        EXPECT_TRUE(co_await (static_cast<BlockDevice&>(medium_).*request)(queue_, io));
        log_ += letter;
    }
    std::string finish() {
        while (queue_.step()) {
        }
        return log_;
    }

    FakeQueue queue_;
    MemoryDevice device_{32 * kBlock};
    RodTokens tokens_;
    Medium medium_{device_, tokens_};
    std::string log_;
};

TEST_F(MediumTest, WhatChangesHeldBlocksWaits) {
    start(hold('h'));
    start(run('w', &BlockDevice::write, 15));
    start(run('d', &BlockDevice::discard, 8));
    start(run('z', &BlockDevice::write_zeroes, 9));
    start(run('c', &BlockDevice::compare_and_write, 10));
    EXPECT_EQ(log_, "h");
    EXPECT_EQ(finish(), "h.wdzc");
}

TEST_F(MediumTest, ReadsAndOtherBlocksDoNot) {
    start(hold('h'));
    start(run('r', &BlockDevice::read, 8));
    start(run('a', &BlockDevice::write, 7));
    start(run('b', &BlockDevice::write, 16));
    EXPECT_EQ(log_, "hrab");
    EXPECT_EQ(finish(), "hrab.");
}

TEST_F(MediumTest, AHolderWaitsForWhatRuns) {
    device_.suspends = true;
    start(run('w', &BlockDevice::write, 8));
    start(hold('h'));
    EXPECT_EQ(log_, "");
    EXPECT_EQ(finish(), "wh.");
}

TEST_F(MediumTest, HoldersOfTheSameBlocksTakeTurns) {
    start(hold('h'));
    start(hold('i'));
    EXPECT_EQ(finish(), "h.i.");
}

}  // namespace
}  // namespace lunkit::scsi::test

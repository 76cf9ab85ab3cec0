// SPDX-License-Identifier: Apache-2.0
#include <sys/uio.h>

#include <cerrno>

#include "core/log.hpp"
#include "file_rig.hpp"

namespace lunkit::test {

namespace {
std::string last_line;  // NOLINT: what the sink has no other way to
void keep_line(core::LogLevel /*level*/, const core::LogSubject& /*subject*/,
               std::string_view message) {
    last_line = message;
}
}  // namespace

class FileFlush : public FileRig {
  protected:
    void SetUp() override {
        FileRig::SetUp();
        core::set_log_sink(keep_line);
        last_line.clear();
    }
    void TearDown() override { core::set_log_sink(nullptr); }
};
LUNKIT_ON_EACH_ENGINE(FileFlush);

TEST_P(FileFlush, TheFirstIsNeverSkipped) {
    // A predecessor may have written what is still in the page cache.
    open(std::string(4096, 'x'));
    EXPECT_EQ(0, flush().result);
    EXPECT_EQ(1, calls_.sync_count);
}

TEST_P(FileFlush, IsSkippedWhenNothingWasWrittenSince) {
    open(std::string(4096, 'x'));
    EXPECT_EQ(0, flush().result);
    EXPECT_EQ(0, flush().result);
    EXPECT_EQ(1, calls_.sync_count);
    write(0, "abcd");
    EXPECT_EQ(0, flush().result);
    EXPECT_EQ(2, calls_.sync_count);
}

TEST_P(FileFlush, IsNotSkippedAfterDiscardOrZero) {
    open(std::string(1 << 16, 'x'));
    flush();
    discard(0, 4096);
    flush();
    zero(4096, 4096);
    flush();
    EXPECT_EQ(3, calls_.sync_count);
}

TEST_P(FileFlush, IsSkippedAfterAFuaWrite) {
    open(std::string(4096, 'x'));
    flush();
    EXPECT_EQ(4, write(0, "abcd", LUNKIT_IO_FUA).result);
    flush();
    EXPECT_EQ(1, calls_.sync_count);
}

TEST_P(FileFlush, ThoseThatComeMeanwhileShareTheNext) {
    open(std::string(4096, 'x'));
    const auto one = [&] {
        return start(
            [&](lunkit_completion* completion) { return file_->flush(queue(), completion); });
    };
    const auto write_one = [&](const SingleData& data) {
        return start([&](lunkit_completion* completion) {
            return file_->write(queue(), 0, data, 0, data.length, 0, completion);
        });
    };
    std::string bytes = "abcd";
    const SingleData data(bytes.data(), bytes.size());
    calls_.now = {4};  // the write is there before the second flush comes
    std::vector<Task<Outcome>> tasks;
    tasks.push_back(one());
    tasks.push_back(write_one(data));
    for (int i = 0; i < 5; ++i) {
        tasks.push_back(one());
    }
    for (const Outcome& outcome : run_together(queue(), std::move(tasks))) {
        EXPECT_TRUE(outcome.ok());
    }
    EXPECT_EQ(2, calls_.sync_count);
}

TEST_P(FileFlush, ThoseThatWaitAndAreCoveredNeedNoSecond) {
    open(std::string(4096, 'x'));
    std::vector<Task<Outcome>> tasks;
    for (int i = 0; i < 5; ++i) {
        tasks.push_back(start(
            [&](lunkit_completion* completion) { return file_->flush(queue(), completion); }));
    }
    run_together(queue(), std::move(tasks));
    EXPECT_EQ(1, calls_.sync_count);
}

TEST_P(FileFlush, TheFirstFailureIsLatched) {
    open(std::string(4096, 'x'));
    calls_.syncs = {-ENOSPC};
    const Outcome failed = flush();
    EXPECT_EQ(-EIO, failed.result);
    EXPECT_EQ(LUNKIT_ERROR_MEDIUM, failed.error_class);
    EXPECT_NE(std::string::npos, last_line.find(path_ + ": fdatasync failed")) << last_line;
    EXPECT_EQ(-EIO, flush().result);
    EXPECT_EQ(1, calls_.sync_count);
    EXPECT_EQ(-EIO, write(0, "abcd", LUNKIT_IO_FUA).result);
    EXPECT_EQ(4, write(0, "abcd").result);
}

TEST_P(FileFlush, ThoseThatWaitFailWithIt) {
    open(std::string(4096, 'x'));
    calls_.syncs = {-EIO};
    std::vector<Task<Outcome>> tasks;
    for (int i = 0; i < 3; ++i) {
        tasks.push_back(start(
            [&](lunkit_completion* completion) { return file_->flush(queue(), completion); }));
    }
    for (const Outcome& outcome : run_together(queue(), std::move(tasks))) {
        EXPECT_EQ(-EIO, outcome.result);
    }
    EXPECT_EQ(1, calls_.sync_count);
}

TEST_P(FileFlush, EintrIsNoFailure) {
    open(std::string(4096, 'x'));
    calls_.syncs = {-EINTR, -EAGAIN};
    EXPECT_EQ(0, flush().result);
    EXPECT_EQ(3, calls_.sync_count);
}

// The write may have failed by reading the rest of its page.
TEST_P(FileFlush, AFuaWriteThatFailsIsWrittenAndFlushedPlainly) {
    open(std::string(4096, 'x'));
    for (const int error : {-EIO, -ENOSPC}) {
        calls_.transfers = {error};
        calls_.transfer_flags.clear();
        calls_.sync_count = 0;
        EXPECT_EQ(4, write(0, "abcd", LUNKIT_IO_FUA).result);
        EXPECT_EQ((std::vector<int>{RWF_DSYNC, 0}), calls_.transfer_flags);
        EXPECT_EQ(1, calls_.sync_count);
    }
    EXPECT_EQ("abcd", read_file(path_).substr(0, 4));
    EXPECT_EQ("", last_line);
    EXPECT_EQ(0, flush().result);
}

TEST_P(FileFlush, ALaterPartOfAFuaWriteThatFailsIsFlushedWithTheFirst) {
    open(std::string(8192, 'x'));
    calls_.longest_transfer = 4096;
    calls_.transfers = {-EINTR, -EIO};
    const std::string bytes = pattern(8192);
    EXPECT_EQ(8192, write(0, bytes, LUNKIT_IO_FUA).result);
    EXPECT_TRUE(bytes == read_file(path_));
    EXPECT_EQ(1, calls_.sync_count);
}

TEST_P(FileFlush, AFuaWriteThatCannotBeWrittenDoesNotLatch) {
    open(std::string(4096, 'x'));
    for (const int error : {-EIO, -ENOSPC}) {
        calls_.transfers = {error, error};
        EXPECT_EQ(error, write(0, "abcd", LUNKIT_IO_FUA).result);
        EXPECT_EQ(0, flush().result);
    }
}

TEST_P(FileFlush, AFuaWriteThatCannotBeSyncedLatches) {
    open(std::string(4096, 'x'));
    calls_.transfers = {-ENOSPC};
    calls_.syncs = {-ENOSPC};
    const Outcome outcome = write(0, "abcd", LUNKIT_IO_FUA);
    EXPECT_EQ(-EIO, outcome.result);
    EXPECT_EQ(LUNKIT_ERROR_MEDIUM, outcome.error_class);
    EXPECT_EQ(-EIO, flush().result);
    EXPECT_EQ(-EIO, write(0, "abcd", LUNKIT_IO_FUA).result);
    EXPECT_EQ(1, calls_.sync_count);
}

// The kernel tells an open file once of data that was lost: RWF_DSYNC must not hear it instead.
TEST_P(FileFlush, HearsOfLostDataByItsOwnOpenFile) {
    open(std::string(4096, 'x'));
    flush();
    EXPECT_GE(calls_.sync_fd, 0);
    EXPECT_NE(file_->info()->fd, calls_.sync_fd);
}

}  // namespace lunkit::test

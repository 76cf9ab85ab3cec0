// SPDX-License-Identifier: Apache-2.0
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

#include "file_rig.hpp"

namespace lunkit::test {

class FileTransfer : public FileRig {};
LUNKIT_ON_EACH_ENGINE(FileTransfer);

TEST_P(FileTransfer, WritesAndReadsBack) {
    open(pattern(8192));
    const std::string bytes = pattern(4096, 2);
    EXPECT_EQ(4096, write(1024, bytes).result);
    EXPECT_EQ(bytes, read_back(1024, 4096));
    EXPECT_EQ(pattern(8192).substr(0, 1024) + bytes + pattern(8192).substr(5120), read_file(path_));
}

TEST_P(FileTransfer, MovesAPartOfTheData) {
    open(std::string(4096, 'a'));
    std::string first = "0123456789";
    std::string second = "abcdefghij";
    const std::array<iovec, 2> iov{iovec{first.data(), 10}, iovec{second.data(), 10}};
    const Data data(iov, 20);
    const Outcome outcome = run(start([&](lunkit_completion* completion) {
        return file_->write(queue(), 100, data, 5, 10, 0, completion);
    }));
    EXPECT_EQ(10, outcome.result);
    EXPECT_EQ("a56789abcdea", read_file(path_).substr(99, 12));
}

TEST_P(FileTransfer, MoreIovecsThanOneCallTakes) {
    open(std::string(1 << 16, 'x'));
    std::string bytes = pattern(1 << 14);
    std::vector<iovec> iov;
    for (std::size_t i = 0; i < bytes.size(); i += 8) {
        iov.push_back({bytes.data() + i, 8});
    }
    const Data data(iov, bytes.size());
    const Outcome outcome = run(start([&](lunkit_completion* completion) {
        return file_->write(queue(), 4096, data, 4, bytes.size() - 8, 0, completion);
    }));
    EXPECT_EQ(static_cast<std::int64_t>(bytes.size()) - 8, outcome.result);
    EXPECT_EQ(bytes.substr(4, bytes.size() - 8), read_file(path_).substr(4096, bytes.size() - 8));
}

TEST_P(FileTransfer, ReadingPastTheEndFailsWhereTheFileEnds) {
    open(pattern(8192));
    ASSERT_EQ(0, ::truncate(path_.c_str(), 5000));
    std::string into(4096, '?');
    const Outcome outcome = read(4096, into);
    EXPECT_EQ(-EIO, outcome.result);
    EXPECT_EQ(904U, outcome.error_offset);
    EXPECT_EQ(LUNKIT_ERROR_MEDIUM, outcome.error_class);
}

TEST_P(FileTransfer, GoesOnAfterAShortTransfer) {
    open(std::string(8192, 'x'));
    calls_.now = {-EAGAIN};
    calls_.longest_transfer = 1000;
    EXPECT_EQ(4096, write(0, pattern(4096)).result);
    EXPECT_EQ(5, calls_.transfer_count);
    EXPECT_EQ(pattern(4096), read_file(path_).substr(0, 4096));
}

TEST_P(FileTransfer, TriesAgainAfterEintrAndEagain) {
    open(std::string(4096, 'x'));
    calls_.now = {-EAGAIN};
    calls_.transfers = {-EINTR, -EAGAIN};
    EXPECT_EQ(4096, write(0, pattern(4096)).result);
    EXPECT_EQ(3, calls_.transfer_count);
    EXPECT_EQ(pattern(4096), read_file(path_));
}

TEST_P(FileTransfer, AnErrorSaysHowFarItCame) {
    open(pattern(8192));
    calls_.now = {4096};
    calls_.transfers = {-EIO};
    std::string into(8192, '?');
    const Outcome outcome = read(0, into);
    EXPECT_EQ(-EIO, outcome.result);
    EXPECT_EQ(4096U, outcome.error_offset);
}

TEST_P(FileTransfer, ReadsFromThePageCacheWithoutTheEngine) {
    open(pattern(4096));
    read_file(path_);
    EXPECT_EQ(pattern(4096), read_back(0, 4096));
    EXPECT_EQ(0, calls_.transfer_count);
}

TEST_P(FileTransfer, RemembersThatNowaitIsMissing) {
    open(pattern(4096));
    calls_.now = {-EOPNOTSUPP, 4096, 4096};
    EXPECT_EQ(pattern(4096), read_back(0, 4096));
    EXPECT_EQ(pattern(4096), read_back(0, 4096));
    EXPECT_EQ(2, calls_.transfer_count);
}

TEST_P(FileTransfer, FuaIsADsyncWriteOfTheEngine) {
    open(std::string(4096, 'x'));
    calls_.now = {4096};
    EXPECT_EQ(4096, write(0, pattern(4096), LUNKIT_IO_FUA).result);
    EXPECT_EQ(std::vector<int>{RWF_DSYNC}, calls_.transfer_flags);
    EXPECT_EQ(pattern(4096), read_file(path_));
}

TEST_P(FileTransfer, DataTooShortForTheRequestIsRefused) {
    open(std::string(4096, 'x'));
    std::string bytes(512, 'y');
    const SingleData data(bytes.data(), bytes.size());
    const Outcome outcome = run(start([&](lunkit_completion* completion) {
        return file_->write(queue(), 0, data, 256, 512, 0, completion);
    }));
    EXPECT_EQ(-EINVAL, outcome.result);
    EXPECT_EQ(std::string(4096, 'x'), read_file(path_));
}

TEST_P(FileTransfer, WritingAReadOnlyFileIsErofs) {
    open(std::string(4096, 'x'), LUNKIT_FILE_READ_ONLY);
    EXPECT_EQ(-EROFS, write(0, "yyyy").result);
    EXPECT_EQ(-EROFS, discard(0, 4096).result);
    EXPECT_EQ(-EROFS, zero(0, 4096).result);
}

TEST_P(FileTransfer, InMemoryEverythingIsInline) {
    const std::string path = "/dev/shm/lunkit-test-" + std::to_string(::getpid());
    write_file(path, std::string(1 << 16, 'x'));
    auto opened = host::LocalFile::open({path, "", 0, 0}, {}, calls_);
    (void)::unlink(path.c_str());
    ASSERT_TRUE(opened) << opened.error().what;
    file_ = std::move(*opened);
    std::string bytes = pattern(8192);
    const SingleData data(bytes.data(), bytes.size());
    lunkit_completion completion{};  // without `done`: nothing may complete later
    EXPECT_EQ(LUNKIT_DONE, file_->write(queue(), 512, data, 0, 8192, LUNKIT_IO_FUA, &completion));
    bytes.assign(8192, '?');
    EXPECT_EQ(LUNKIT_DONE, file_->read(queue(), 512, data, 0, 8192, &completion));
    EXPECT_EQ(pattern(8192), bytes);
    EXPECT_EQ(LUNKIT_DONE, file_->flush(queue(), &completion));
}

TEST_P(FileTransfer, ResizeGrowsAndCuts) {
    open(pattern(4096));
    ASSERT_TRUE(file_->resize(8192));
    EXPECT_EQ(8192U, file_->info()->size);
    ASSERT_TRUE(file_->resize(512));
    EXPECT_EQ(pattern(4096).substr(0, 512), read_file(path_));
}

}  // namespace lunkit::test

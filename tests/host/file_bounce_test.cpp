// SPDX-License-Identifier: Apache-2.0
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "file_rig.hpp"
#include "host/file_open.hpp"

namespace lunkit::test {

/// Direct I/O that needs whole blocks of 4096 bytes, whatever the disk below really needs.
class FileBounce : public FileRig {
  protected:
    static constexpr std::uint32_t kBlock = 4096;

    void open_direct(std::string_view bytes, std::uint32_t flags = 0) {
        write_file(path_, bytes);
        auto opened =
            host::open_file({path_, "", flags | LUNKIT_FILE_DIRECT, 0}, host::FilePolicy());
        if (!opened) {
            GTEST_SKIP() << opened.error().what;
        }
        opened->offset_alignment = kBlock;
        opened->memory_alignment = kBlock;
        file_ = std::make_unique<host::LocalFile>(std::move(*opened), calls_,
                                                  host::DeviceLabel{"disk"});
    }
    Task<Outcome> write_task(std::uint64_t offset, const SingleData& data) {
        return start([this, offset, &data](lunkit_completion* completion) {
            return file_->write(queue(), offset, data, 0, data.length, 0, completion);
        });
    }
};
LUNKIT_ON_EACH_ENGINE(FileBounce);

TEST_P(FileBounce, PartialBlocksKeepTheirNeighbours) {
    open_direct(pattern(65536));
    const std::string bytes = pattern(9000, 2);
    EXPECT_EQ(9000, write(3584, bytes).result);
    std::string expected = pattern(65536);
    expected.replace(3584, 9000, bytes);
    EXPECT_TRUE(expected == read_file(path_));
    EXPECT_TRUE(bytes == read_back(3584, 9000));
}

TEST_P(FileBounce, ADirectFuaWriteThatFailsIsJudgedAsABufferedOne) {
    open_direct(pattern(8192));
    void* const memory = std::aligned_alloc(kBlock, kBlock);
    const SingleData data(memory, kBlock);
    const auto write_aligned = [&] {
        return run(start([&](lunkit_completion* completion) {
            return file_->write(queue(), 0, data, 0, kBlock, LUNKIT_IO_FUA, completion);
        }));
    };
    std::memset(memory, 'D', kBlock);
    calls_.transfers = {-EIO};
    EXPECT_EQ(kBlock, write_aligned().result);
    EXPECT_EQ(1, calls_.sync_count);
    calls_.transfers = {-EIO};
    calls_.syncs = {-EIO};
    EXPECT_EQ(-EIO, write_aligned().result);
    EXPECT_EQ(-EIO, flush().result);
    std::free(memory);  // NOLINT(cppcoreguidelines-no-malloc): of aligned_alloc
}

TEST_P(FileBounce, ABouncedFuaWriteThatFailsIsJudgedAsABufferedOne) {
    open_direct(pattern(8192));
    const std::string bytes(kBlock, 'B');
    calls_.transfers = {-EIO};
    EXPECT_EQ(kBlock, write(0, bytes, LUNKIT_IO_FUA).result);
    EXPECT_EQ(1, calls_.sync_count);
    EXPECT_EQ(bytes, read_file(path_).substr(0, kBlock));
    calls_.transfers = {-EIO};
    calls_.syncs = {-EIO};
    EXPECT_EQ(-EIO, write(0, bytes, LUNKIT_IO_FUA).result);
    EXPECT_EQ(-EIO, flush().result);
}

// The engine lets more of them run at once.
TEST_P(FileBounce, TheEngineIsToldThatTransfersAreDirect) {
    open_direct(pattern(8192));
    EXPECT_EQ(512, write(4608, std::string(512, 'S')).result);
    EXPECT_TRUE(calls_.was_direct);
}

TEST_P(FileBounce, OneSectorOfABlock) {
    open_direct(pattern(8192));
    EXPECT_EQ(512, write(4608, std::string(512, 'S')).result);
    std::string expected = pattern(8192);
    expected.replace(4608, 512, 512, 'S');
    EXPECT_TRUE(expected == read_file(path_));
}

TEST_P(FileBounce, LongerThanTheBuffer) {
    constexpr std::size_t kLong = 700000;
    open_direct(pattern(1 << 20));
    const std::string bytes = pattern(kLong, 3);
    EXPECT_EQ(static_cast<std::int64_t>(kLong), write(512, bytes).result);
    EXPECT_TRUE(bytes == read_back(512, kLong));
    EXPECT_TRUE(pattern(1 << 20).substr(512 + kLong) == read_file(path_).substr(512 + kLong));
}

TEST_P(FileBounce, WritesIntoOneBlockDoNotUndoEachOther) {
    open_direct(std::string(8192, 'x'));
    std::vector<std::string> bytes;
    std::vector<std::unique_ptr<SingleData>> data;
    std::vector<Task<Outcome>> tasks;
    for (char name = 'a'; name < 'a' + 16; ++name) {
        bytes.emplace_back(512, name);
    }
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        data.push_back(std::make_unique<SingleData>(bytes[i].data(), 512));
        tasks.push_back(write_task(i * 512, *data.back()));
    }
    for (const Outcome& outcome : run_together(queue(), std::move(tasks))) {
        EXPECT_EQ(512, outcome.result);
    }
    std::string expected;
    for (const std::string& one : bytes) {
        expected += one;
    }
    EXPECT_TRUE(expected == read_file(path_));
}

TEST_P(FileBounce, AnAlignedWriteWaitsForTheModifiedBlock) {
    open_direct(std::string(8192, 'x'));
    std::string small(512, 's');
    const std::unique_ptr<void, decltype(&std::free)> block(std::aligned_alloc(kBlock, kBlock),
                                                            &std::free);
    std::fill_n(static_cast<char*>(block.get()), kBlock, 'B');
    const SingleData small_data(small.data(), small.size());
    const SingleData block_data(block.get(), kBlock);
    std::vector<Task<Outcome>> tasks;
    tasks.push_back(write_task(512, small_data));  // reads the old block first
    tasks.push_back(write_task(0, block_data));
    run_together(queue(), std::move(tasks));
    const std::string now = read_file(path_).substr(0, kBlock);
    EXPECT_EQ(std::string::npos, now.find('x'));  // nothing old came back
}

TEST_P(FileBounce, UnalignedMemoryIsNoMatter) {
    open_direct(pattern(16384));
    std::string bytes = pattern(4096 + 1, 4);
    const SingleData data(bytes.data() + 1, 4096);
    EXPECT_EQ(4096, run(write_task(8192, data)).result);
    EXPECT_TRUE(bytes.substr(1) == read_file(path_).substr(8192, 4096));
    EXPECT_EQ(1, calls_.transfer_count);  // whole blocks: nothing had to be read
}

TEST_P(FileBounce, ReadOnlyFilesMayEndWithinABlock) {
    open_direct(pattern(5120), LUNKIT_FILE_READ_ONLY);
    EXPECT_TRUE(pattern(5120).substr(4096) == read_back(4096, 1024));
    std::string into(2048, '?');
    const Outcome outcome = read(4096, into);
    EXPECT_EQ(-EIO, outcome.result);
    EXPECT_EQ(1024U, outcome.error_offset);
}

TEST_P(FileBounce, AFailedReadOfTheBlockWritesNothing) {
    open_direct(pattern(8192));
    calls_.transfers = {-EIO};
    EXPECT_EQ(-EIO, write(512, std::string(512, 'S')).result);
    EXPECT_EQ(1, calls_.transfer_count);
    EXPECT_TRUE(pattern(8192) == read_file(path_));
}

TEST_P(FileBounce, FuaReachesTheWriteOfTheBlocks) {
    open_direct(pattern(8192));
    EXPECT_EQ(512, write(512, std::string(512, 'S'), LUNKIT_IO_FUA).result);
    EXPECT_EQ((std::vector<int>{0, RWF_DSYNC}), calls_.transfer_flags);
}

}  // namespace lunkit::test

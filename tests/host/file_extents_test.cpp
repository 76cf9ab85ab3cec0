// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <linux/falloc.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <string>
#include <utility>

#include "file_rig.hpp"

namespace lunkit::test {

class FileExtents : public FileRig {
  protected:
    /// Data, hole, data, hole, of 64 KiB each.
    void open_striped() {
        open(pattern(262144));
        const UniqueFd fd(::open(path_.c_str(), O_RDWR | O_CLOEXEC));
        for (const off_t hole : {65536, 196608}) {
            ASSERT_EQ(
                0, ::fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, hole, 65536));
        }
    }
    Outcome extents(std::uint64_t offset, std::uint64_t length, std::uint32_t capacity) {
        list_ = {extents_.data(), capacity, 99};
        return run(start([=, this](lunkit_completion* completion) {
            return file_->extents(queue(), offset, length, list_, completion);
        }));
    }
    static constexpr std::uint32_t kHole = LUNKIT_EXTENT_HOLE | LUNKIT_EXTENT_ZERO;
    std::array<lunkit_extent, 8> extents_{};
    lunkit_extent_list list_{};
};
LUNKIT_ON_EACH_ENGINE(FileExtents);

TEST_P(FileExtents, TellDataFromHoles) {
    open_striped();
    ASSERT_EQ(0, extents(0, 262144, 8).result);
    ASSERT_EQ(4U, list_.count);
    for (std::size_t i = 0; i < 4; ++i) {
        EXPECT_EQ(65536U, extents_.at(i).length);
        EXPECT_EQ(i % 2 == 0 ? 0U : kHole, extents_.at(i).flags);
    }
}

TEST_P(FileExtents, BeginAndEndWhereTheyAreAsked) {
    open_striped();
    ASSERT_EQ(0, extents(32768, 65536, 8).result);
    ASSERT_EQ(2U, list_.count);
    EXPECT_EQ(32768U, extents_[0].length);
    EXPECT_EQ(32768U, extents_[1].length);
}

TEST_P(FileExtents, StopWhenTheListIsFull) {
    open_striped();
    ASSERT_EQ(0, extents(0, 262144, 1).result);
    ASSERT_EQ(1U, list_.count);
    EXPECT_EQ(65536U, extents_[0].length);
}

// The pages of a large file are many.
TEST_P(FileExtents, InMemoryAreLookedUpByAWorkerToo) {
    const std::string path = "/dev/shm/lunkit-test-" + std::to_string(::getpid());
    write_file(path, pattern(8192));
    auto opened = host::LocalFile::open({path, "", 0, 0}, {}, calls_);
    std::filesystem::remove(path);
    ASSERT_TRUE(opened) << opened.error().what;
    file_ = std::move(*opened);
    list_ = {extents_.data(), 8, 99};
    int started = 0;
    const Outcome outcome = run(start([&](lunkit_completion* completion) {
        started = file_->extents(queue(), 0, 8192, list_, completion);
        return started;
    }));
    EXPECT_EQ(LUNKIT_PENDING, started);
    EXPECT_EQ(0, outcome.result);
    EXPECT_EQ(1U, list_.count);
}

TEST_P(FileExtents, NoRoomOrNoLengthIsInvalid) {
    open_striped();
    EXPECT_EQ(-EINVAL, extents(0, 4096, 0).result);
    EXPECT_EQ(-EINVAL, extents(0, 0, 8).result);
}

}  // namespace lunkit::test

// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include <gmock/gmock.h>

#include "handler_rig.hpp"

namespace lunkit::test {

using ::testing::HasSubstr;

class RamHandler : public HandlerRig {
  protected:
    static constexpr std::uint64_t kSize = 4 << 20;
    static constexpr std::uint64_t kChunk = 64 << 10;
    ~RamHandler() override { (void)::shm_unlink(("/lunkit-ram-" + name_).c_str()); }

    /// Bytes of memory that the disk takes.
    [[nodiscard]] std::uint64_t taken() const {
        struct stat status{};
        return ::stat(object_.c_str(), &status) == 0
                   ? static_cast<std::uint64_t>(status.st_blocks) * 512
                   : 0;
    }
    const std::string name_ = "test-" + std::to_string(::getpid());
    const std::string config_ = "ram/" + name_;
    const std::string object_ = "/dev/shm/lunkit-ram-" + name_;
};
LUNKIT_ON_EACH_ENGINE(RamHandler);

TEST_P(RamHandler, StartsAsZerosAndKeepsWhatIsWritten) {
    open(config_, kSize);
    EXPECT_EQ(std::string(8192, '\0'), read(kSize - 8192, 8192));
    EXPECT_TRUE(write(kChunk - 512, pattern(3 * kChunk + 512)));
    EXPECT_TRUE(read(kChunk - 512, 3 * kChunk + 512) == pattern(3 * kChunk + 512));
}

TEST_P(RamHandler, TakesMemoryOnlyWhereSomethingWasWritten) {
    open(config_, 1ULL << 40U);
    EXPECT_EQ(0U, taken());
    EXPECT_TRUE(write(1ULL << 39U, std::string(512, 'w')));
    EXPECT_EQ(std::string(512, '\0'), read(1ULL << 38U, 512));
    EXPECT_EQ(kChunk, taken());
}

TEST_P(RamHandler, DiscardGivesWholeChunksBack) {
    open(config_, kSize);
    EXPECT_TRUE(write(0, std::string(4 * kChunk, 'w')));
    EXPECT_EQ(4 * kChunk, taken());
    EXPECT_TRUE(discard(512, 3 * kChunk));
    EXPECT_EQ(2 * kChunk, taken());
    EXPECT_EQ(
        std::string(512, 'w') + std::string(3 * kChunk, '\0') + std::string(kChunk - 512, 'w'),
        read(0, 4 * kChunk));
}

TEST_P(RamHandler, LongZeroingIsDoneByAWorker) {
    open(config_, kSize);
    EXPECT_TRUE(write(0, std::string(kSize, 'w')));
    EXPECT_TRUE(write_zeroes(0, kSize, LUNKIT_IO_MAY_UNMAP));
    EXPECT_EQ(0U, taken());
    EXPECT_EQ(std::string(4096, '\0'), read(kChunk, 4096));
}

TEST_P(RamHandler, ZeroesThatMayNotUnmapKeepTheMemory) {
    open(config_, kSize);
    EXPECT_TRUE(write(0, std::string(2 * kChunk, 'w')));
    EXPECT_TRUE(write_zeroes(0, 2 * kChunk));
    EXPECT_EQ(2 * kChunk, taken());
    EXPECT_EQ(std::string(2 * kChunk, '\0'), read(0, 2 * kChunk));
}

TEST_P(RamHandler, ExtentsAreItsChunks) {
    open(config_, kSize);
    EXPECT_TRUE(write(kChunk, std::string(2 * kChunk, 'w')));
    const auto found = extents(512, kSize - 512);
    ASSERT_EQ(3U, found.size());
    EXPECT_EQ(kChunk - 512, found[0].length);
    EXPECT_EQ(LUNKIT_EXTENT_HOLE | LUNKIT_EXTENT_ZERO, found[0].flags);
    EXPECT_EQ(2 * kChunk, found[1].length);
    EXPECT_EQ(0U, found[1].flags);
}

// They are looked up on the queue's thread: 100 GB must not keep it.
TEST_P(RamHandler, OneCallLooksAtSoManyChunksOnly) {
    constexpr std::uint64_t kLookups = 4096;
    open(config_, 3 * kLookups * kChunk);
    const auto found = extents(0, 3 * kLookups * kChunk);
    ASSERT_EQ(1U, found.size());
    EXPECT_EQ(kLookups * kChunk, found[0].length);
    EXPECT_EQ(1U, extents(kLookups * kChunk, kChunk).size());
}

// That it changes nothing when memory runs out is shown on a /dev/shm of its own, in a guest.
TEST_P(RamHandler, PromisesAtomicWrites) {
    open(config_, kSize);
    const std::uint64_t most = device_->info().max_atomic_write;
    ASSERT_EQ(1U << 20U, most);
    EXPECT_TRUE(write(512, pattern(most), LUNKIT_IO_ATOMIC));
    EXPECT_TRUE(read(512, most) == pattern(most));
    EXPECT_EQ(EOPNOTSUPP, write(0, pattern(most + 512), LUNKIT_IO_ATOMIC).error().code);
}

TEST_P(RamHandler, ComparesAndWrites) {
    open(config_, kSize);
    EXPECT_TRUE(compare_and_write(512, std::string(512, '\0'), std::string(512, 'c')));
    EXPECT_EQ(EILSEQ,
              compare_and_write(512, std::string(512, '\0'), std::string(512, 'd')).error().code);
    EXPECT_EQ(std::string(512, 'c'), read(512, 512));
}

TEST_P(RamHandler, GrowsAndForgetsWhatWasCutOff) {
    open(config_, kSize);
    EXPECT_TRUE(write(0, std::string(kSize, 'w')));
    EXPECT_EQ("", why(device_->resize(kChunk + 512)));
    EXPECT_EQ(ERANGE, write(kChunk + 512, std::string(512, 'x')).error().code);
    EXPECT_EQ("", why(device_->resize(2 * kSize)));
    EXPECT_EQ(std::string(kChunk + 512, 'w') + std::string(kChunk, '\0'),
              read(0, 2 * kChunk + 512));
    EXPECT_TRUE(write(2 * kSize - 512, std::string(512, 'e')));
    EXPECT_EQ(std::string(512, 'e'), read(2 * kSize - 512, 512));
}

TEST_P(RamHandler, ALargeOneIsCutAndGrowsBackEmpty) {
    constexpr std::uint64_t kLarge = 512U << 20U;
    open(config_, kLarge);
    EXPECT_TRUE(write(kLarge - kChunk, std::string(kChunk, 'w')));
    EXPECT_EQ("", why(device_->resize(kChunk)));
    EXPECT_EQ(0U, taken());
    EXPECT_EQ(kChunk, std::filesystem::file_size(object_));
    EXPECT_EQ("", why(device_->resize(kLarge)));
    EXPECT_EQ(std::string(kChunk, '\0'), read(kLarge - kChunk, kChunk));
}

TEST_P(RamHandler, ASuccessorFindsTheContents) {
    open(config_, kSize);
    EXPECT_TRUE(write(kChunk + 512, pattern(100 * 512)));
    handing_over_ = true;
    device_.reset();
    handing_over_ = false;
    ASSERT_EQ("", why(try_open(config_, kSize, false, true)));
    EXPECT_TRUE(read(kChunk + 512, 100 * 512) == pattern(100 * 512));
    EXPECT_EQ(std::string(512, '\0'), read(0, 512));
    EXPECT_EQ(3U, extents(0, kSize).size());
}

TEST_P(RamHandler, ARemovedDiskLeavesNothing) {
    open(config_, kSize);
    EXPECT_TRUE(write(0, std::string(512, 'w')));
    device_.reset();
    EXPECT_FALSE(std::filesystem::exists(object_));
}

TEST_P(RamHandler, ATakeOverOfNothingIsAnErrorNotZeros) {
    EXPECT_EQ("the contents of RAM disk '" + name_ + "' are gone; remove it and create it again",
              why(try_open(config_, kSize, false, true)));
}

TEST_P(RamHandler, AFreshDiskIsEmptyWhateverWasLeft) {
    write_file(object_, std::string(8192, 'o'));
    ASSERT_EQ(0, ::chmod(object_.c_str(), 0600));
    open(config_, kSize);
    EXPECT_EQ(std::string(8192, '\0'), read(0, 8192));
}

TEST_P(RamHandler, MemoryOfOthersIsNotTaken) {
    write_file(object_, std::string(8192, 'o'));
    ASSERT_EQ(0, ::chmod(object_.c_str(), 0666));
    EXPECT_THAT(why(try_open(config_, kSize)), HasSubstr("belongs to somebody else"));
    EXPECT_EQ(std::string(8192, 'o'), read_file(object_));
}

TEST_P(RamHandler, OneDiskOfAName) {
    open(config_, kSize);
    const auto first = std::move(device_);
    EXPECT_THAT(why(try_open(config_, kSize)), HasSubstr("is served already"));
    EXPECT_THAT(check(config_), HasSubstr("is served already"));
}

TEST_P(RamHandler, NamesAndKeysAreChecked) {
    EXPECT_EQ("", check(config_));
    EXPECT_THAT(check("ram/"), HasSubstr("is no name of a RAM disk"));
    EXPECT_THAT(check("ram/../etc/passwd"), HasSubstr("is no name of a RAM disk"));
    EXPECT_THAT(check("ram/.hidden"), HasSubstr("is no name of a RAM disk"));
    EXPECT_EQ("unknown key 'size'", check(config_ + ";size=1G"));
    EXPECT_EQ("a RAM disk needs a size", why(try_open(config_, 0)));
}

TEST_P(RamHandler, HasNoWriteCache) {
    open(config_, kSize);
    EXPECT_FALSE(device_->info().write_cache);
    EXPECT_TRUE(flush());
}

}  // namespace lunkit::test

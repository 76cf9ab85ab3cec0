// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include <gmock/gmock.h>

#include "handler_rig.hpp"

namespace lunkit::test {

using ::testing::HasSubstr;

class FileHandler : public HandlerRig {
  protected:
    static constexpr std::uint64_t kSize = 1 << 20;
    const std::string disk_ = folder_ / "disk";
    const std::string config_ = "file/" + disk_;
};
LUNKIT_ON_EACH_ENGINE(FileHandler);

TEST_P(FileHandler, ServesAFile) {
    write_file(disk_, pattern(kSize));
    open(config_, kSize);
    EXPECT_TRUE(read(4096, 8192) == pattern(kSize).substr(4096, 8192));
    EXPECT_TRUE(write(512, pattern(65536, 2)));
    EXPECT_TRUE(read(512, 65536) == pattern(65536, 2));
    EXPECT_TRUE(flush());
    EXPECT_TRUE(read_file(disk_).substr(512, 65536) == pattern(65536, 2));
}

TEST_P(FileHandler, ServesAFileDirectly) {
    write_file(disk_, pattern(kSize));
    const Status status = try_open(config_ + ";direct=on", kSize);
    if (!status && status.error().code == EINVAL) {
        GTEST_SKIP() << status.error().what;
    }
    ASSERT_TRUE(status) << status.error().what;
    EXPECT_TRUE(write(512, pattern(65536, 2), LUNKIT_IO_FUA));
    EXPECT_TRUE(read(512, 65536) == pattern(65536, 2));
    EXPECT_TRUE(read(0, 512) == pattern(512));
}

TEST_P(FileHandler, TellsWhatItIs) {
    write_file(disk_, pattern(kSize));
    open(config_, kSize);
    const DeviceInfo info = device_->info();
    EXPECT_EQ(kSize, info.size);
    EXPECT_TRUE(info.write_cache);
    EXPECT_TRUE(info.thin);
    EXPECT_TRUE(info.can_discard);
    EXPECT_TRUE(info.discard_zeroes);
    EXPECT_TRUE(info.can_extents);
    EXPECT_TRUE(info.parallel);
    EXPECT_FALSE(info.read_only);
}

TEST_P(FileHandler, TellsHowMuchItTakesAndWhatIsLeft) {
    open(config_, kSize);
    ASSERT_TRUE(device_->info().can_tell_space);
    const auto empty = space();
    ASSERT_TRUE(empty);
    EXPECT_EQ(0U, empty->used);
    EXPECT_TRUE(empty->shared);
    EXPECT_LE(empty->available, std::filesystem::space(disk_).capacity);
    EXPECT_GT(empty->available, 0U);
    EXPECT_TRUE(write(0, pattern(65536), LUNKIT_IO_FUA));
    const auto written = space();
    ASSERT_TRUE(written);
    EXPECT_GE(written->used, 65536U);
    EXPECT_LT(written->used, kSize);
}

TEST_P(FileHandler, WithoutDiscardItIsFullyProvisioned) {
    open(config_ + ";discard=off", kSize);
    const DeviceInfo info = device_->info();
    EXPECT_FALSE(info.thin);
    EXPECT_FALSE(info.can_discard);
}

TEST_P(FileHandler, WithoutDiscardZeroesKeepTheirSpace) {
    write_file(disk_, pattern(kSize));
    open(config_ + ";discard=off", kSize);
    EXPECT_TRUE(flush());
    struct stat before{};
    struct stat after{};
    ASSERT_EQ(0, ::stat(disk_.c_str(), &before));
    EXPECT_TRUE(write_zeroes(65536, 131072, LUNKIT_IO_MAY_UNMAP));
    EXPECT_TRUE(flush());
    EXPECT_EQ(std::string(131072, '\0'), read(65536, 131072));
    ASSERT_EQ(0, ::stat(disk_.c_str(), &after));
    EXPECT_GE(after.st_blocks + 64, before.st_blocks);
}

TEST_P(FileHandler, CreatesAMissingFileOfTheLunsSize) {
    open(config_, kSize);
    EXPECT_EQ(kSize, std::filesystem::file_size(disk_));
    EXPECT_EQ(std::string(4096, '\0'), read(kSize - 4096, 4096));
}

TEST_P(FileHandler, ASizeOfZeroMeansAsLargeAsItIs) {
    write_file(disk_, pattern(kSize));
    open(config_, 0);
    EXPECT_EQ(kSize, device_->info().size);
}

TEST_P(FileHandler, AFileOfAnotherSizeIsRefusedWithBothNumbers) {
    write_file(disk_, pattern(8192));
    EXPECT_EQ(disk_ + " has 8192 bytes, but the LUN has 1048576 bytes: they have to be equal",
              why(try_open(config_, kSize)));
    EXPECT_EQ(disk_ + " has 8192 bytes, but the LUN has 4096 bytes: they have to be equal",
              why(try_open(config_, 4096)));
    EXPECT_EQ(8192U, std::filesystem::file_size(disk_));
}

TEST_P(FileHandler, ATakeOverNeverCreates) {
    const Status status = try_open(config_, kSize, false, true);
    ASSERT_FALSE(status);
    EXPECT_EQ(ENOENT, status.error().code);
    EXPECT_FALSE(std::filesystem::exists(disk_));
}

TEST_P(FileHandler, ATakeOverAcceptsAFileThatHasJustGrown) {
    write_file(disk_, pattern(2 * kSize));
    EXPECT_EQ("", why(try_open(config_, kSize, false, true)));
    EXPECT_EQ(kSize, device_->info().size);
}

// Its predecessor died when the file had been cut and the kernel did not know yet.
TEST_P(FileHandler, ATakeOverGrowsAFileThatWasBeingCutBackWithZeros) {
    write_file(disk_, pattern(kSize / 2));
    ASSERT_EQ("", why(try_open(config_ + ";shrink=on", kSize, false, true)));
    EXPECT_EQ(kSize, device_->info().size);
    EXPECT_TRUE(read(0, kSize / 2) == pattern(kSize / 2));
    EXPECT_EQ(std::string(4096, '\0'), read(kSize - 4096, 4096));
    EXPECT_TRUE(write(kSize - 512, std::string(512, 'w')));
}

// Then somebody else has cut it, and zeros would hide that.
TEST_P(FileHandler, ATakeOverRefusesAShorterFileThatNoPredecessorCut) {
    write_file(disk_, pattern(kSize / 2));
    EXPECT_THAT(why(try_open(config_, kSize, false, true)), HasSubstr("they have to be equal"));
    EXPECT_THAT(why(try_open(config_ + ";shrink=on;readonly=on", kSize, false, true)),
                HasSubstr("they have to be equal"));
    EXPECT_THAT(why(try_open(config_ + ";shrink=on", kSize)), HasSubstr("they have to be equal"));
    EXPECT_EQ(kSize / 2, std::filesystem::file_size(disk_));
}

TEST_P(FileHandler, DoesNotCreateWhereItMayNot) {
    EXPECT_EQ(disk_ + ": No such file or directory", why(try_open(config_ + ";create=off", kSize)));
    EXPECT_FALSE(std::filesystem::exists(disk_));
}

TEST_P(FileHandler, CheckAcceptsAFileToBeCreatedInAFolder) {
    EXPECT_EQ("", check(config_));
    EXPECT_FALSE(std::filesystem::exists(disk_));
    EXPECT_EQ(disk_ + ": No such file or directory", check(config_ + ";create=off"));
    EXPECT_EQ(disk_ + ": No such file or directory", check(config_ + ";readonly=on"));
    EXPECT_THAT(check("file/" + folder_.path() + "/none/disk"),
                HasSubstr("/none/: No such file or directory"));
}

TEST_P(FileHandler, CheckRefusesWhatOpenWould) {
    EXPECT_THAT(check("file/" + folder_.path()), HasSubstr("is a folder"));
    EXPECT_EQ("'relative/path' is not an absolute path", check("file/relative/path"));
    EXPECT_EQ("no path is given: file/<absolute path>", check("file/"));
    EXPECT_EQ("unknown key 'speed'", check(config_ + ";speed=high"));
    EXPECT_EQ("direct=maybe: expected on or off", check(config_ + ";direct=maybe"));
}

TEST_P(FileHandler, CheckOfTheSyntaxLooksAtNoFile) {
    EXPECT_EQ("", check("file//none/at/all", true));
    EXPECT_EQ("unknown key 'speed'", check("file//none/at/all;speed=high", true));
}

TEST_P(FileHandler, AFileInUseIsRefusedByName) {
    open(config_, kSize);
    EXPECT_EQ(disk_ + " is already served as user_0/disk1", check(config_));
    EXPECT_EQ(disk_ + " is already served as user_0/disk1", why(try_open(config_, kSize)));
}

TEST_P(FileHandler, ReadonlyRefusesChanges) {
    write_file(disk_, pattern(kSize));
    open(config_ + ";readonly=on", kSize);
    EXPECT_TRUE(device_->info().read_only);
    EXPECT_TRUE(read(0, 4096) == pattern(4096));
    EXPECT_EQ(EROFS, write(0, std::string(512, 'w')).error().code);
}

TEST_P(FileHandler, CdIsReadOnlyAndHasItsOwnBlocks) {
    write_file(disk_, pattern(kSize));
    EXPECT_EQ(why(try_open(config_ + ";type=cd", kSize)),
              "a CD or DVD has blocks of 2048 bytes; 512 are asked for (targetcli: "
              "control=hw_block_size=2048)");
    EXPECT_EQ(why(try_open(config_ + ";type=cd;readonly=off", kSize, false, false, 2048)), "");
    EXPECT_EQ(device_->info().type, DeviceType::kCdDvd);
    EXPECT_TRUE(device_->info().read_only);
    EXPECT_TRUE(read(2048, 4096) == pattern(kSize).substr(2048, 4096));
    EXPECT_EQ("type=tape: expected disk or cd", check(config_ + ";type=tape", true));
    EXPECT_THAT(check("file/" + disk_ + ".none;type=cd"), HasSubstr("No such file"))
        << "none is made";
}

TEST_P(FileHandler, DiscardMakesAHoleOfZeros) {
    write_file(disk_, pattern(kSize));
    open(config_, kSize);
    EXPECT_TRUE(flush());
    EXPECT_TRUE(discard(65536, 131072));
    EXPECT_EQ(std::string(131072, '\0'), read(65536, 131072));
    const auto found = extents(0, kSize);
    ASSERT_EQ(3U, found.size());
    EXPECT_EQ(65536U, found[0].length);
    EXPECT_EQ(0U, found[0].flags);
    EXPECT_EQ(131072U, found[1].length);
    EXPECT_EQ(LUNKIT_EXTENT_HOLE | LUNKIT_EXTENT_ZERO, found[1].flags);
}

TEST_P(FileHandler, AnchoredBlocksKeepTheirSpace) {
    write_file(disk_, pattern(kSize));
    open(config_, kSize);
    EXPECT_TRUE(flush());
    struct stat before{};
    struct stat after{};
    ASSERT_EQ(0, ::stat(disk_.c_str(), &before));
    const Status status = discard(65536, 131072, LUNKIT_IO_ANCHOR);
    if (!status && status.error().code == EOPNOTSUPP) {
        GTEST_SKIP() << "no ZERO_RANGE here";
    }
    EXPECT_TRUE(status);
    EXPECT_EQ(std::string(131072, '\0'), read(65536, 131072));
    ASSERT_EQ(0, ::stat(disk_.c_str(), &after));
    EXPECT_GE(after.st_blocks + 64, before.st_blocks);
}

TEST_P(FileHandler, WritesZeroes) {
    write_file(disk_, pattern(kSize));
    open(config_, kSize);
    EXPECT_TRUE(write_zeroes(512, 65536, LUNKIT_IO_FUA));
    EXPECT_TRUE(write_zeroes(131072, 512, LUNKIT_IO_MAY_UNMAP));
    std::string expected = pattern(kSize);
    expected.replace(512, 65536, 65536, '\0');
    expected.replace(131072, 512, 512, '\0');
    EXPECT_TRUE(expected == read(0, kSize));
}

TEST_P(FileHandler, ComparesAndWrites) {
    write_file(disk_, pattern(kSize));
    open(config_, kSize);
    EXPECT_TRUE(compare_and_write(512, pattern(kSize).substr(512, 512), std::string(512, 'c')));
    EXPECT_EQ(std::string(512, 'c'), read(512, 512));
    const Status status = compare_and_write(512, std::string(512, 'x'), std::string(512, 'd'));
    ASSERT_FALSE(status);
    EXPECT_EQ(EILSEQ, status.error().code);
    EXPECT_EQ(0U, status.error().offset);
}

TEST_P(FileHandler, ReadingWhatWasCutOffIsAMediumErrorWithItsPlace) {
    write_file(disk_, pattern(kSize));
    open(config_, kSize);
    ASSERT_EQ(0, ::truncate(disk_.c_str(), 4096));
    std::string bytes(8192, '?');
    const SingleData data(bytes.data(), bytes.size());
    const IoRequest io(0, data);
    const Status status = run(device_->read(queue(), io));
    ASSERT_FALSE(status);
    EXPECT_EQ(EIO, status.error().code);
    EXPECT_EQ(4096U, status.error().offset);
    EXPECT_EQ(ErrorClass::kMedium, status.error().error_class);
}

TEST_P(FileHandler, Grows) {
    open(config_, kSize);
    ASSERT_EQ("", why(device_->resize(2 * kSize)));
    EXPECT_EQ(2 * kSize, std::filesystem::file_size(disk_));
    EXPECT_TRUE(write(2 * kSize - 512, std::string(512, 'w')));
}

TEST_P(FileHandler, ShrinksOnlyWhenToldSo) {
    open(config_, kSize);
    EXPECT_THAT(why(device_->resize(kSize / 2)), HasSubstr("shrink=on allows it"));
    EXPECT_EQ(kSize, std::filesystem::file_size(disk_));
    EXPECT_TRUE(write(kSize - 512, std::string(512, 'w')));
    device_.reset();
    open(config_ + ";shrink=on", kSize);
    EXPECT_EQ("", why(device_->resize(kSize / 2)));
    EXPECT_EQ(kSize / 2, std::filesystem::file_size(disk_));
    EXPECT_EQ(ERANGE, write(kSize - 512, std::string(512, 'w')).error().code);
}

// A predecessor died when the file had grown and the LUN had not.
TEST_P(FileHandler, GrowingTheLunDoesNotCutALargerFile) {
    write_file(disk_, pattern(4 * kSize));
    ASSERT_EQ("", why(try_open(config_, kSize, false, true)));
    EXPECT_EQ(disk_ +
                  " would be cut from 4194304 bytes to 2097152 bytes and lose what is behind; "
                  "shrink=on allows it",
              why(device_->resize(2 * kSize)));
    EXPECT_TRUE(read_file(disk_) == pattern(4 * kSize));
    EXPECT_EQ("", why(device_->resize(4 * kSize)));
    EXPECT_TRUE(read(2 * kSize, 4096) == pattern(4 * kSize).substr(2 * kSize, 4096));
}

// As ublk does where the kernel refuses the new size.
TEST_P(FileHandler, TakesAGrowthBackThatNobodyHasWrittenTo) {
    write_file(disk_, pattern(kSize));
    open(config_, kSize);
    ASSERT_EQ("", why(device_->resize(2 * kSize)));
    EXPECT_EQ("", why(device_->resize(kSize)));
    EXPECT_TRUE(read_file(disk_) == pattern(kSize));
    EXPECT_THAT(why(device_->resize(kSize / 2)), HasSubstr("shrink=on allows it"));

    ASSERT_EQ("", why(device_->resize(2 * kSize)));
    EXPECT_THAT(why(device_->resize(kSize / 2)), HasSubstr("shrink=on allows it"));
    EXPECT_TRUE(write(2 * kSize - 512, std::string(512, 'w')));
    EXPECT_THAT(why(device_->resize(kSize)), HasSubstr("shrink=on allows it"));
    EXPECT_EQ(2 * kSize, std::filesystem::file_size(disk_));
}

TEST_P(FileHandler, WithoutWriteCacheWritesAreDurable) {
    open(config_, kSize);
    EXPECT_TRUE(device_->set_write_cache(false));
    EXPECT_FALSE(device_->info().write_cache);
    EXPECT_TRUE(write(0, pattern(4096)));
    EXPECT_TRUE(discard(0, 512));
    EXPECT_EQ(std::string(512, '\0') + pattern(4096).substr(512), read(0, 4096));
}

TEST_P(FileHandler, ManyRequestsAtOnce) {
    constexpr std::size_t kRequests = 64;
    constexpr std::size_t kLength = 8192;
    open(config_, kRequests * kLength);
    std::vector<std::string> bytes;
    std::vector<std::unique_ptr<SingleData>> data;
    std::vector<std::unique_ptr<IoRequest>> requests;
    std::vector<Task<Status>> tasks;
    for (unsigned i = 0; i < kRequests; ++i) {
        bytes.push_back(pattern(kLength, i));
    }
    for (std::size_t i = 0; i < kRequests; ++i) {
        data.push_back(std::make_unique<SingleData>(bytes[i].data(), kLength));
        requests.push_back(std::make_unique<IoRequest>(i * kLength, *data.back()));
        tasks.push_back(device_->write(queue(), *requests.back()));
    }
    for (const Status& status : run_together(queue(), std::move(tasks))) {
        EXPECT_TRUE(status);
    }
    for (std::size_t i = 0; i < kRequests; ++i) {
        EXPECT_TRUE(bytes[i] == read(i * kLength, kLength)) << i;
    }
}

}  // namespace lunkit::test

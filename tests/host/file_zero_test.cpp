// SPDX-License-Identifier: Apache-2.0
#include <linux/falloc.h>
#include <sys/stat.h>

#include <cerrno>

#include "file_rig.hpp"

namespace lunkit::test {

namespace {
constexpr int kPunch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
constexpr int kZeroRange = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
constexpr int kPreallocate = FALLOC_FL_KEEP_SIZE;
constexpr std::size_t kSize = 1 << 20;
}  // namespace

class FileZero : public FileRig {
  protected:
    void expect_zeroed(std::uint64_t offset, std::uint64_t length) {
        std::string expected = pattern(kSize);
        expected.replace(offset, length, length, '\0');
        EXPECT_TRUE(expected == read_file(path_));
    }
    /// Bytes that the file takes.
    std::uint64_t allocated() {
        struct stat status{};
        EXPECT_EQ(0, ::stat(path_.c_str(), &status));
        return static_cast<std::uint64_t>(status.st_blocks) * 512;
    }
};
LUNKIT_ON_EACH_ENGINE(FileZero);

TEST_P(FileZero, DiscardGivesSpaceBack) {
    open(pattern(kSize));
    flush();
    const std::uint64_t before = allocated();
    EXPECT_EQ(0, discard(65536, 524288).result);
    EXPECT_LE(allocated(), before - 500000);
    expect_zeroed(65536, 524288);
}

TEST_P(FileZero, DiscardThatIsMissingIsRemembered) {
    open(pattern(kSize));
    calls_.allocates[kPunch] = -EOPNOTSUPP;
    EXPECT_EQ(-EOPNOTSUPP, discard(0, 4096).result);
    EXPECT_EQ(-EOPNOTSUPP, discard(0, 4096).result);
    EXPECT_EQ(std::vector<int>{kPunch}, calls_.allocate_modes);
}

TEST_P(FileZero, ZeroesKeepTheSpaceUnlessTheyMayUnmap) {
    open(pattern(kSize));
    EXPECT_EQ(0, zero(512, 65536).result);
    expect_zeroed(512, 65536);
    EXPECT_EQ(kZeroRange, calls_.allocate_modes.front());
}

TEST_P(FileZero, ZeroesThatMayUnmapPunch) {
    open(pattern(kSize));
    EXPECT_EQ(0, zero(512, 65536, LUNKIT_ZERO_MAY_UNMAP).result);
    expect_zeroed(512, 65536);
    EXPECT_EQ(std::vector<int>{kPunch}, calls_.allocate_modes);
}

TEST_P(FileZero, PunchesAndPreallocatesWithoutZeroRange) {
    open(pattern(kSize));
    calls_.allocates[kZeroRange] = -EOPNOTSUPP;
    EXPECT_EQ(0, zero(4096, 65536).result);
    expect_zeroed(4096, 65536);
    EXPECT_EQ((std::vector<int>{kZeroRange, kPunch, kPreallocate}), calls_.allocate_modes);
}

TEST_P(FileZero, WritesZerosInTheEndAndRemembers) {
    open(pattern(kSize));
    calls_.allocates = {{kZeroRange, -EOPNOTSUPP}, {kPunch, -EOPNOTSUPP}};
    EXPECT_EQ(0, zero(512, 700000, LUNKIT_ZERO_MAY_UNMAP).result);
    expect_zeroed(512, 700000);
    const auto tried = calls_.allocate_modes.size();
    EXPECT_EQ(0, zero(0, 512).result);
    EXPECT_EQ(tried, calls_.allocate_modes.size());
}

TEST_P(FileZero, NoFallbackDoesNotWrite) {
    open(pattern(kSize));
    calls_.allocates = {{kZeroRange, -EOPNOTSUPP}, {kPunch, -EOPNOTSUPP}};
    EXPECT_EQ(-EOPNOTSUPP, zero(0, 65536, LUNKIT_ZERO_NO_FALLBACK).result);
    EXPECT_TRUE(pattern(kSize) == read_file(path_));
}

TEST_P(FileZero, ZeroRangeMayRefuseOneRange) {
    open(pattern(kSize));
    calls_.allocates[kZeroRange] = -EINVAL;
    EXPECT_EQ(0, zero(4096, 4096).result);
    calls_.allocates.clear();
    calls_.allocate_modes.clear();
    EXPECT_EQ(0, zero(8192, 4096).result);
    EXPECT_EQ(kZeroRange, calls_.allocate_modes.front());
}

TEST_P(FileZero, AFullFileSystemIsAnErrorAndNoMissingStep) {
    open(pattern(kSize));
    calls_.allocates[kZeroRange] = -ENOSPC;
    EXPECT_EQ(-ENOSPC, zero(4096, 4096).result);
    EXPECT_EQ(std::vector<int>{kZeroRange}, calls_.allocate_modes);
}

}  // namespace lunkit::test

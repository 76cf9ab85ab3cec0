// SPDX-License-Identifier: Apache-2.0
#include "host/file_open.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include <gmock/gmock.h>

#include "lunkit/handler.h"
#include "support/engine_rig.hpp"

namespace lunkit::host {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class FileOpen : public ::testing::Test {
  protected:
    Result<OpenedFile> open(const std::string& path, std::uint32_t flags = 0,
                            std::uint64_t size = 0) {
        return open_file({path, "", flags, size}, policy_);
    }
    Result<OpenedFile> open_confined(const std::string& path) {
        return open_file({path, folder_.path(), LUNKIT_FILE_CONFINED, 0}, policy_);
    }
    test::BuildFolder folder_;
    FilePolicy policy_;
    const std::string disk_ = folder_ / "disk";
};

TEST_F(FileOpen, AFolderIsRefusedByName) {
    const auto file = open(folder_.path());
    ASSERT_FALSE(file);
    EXPECT_EQ(folder_.path() + " is a folder; a regular file or a block device is needed",
              file.error().what);
}

TEST_F(FileOpen, AFifoIsRefusedWithoutWaitingForAWriter) {
    ASSERT_EQ(0, ::mkfifo(disk_.c_str(), 0600));
    const auto file = open(disk_);
    ASSERT_FALSE(file);
    EXPECT_THAT(file.error().what, HasSubstr("is a FIFO"));
}

TEST_F(FileOpen, ACharacterDeviceIsRefused) {
    const auto file = open("/dev/null");
    ASSERT_FALSE(file);
    EXPECT_THAT(file.error().what, HasSubstr("/dev/null is a character device"));
}

TEST_F(FileOpen, AMissingFileIsEnoent) {
    const auto file = open(disk_);
    ASSERT_FALSE(file);
    EXPECT_EQ(ENOENT, file.error().code);
    EXPECT_EQ(disk_ + ": No such file or directory", file.error().what);
}

TEST_F(FileOpen, CreatesSparseOfTheSize) {
    const auto file = open(disk_, LUNKIT_FILE_CREATE, 1ULL << 30U);
    ASSERT_TRUE(file) << file.error().what;
    EXPECT_TRUE(file->created);
    struct stat status{};
    ASSERT_EQ(0, ::stat(disk_.c_str(), &status));
    EXPECT_EQ(1LL << 30, status.st_size);
    EXPECT_LT(status.st_blocks * 512, 1 << 20);
    EXPECT_EQ(0600U, status.st_mode & 0777U);
}

TEST_F(FileOpen, CreateLeavesAnExistingFileAlone) {
    test::write_file(disk_, "precious");
    const auto file = open(disk_, LUNKIT_FILE_CREATE, 4096);
    ASSERT_TRUE(file) << file.error().what;
    EXPECT_FALSE(file->created);
    EXPECT_EQ("precious", test::read_file(disk_));
}

TEST_F(FileOpen, IsNotCreatedWithoutASize) {
    const auto file = open(disk_, LUNKIT_FILE_CREATE, 0);
    ASSERT_FALSE(file);
    EXPECT_THAT(file.error().what, HasSubstr("not created without a size"));
    EXPECT_FALSE(std::filesystem::exists(disk_));
}

TEST_F(FileOpen, ASizeNoFileSystemHasLeavesNothingBehind) {
    const auto file = open(disk_, LUNKIT_FILE_CREATE, 1ULL << 63U);
    ASSERT_FALSE(file);
    EXPECT_EQ(EFBIG, file.error().code);
    EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
}

TEST_F(FileOpen, WhatIsRefusedOnceItIsCreatedLeavesNothingBehind) {
    const auto file = open(disk_, LUNKIT_FILE_CREATE | LUNKIT_FILE_DIRECT, 1000);
    ASSERT_FALSE(file);
    EXPECT_EQ(EINVAL, file.error().code);
    EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));

    test::write_file(disk_, std::string(1000, 'x'));
    EXPECT_FALSE(open(disk_, LUNKIT_FILE_CREATE | LUNKIT_FILE_DIRECT, 1000));
    EXPECT_TRUE(std::filesystem::exists(disk_)) << "it was there before";
}

TEST_F(FileOpen, IsNotCreatedInAMissingFolder) {
    const auto file = open(folder_ / "none/disk", LUNKIT_FILE_CREATE, 4096);
    ASSERT_FALSE(file);
    EXPECT_EQ(ENOENT, file.error().code);
}

TEST_F(FileOpen, ConfinedFindsWhatIsBeneath) {
    test::write_file(disk_, "image");
    EXPECT_TRUE(open_confined("disk"));
}

TEST_F(FileOpen, ConfinedGoesNowhereElse) {
    test::write_file(disk_, "image");
    std::filesystem::create_symlink("disk", folder_ / "link");
    std::filesystem::create_directory(folder_ / "sub");
    std::filesystem::create_symlink("/etc", folder_ / "sub/etc");
    EXPECT_THAT(open_confined("/etc/passwd").error().what, HasSubstr("leads out of"));
    EXPECT_THAT(open_confined("../disk").error().what, HasSubstr("leads out of"));
    EXPECT_THAT(open_confined("sub/../../disk").error().what, HasSubstr("leads out of"));
    EXPECT_THAT(open_confined("link").error().what, HasSubstr("symbolic link"));
    EXPECT_THAT(open_confined("sub/etc/passwd").error().what, HasSubstr("symbolic link"));
}

TEST_F(FileOpen, OnlyAllowedFoldersAreServed) {
    const std::string inside = folder_ / "inside";
    std::filesystem::create_directory(inside);
    test::write_file(inside + "/disk", "x");
    test::write_file(disk_, "x");
    auto policy = FilePolicy::only({{inside}});
    ASSERT_TRUE(policy) << policy.error().what;
    policy_ = *policy;
    EXPECT_TRUE(open(inside + "/disk"));
    EXPECT_EQ(EPERM, open(disk_).error().code);
    EXPECT_THAT(open(disk_).error().what, HasSubstr("allowed_dirs"));
}

TEST_F(FileOpen, AnAllowedFolderIsNoWayOut) {
    const std::string inside = folder_ / "inside";
    std::filesystem::create_directory(inside);
    std::filesystem::create_directory(folder_ / "inside2");
    test::write_file(folder_ / "inside2/disk", "x");
    std::filesystem::create_symlink(folder_ / "inside2", inside + "/link");
    policy_ = FilePolicy::only({{inside}}).value();
    EXPECT_EQ(EPERM, open(inside + "/link/disk").error().code);
    EXPECT_EQ(EPERM, open(inside + "/../inside2/disk").error().code);
    EXPECT_EQ(EPERM, open(inside + "/link/new", LUNKIT_FILE_CREATE, 512).error().code);
    EXPECT_FALSE(std::filesystem::exists(folder_ / "inside2/new"));
}

TEST_F(FileOpen, WhatMayNotBeOpenedIsNotSaidToBeMissing) {
    const std::string inside = folder_ / "inside";
    std::filesystem::create_directory(inside);
    policy_ = FilePolicy::only({{inside}}).value();
    EXPECT_EQ(EPERM, open(folder_ / "missing").error().code);
    EXPECT_EQ(ENOENT, open(inside + "/missing").error().code);
}

TEST_F(FileOpen, AllowedFoldersAreAbsolute) {
    EXPECT_EQ(EINVAL, FilePolicy::only({{"relative"}}).error().code);
}

// A mount that was late (nofail, remote) kept the daemon, and all its devices, down for good.
TEST_F(FileOpen, AllowedFolderCountsFromWhenItIsThere) {
    const std::string inside = folder_ / "inside";
    const std::string late = folder_ / "late";
    std::filesystem::create_directory(inside);
    test::write_file(inside + "/disk", "x");
    auto policy = FilePolicy::only({{late, inside}});
    ASSERT_TRUE(policy) << policy.error().what;
    policy_ = *policy;
    EXPECT_THAT(policy_.missing(),
                ElementsAre("allowed_dirs: " + late + ": No such file or directory"));
    EXPECT_TRUE(open(inside + "/disk"));
    EXPECT_FALSE(open(late + "/disk"));
    std::filesystem::create_directory(late);
    test::write_file(late + "/disk", "x");
    EXPECT_TRUE(open(late + "/disk"));
    EXPECT_THAT(policy_.missing(), ElementsAre());
    EXPECT_EQ(EPERM, open(disk_).error().code);
}

TEST_F(FileOpen, NothingIsAllowedWhileNoAllowedFolderIsThere) {
    test::write_file(disk_, "x");
    policy_ = FilePolicy::only({{folder_ / "late"}}).value();
    EXPECT_EQ(EPERM, open(disk_).error().code);
}

TEST_F(FileOpen, LateFolderIsWhatItIsAfterLinksAndStaysThat) {
    const std::string link = folder_ / "link";
    const std::string target = folder_ / "target";
    std::filesystem::create_symlink(target, link);
    policy_ = FilePolicy::only({{link}}).value();
    EXPECT_EQ(1U, policy_.missing().size());
    std::filesystem::create_directory(target);
    test::write_file(target + "/disk", "x");
    test::write_file(disk_, "x");
    EXPECT_TRUE(open(link + "/disk"));
    EXPECT_TRUE(open(target + "/disk"));
    EXPECT_EQ(EPERM, open(disk_).error().code);
    std::filesystem::remove(link);
    std::filesystem::create_symlink(folder_.path(), link);
    EXPECT_EQ(EPERM, open(link + "/disk").error().code);
}

TEST_F(FileOpen, DirectNeedsWholeBlocksToWrite) {
    test::write_file(disk_, std::string(5000, 'x'));
    const auto file = open(disk_, LUNKIT_FILE_DIRECT);
    if (file || file.error().code == EOPNOTSUPP) {
        GTEST_SKIP() << "no direct I/O here";
    }
    EXPECT_THAT(file.error().what, HasSubstr("has 5000 bytes, which is no multiple of"));
}

TEST_F(FileOpen, KnowsWhatTheFileCan) {
    test::write_file(disk_, std::string(8192, 'x'));
    const auto file = open(disk_);
    ASSERT_TRUE(file);
    EXPECT_FALSE(file->is_block_device);
    EXPECT_GT(file->physical_block_size, 0U);
    EXPECT_EQ(8192U, file_size(*file));
    EXPECT_EQ(1U, file->offset_alignment);
}

TEST_F(FileOpen, AFileThatMayNotBeWrittenOpensForReading) {
    if (::geteuid() == 0) {
        GTEST_SKIP() << "root may write everything";
    }
    test::write_file(disk_, "x");
    ASSERT_EQ(0, ::chmod(disk_.c_str(), 0400));
    EXPECT_EQ(EACCES, open(disk_).error().code);
    EXPECT_TRUE(open(disk_, LUNKIT_FILE_READ_ONLY));
}

}  // namespace lunkit::host

// SPDX-License-Identifier: Apache-2.0
#include "host/own_storage.hpp"

#include <fmt/format.h>
#include <sys/sysmacros.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>

#include <gmock/gmock.h>

#include "host/file_open.hpp"
#include "lunkit/handler.h"
#include "support/engine_rig.hpp"

namespace lunkit::host {

namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr unsigned kBlockExt = 259;
constexpr unsigned kMapper = 253;
constexpr unsigned kLoop = 7;

/// A sysfs of which this daemon serves the ublk devices.
class OwnStorageTest : public testing::Test {
  protected:
    /// `where` below devices/virtual/block: "dm-0", or a partition "ublkb5/ublkb5p1".
    fs::path put(const std::string& where, dev_t number) {
        const fs::path folder = sysfs_ / "devices/virtual/block" / where;
        fs::create_directories(folder);
        fs::create_directories(sysfs_ / "dev/block");
        fs::create_symlink(folder,
                           sysfs_ / fmt::format("dev/block/{}:{}", major(number), minor(number)));
        if (where.find('/') != std::string::npos) {
            test::write_file(folder / "partition", "1\n");
        }
        return folder;
    }
    static void lay_on(const fs::path& upper, const fs::path& lower) {
        fs::create_directories(upper / "slaves");
        fs::create_symlink(lower, upper / "slaves" / lower.filename());
    }
    [[nodiscard]] std::vector<std::string> below(dev_t number) const {
        return disks_below(number, sysfs_);
    }
    static struct stat block_device(dev_t number) {
        struct stat status{};
        status.st_mode = S_IFBLK;
        status.st_rdev = number;
        return status;
    }
    /// Of the folder's file system.
    [[nodiscard]] dev_t here() const {
        struct stat status{};
        EXPECT_EQ(0, ::stat(folder_.path().c_str(), &status));
        return status.st_dev;
    }

    test::BuildFolder folder_;
    const fs::path sysfs_ = folder_ / "sys";
    const OwnStorage own_{[](const std::string& disk) { return disk.starts_with("ublkb"); },
                          sysfs_};
};

TEST_F(OwnStorageTest, DeviceLiesOnItself) {
    put("ublkb5", makedev(kBlockExt, 3));
    EXPECT_THAT(below(makedev(kBlockExt, 3)), ElementsAre("ublkb5"));
    EXPECT_THAT(below(makedev(kBlockExt, 4)), IsEmpty());
}

TEST_F(OwnStorageTest, PartitionLiesOnItsDisk) {
    put("ublkb5", makedev(kBlockExt, 3));
    put("ublkb5/ublkb5p1", makedev(kBlockExt, 4));
    EXPECT_THAT(below(makedev(kBlockExt, 4)), ElementsAre("ublkb5"));
}

TEST_F(OwnStorageTest, MappedDeviceLiesOnAllThatItsTablesName) {
    put("ublkb5", makedev(kBlockExt, 3));
    const fs::path partition = put("ublkb5/ublkb5p1", makedev(kBlockExt, 4));
    const fs::path disk = put("sda", makedev(8, 0));
    const fs::path lower = put("dm-0", makedev(kMapper, 0));
    const fs::path upper = put("dm-1", makedev(kMapper, 1));
    lay_on(lower, partition);
    lay_on(upper, lower);
    lay_on(upper, disk);
    EXPECT_THAT(below(makedev(kMapper, 1)), UnorderedElementsAre("dm-1", "dm-0", "ublkb5", "sda"));
}

TEST_F(OwnStorageTest, LoopDeviceLiesWhereItsFileDoes) {
    const fs::path loop = put("loop0", makedev(kLoop, 0));
    put("ublkb5", here());
    test::write_file(folder_ / "image", "x");
    fs::create_directories(loop / "loop");
    test::write_file(loop / "loop/backing_file", folder_ / "image\n");
    EXPECT_THAT(below(makedev(kLoop, 0)), ElementsAre("loop0", "ublkb5"));
    test::write_file(loop / "loop/backing_file", folder_ / "gone (deleted)\n");
    EXPECT_THAT(below(makedev(kLoop, 0)), ElementsAre("loop0"));
}

TEST_F(OwnStorageTest, RefusalSaysWhatIsServed) {
    const fs::path disk = put("ublkb5", makedev(kBlockExt, 3));
    lay_on(put("dm-0", makedev(kMapper, 0)), disk);
    put("sda", makedev(8, 0));
    const Status direct = check_not_own(block_device(makedev(kBlockExt, 3)), "/dev/ublkb5");
    ASSERT_FALSE(direct);
    EXPECT_EQ(EDEADLK, direct.error().code);
    EXPECT_EQ("/dev/ublkb5 is served by this daemon", direct.error().what);
    EXPECT_EQ("/dev/mapper/x lies on ublkb5, which is served by this daemon",
              check_not_own(block_device(makedev(kMapper, 0)), "/dev/mapper/x").error().what);
    EXPECT_TRUE(check_not_own(block_device(makedev(8, 0)), "/dev/sda"));
}

// At the daemon's stop its close waited, for ever, for a device that had left.
TEST_F(OwnStorageTest, FileOnAServedDeviceIsNotOpened) {
    put("ublkb5", here());
    const std::string disk = folder_ / "disk";
    test::write_file(disk, "x");
    const auto file = open_file({disk, "", 0, 0});
    ASSERT_FALSE(file);
    EXPECT_EQ(EDEADLK, file.error().code);
    EXPECT_THAT(file.error().what,
                HasSubstr("disk lies on ublkb5, which is served by this daemon"));
}

TEST_F(OwnStorageTest, NoFileIsCreatedOnAServedDevice) {
    put("ublkb5", here());
    const auto file = open_file({folder_ / "new", "", LUNKIT_FILE_CREATE, 4096});
    ASSERT_FALSE(file);
    EXPECT_EQ(EDEADLK, file.error().code);
    EXPECT_FALSE(fs::exists(folder_ / "new"));
}

TEST_F(OwnStorageTest, FileElsewhereIsOpened) {
    put("sda", here());
    const std::string disk = folder_ / "disk";
    test::write_file(disk, "x");
    EXPECT_TRUE(open_file({disk, "", 0, 0}));
}

}  // namespace

}  // namespace lunkit::host

// SPDX-License-Identifier: Apache-2.0
#include "ublk/device_folder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "support/child_process.hpp"

namespace lunkit::ublk {
namespace {

using test::TemporaryFolder;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

const DeviceRecord kRecord{.identity = 0xabc,
                           .config = "file//srv/a.img;direct=on",
                           .size = 4096 * 5,
                           .block_size = 4096,
                           .read_only = true};

class DeviceFolderTest : public testing::Test {
  protected:
    [[nodiscard]] std::string path() { return run_ / "ublk"; }
    [[nodiscard]] std::string file() { return path() + "/0000000000000abc.device"; }
    static unsigned mode_of(const std::string& path) {
        struct stat status{};
        EXPECT_EQ(::stat(path.c_str(), &status), 0);
        return status.st_mode & 0777U;
    }
    /// Writes `bytes` over the record's file, from `offset` on.
    void damage(std::streamoff offset, const std::string& bytes) {
        ASSERT_TRUE(folder_.write(kRecord));
        std::fstream(file(), std::ios::in | std::ios::out).seekp(offset) << bytes;
    }
    TemporaryFolder run_;
    DeviceFolder folder_ = *DeviceFolder::open(run_.path());
};

TEST_F(DeviceFolderTest, WhatWasWrittenIsReadByTheNext) {
    DeviceRecord other = kRecord;
    other.identity = ~std::uint64_t{0};
    ASSERT_TRUE(folder_.write(kRecord));
    ASSERT_TRUE(folder_.write(other));
    EXPECT_EQ(mode_of(file()), 0600U);
    EXPECT_THAT(DeviceFolder::open(run_.path())->read_all(), UnorderedElementsAre(kRecord, other));
    folder_.remove(other.identity);
    EXPECT_THAT(folder_.read_all(), ElementsAre(kRecord));
    EXPECT_THAT(folder_.read_all(), ElementsAre(kRecord));  // reading leaves no position behind
}

TEST_F(DeviceFolderTest, WritingAgainReplaces) {
    ASSERT_TRUE(folder_.write(kRecord));
    DeviceRecord longer = kRecord;
    longer.config += ";create=off";
    ASSERT_TRUE(folder_.write(longer));
    EXPECT_THAT(folder_.read_all(), ElementsAre(longer));
    EXPECT_FALSE(folder_.write({.identity = 1, .config = std::string(10'000, 'x')}));
}

TEST_F(DeviceFolderTest, RecordThatIsReplacedIsNeverMissing) {
    ASSERT_TRUE(folder_.write(kRecord));
    DeviceRecord larger = kRecord;
    larger.size *= 2;
    std::filesystem::create_directory(file() + ".new");  // the write cannot be finished
    EXPECT_FALSE(folder_.write(larger));
    EXPECT_THAT(folder_.read_all(), ElementsAre(kRecord));
}

TEST_F(DeviceFolderTest, MarkIsNoRecordAndGoesWithIt) {
    ASSERT_TRUE(folder_.write(kRecord));
    EXPECT_FALSE(folder_.is_fetching(kRecord.identity));
    ASSERT_TRUE(folder_.mark_fetching(kRecord.identity));
    ASSERT_TRUE(folder_.mark_fetching(kRecord.identity));
    EXPECT_TRUE(DeviceFolder::open(run_.path())->is_fetching(kRecord.identity));
    EXPECT_THAT(folder_.read_all(), ElementsAre(kRecord));
    folder_.remove(kRecord.identity);
    EXPECT_FALSE(folder_.is_fetching(kRecord.identity));
    EXPECT_TRUE(std::filesystem::is_empty(path()));
}

TEST_F(DeviceFolderTest, FileThatMakesNoSenseIsLeftAlone) {
    struct Damage {
        std::streamoff offset;
        std::string bytes;
    };
    for (const auto& [offset, bytes] :
         {Damage{0, "x"}, Damage{8, "x"}, Damage{16, "x"}, Damage{24, "x"}, Damage{28, "x"},
          Damage{32, "x"}, Damage{40, std::string(1, '\0')}}) {
        damage(offset, bytes);
        EXPECT_THAT(folder_.read_all(), IsEmpty()) << offset;
        EXPECT_TRUE(std::filesystem::exists(file()));
    }
}

TEST_F(DeviceFolderTest, ShortFileIsLeftAlone) {
    ASSERT_TRUE(folder_.write(kRecord));
    for (const unsigned size : {64U, 40U, 39U, 0U}) {
        std::filesystem::resize_file(file(), size);
        EXPECT_THAT(folder_.read_all(), IsEmpty()) << size;
    }
}

TEST_F(DeviceFolderTest, NameOfAnotherIdentityIsNotBelieved) {
    ASSERT_TRUE(folder_.write(kRecord));
    std::filesystem::rename(file(), path() + "/0000000000000abd.device");
    EXPECT_THAT(folder_.read_all(), IsEmpty());
}

TEST_F(DeviceFolderTest, FileThatIsALinkIsNotFollowed) {
    ASSERT_TRUE(folder_.write(kRecord));
    std::filesystem::rename(file(), run_ / "target");
    std::filesystem::create_symlink(run_ / "target", file());
    EXPECT_THAT(folder_.read_all(), IsEmpty());
    ASSERT_TRUE(folder_.write(kRecord));
    EXPECT_FALSE(std::filesystem::is_symlink(file()));
    EXPECT_THAT(folder_.read_all(), ElementsAre(kRecord));
}

TEST_F(DeviceFolderTest, FolderIsOursAlone) {
    EXPECT_EQ(mode_of(path()), 0700U);
    std::filesystem::permissions(path(), std::filesystem::perms::all);
    ASSERT_TRUE(DeviceFolder::open(run_.path()));
    EXPECT_EQ(mode_of(path()), 0700U);
    std::filesystem::remove(path());
    std::filesystem::create_directory(run_ / "elsewhere");
    std::filesystem::create_symlink(run_ / "elsewhere", path());
    EXPECT_FALSE(DeviceFolder::open(run_.path()));
}

TEST(UblkIdentity, IsAnotherEachTime) {
    const auto one = new_identity();
    const auto other = new_identity();
    ASSERT_TRUE(one && other);
    EXPECT_NE(*one, *other);
    EXPECT_NE(*one, 0U);
}

}  // namespace
}  // namespace lunkit::ublk

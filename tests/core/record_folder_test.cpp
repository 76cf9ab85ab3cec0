// SPDX-License-Identifier: Apache-2.0
#include "core/record_folder.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <string>
#include <vector>

#include "support/child_process.hpp"

namespace lunkit::core {
namespace {

class RecordFolderTest : public testing::Test {
  protected:
    [[nodiscard]] std::string path(const std::string& file) const {
        return run_ / "things/" + file;
    }
    [[nodiscard]] int error_of(const std::string& file, std::size_t most = 100) const {
        const Result<std::string> bytes = folder_.read(file, most);
        return bytes ? 0 : bytes.error().code;
    }

    test::TemporaryFolder run_;
    RecordFolder folder_ = *RecordFolder::open(run_.path(), "things");
};

TEST_F(RecordFolderTest, GivesBackWhatWasWrittenLast) {
    EXPECT_FALSE(folder_.has("a.thing"));
    ASSERT_TRUE(folder_.write("a.thing", "first, and longer"));
    ASSERT_TRUE(folder_.write("a.thing", std::string("b\0c", 3)));
    EXPECT_TRUE(folder_.has("a.thing"));
    EXPECT_EQ(*folder_.read("a.thing", 3), std::string("b\0c", 3));
    folder_.remove("a.thing");
    folder_.remove("a.thing");
    EXPECT_FALSE(folder_.has("a.thing"));
    EXPECT_EQ(error_of("a.thing"), ENOENT);
}

TEST_F(RecordFolderTest, ReadsNoMoreThanAsked) {
    ASSERT_TRUE(folder_.write("a", "four"));
    EXPECT_EQ(error_of("a", 4), 0);
    EXPECT_EQ(error_of("a", 3), EFBIG);
}

TEST_F(RecordFolderTest, ReadsOnlyFilesOfItsOwn) {
    std::ofstream(path("real")) << "x";
    ASSERT_EQ(::symlink("real", path("link").c_str()), 0);
    ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
    ASSERT_EQ(::mkdir(path("folder").c_str(), 0700), 0);
    EXPECT_EQ(error_of("link"), ELOOP);
    EXPECT_EQ(error_of("fifo"), EPERM);
    EXPECT_EQ(error_of("folder"), EPERM);
    EXPECT_TRUE(folder_.has("link"));  // the link itself
}

TEST_F(RecordFolderTest, WhatIsInTheWayOfWritingIsReplacedButForAFolder) {
    std::ofstream(run_ / "elsewhere") << "untouched";
    ASSERT_EQ(::symlink("../elsewhere", path("a").c_str()), 0);
    ASSERT_EQ(::symlink("../elsewhere", path("a.new").c_str()), 0);
    ASSERT_TRUE(folder_.write("a", "mine"));
    EXPECT_EQ(*folder_.read("a", 100), "mine");
    std::string elsewhere;
    std::ifstream(run_ / "elsewhere") >> elsewhere;
    EXPECT_EQ(elsewhere, "untouched");
    ASSERT_EQ(::mkdir(path("b").c_str(), 0700), 0);
    EXPECT_FALSE(folder_.write("b", "mine"));
    EXPECT_FALSE(folder_.has("b.new"));
}

TEST_F(RecordFolderTest, ListsTheFilesOfOneKind) {
    for (const char* const name : {"1.thing", "2.thing", "3.thing.new", "thing"}) {
        ASSERT_TRUE(folder_.write(name, {}));
    }
    std::vector<std::string> names = *folder_.list(".thing");
    std::ranges::sort(names);
    EXPECT_EQ(names, (std::vector<std::string>{"1.thing", "2.thing"}));
    EXPECT_EQ(folder_.list(".thing")->size(), 2U);  // once more from the beginning
}

}  // namespace
}  // namespace lunkit::core

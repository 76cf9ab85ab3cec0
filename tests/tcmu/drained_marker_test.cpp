// SPDX-License-Identifier: Apache-2.0
#include "tcmu/drained_marker.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "support/fake_kernel_tree.hpp"

namespace lunkit::tcmu {
namespace {

using test::FakeKernelTree;

const DrainedMarker kMarker{.name = "user_0/disk", .device_id = 9, .tail = 4096};

class MarkerFolderTest : public testing::Test {
  protected:
    std::string folder() { return tree.run_dir() + "/tcmu"; }
    FakeKernelTree tree;
};

TEST(DrainedMarker, TextComesBack) {
    EXPECT_EQ(DrainedMarker::parse(kMarker.to_text()), kMarker);
}

TEST(DrainedMarker, NonsenseIsNoMarker) {
    EXPECT_FALSE(DrainedMarker::parse(""));
    EXPECT_FALSE(DrainedMarker::parse("lunkit drained 2\nname=a\ndevice_id=1\ntail=0\n"));
    EXPECT_FALSE(DrainedMarker::parse("lunkit drained 1\nname=a\ndevice_id=1\ntail=-8\n"));
    EXPECT_FALSE(DrainedMarker::parse("lunkit drained 1\nname=a\ndevice_id=1\n"));
    EXPECT_FALSE(DrainedMarker::parse(kMarker.to_text() + "more"));
    EXPECT_FALSE(DrainedMarker::parse(kMarker.to_text().substr(0, 40)));
}

TEST_F(MarkerFolderTest, MarkerIsTakenOnce) {
    const MarkerFolder markers = *MarkerFolder::open(tree.run_dir());
    ASSERT_TRUE(markers.write(3, kMarker).has_value());
    EXPECT_FALSE(markers.take(4));
    EXPECT_EQ(markers.take(3), kMarker);
    EXPECT_FALSE(markers.take(3));
}

TEST_F(MarkerFolderTest, LaterMarkerReplaces) {
    const MarkerFolder markers = *MarkerFolder::open(tree.run_dir());
    ASSERT_TRUE(markers.write(3, {.name = "old", .device_id = 1, .tail = 0}).has_value());
    ASSERT_TRUE(markers.write(3, kMarker).has_value());
    EXPECT_EQ(markers.take(3), kMarker);
}

TEST_F(MarkerFolderTest, FolderIsOursAlone) {
    ASSERT_TRUE(MarkerFolder::open(tree.run_dir()).has_value());
    struct stat status{};
    ASSERT_EQ(::stat(folder().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0700U);
}

TEST_F(MarkerFolderTest, OpenFolderIsClosedToOthers) {
    std::filesystem::create_directories(folder());
    std::filesystem::permissions(folder(), std::filesystem::perms::all);
    ASSERT_TRUE(MarkerFolder::open(tree.run_dir()).has_value());
    struct stat status{};
    ASSERT_EQ(::stat(folder().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0700U);
}

TEST_F(MarkerFolderTest, FolderThatIsALinkIsRefused) {
    std::filesystem::create_directories(tree.root() + "/elsewhere");
    std::filesystem::create_directories(tree.run_dir());
    std::filesystem::create_symlink(tree.root() + "/elsewhere", folder());
    EXPECT_FALSE(MarkerFolder::open(tree.run_dir()).has_value());
}

TEST_F(MarkerFolderTest, MarkerThatIsALinkIsNotFollowed) {
    const MarkerFolder markers = *MarkerFolder::open(tree.run_dir());
    FakeKernelTree::put(tree.root() + "/target", kMarker.to_text());
    std::filesystem::create_symlink(tree.root() + "/target", folder() + "/uio3.drained");
    EXPECT_FALSE(markers.take(3));
    EXPECT_TRUE(std::filesystem::exists(tree.root() + "/target"));
}

TEST_F(MarkerFolderTest, WritingDoesNotFollowALink) {
    const MarkerFolder markers = *MarkerFolder::open(tree.run_dir());
    FakeKernelTree::put(tree.root() + "/target", "precious");
    std::filesystem::create_symlink(tree.root() + "/target", folder() + "/uio3.drained.new");
    std::filesystem::create_symlink(tree.root() + "/target", folder() + "/uio3.drained");
    ASSERT_TRUE(markers.write(3, kMarker).has_value());
    EXPECT_EQ(FakeKernelTree::get(tree.root() + "/target"), "precious");
    EXPECT_EQ(markers.take(3), kMarker);
}

TEST_F(MarkerFolderTest, GarbageIsRemovedAndNotBelieved) {
    const MarkerFolder markers = *MarkerFolder::open(tree.run_dir());
    FakeKernelTree::put(folder() + "/uio3.drained", "garbage");
    EXPECT_FALSE(markers.take(3));
    EXPECT_FALSE(std::filesystem::exists(folder() + "/uio3.drained"));
}

}  // namespace
}  // namespace lunkit::tcmu

// SPDX-License-Identifier: Apache-2.0
#include "tcmu/inflight_folder.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>

#include "support/fake_kernel_tree.hpp"

namespace lunkit::tcmu {
namespace {

using test::FakeKernelTree;

const TableOwner kOwner{.name = "user_0/disk", .device_id = 9, .node = 77};
constexpr std::size_t kBytes = 10'000;

class InflightFolderTest : public testing::Test {
  protected:
    std::string folder() { return tree.run_dir() + "/tcmu"; }
    unsigned mode_of(const std::string& path) {
        struct stat status{};
        EXPECT_EQ(::stat(path.c_str(), &status), 0);
        return status.st_mode & 0777U;
    }
    FakeKernelTree tree;
    std::uint64_t node = kOwner.node;  // of the device that has the minor
    InflightFolder::NodeOf node_of = [this](std::uint32_t) { return node; };
    InflightFolder tables = *InflightFolder::open(tree.run_dir(), node_of);
};

TEST_F(InflightFolderTest, WhatWasWrittenIsFound) {
    const TableMemory made = *tables.make(3, kOwner, kBytes);
    ASSERT_EQ(made.table().size(), kBytes);
    EXPECT_EQ(made.table()[kBytes - 1], std::byte{0});
    made.table()[kBytes - 1] = std::byte{5};
    const auto found = tables.find(3, kOwner, kBytes);
    ASSERT_TRUE(found.has_value());
    EXPECT_EQ(found->table()[kBytes - 1], std::byte{5});
    EXPECT_EQ(mode_of(folder() + "/uio3.inflight"), 0600U);
}

TEST_F(InflightFolderTest, FileOfAnotherIsNotFound) {
    (void)*tables.make(3, kOwner, kBytes);
    EXPECT_FALSE(tables.find(4, kOwner, kBytes));
    EXPECT_FALSE(tables.find(3, kOwner, kBytes + 8));
    for (const TableOwner& other :
         {TableOwner{"user_0/dis", 9, 77}, TableOwner{"user_0/disk", 8, 77},
          TableOwner{"user_0/disk", 9, 78}}) {
        EXPECT_FALSE(tables.find(3, other, kBytes)) << other.name;
    }
    EXPECT_TRUE(tables.find(3, kOwner, kBytes));
}

TEST_F(InflightFolderTest, NewFileReplacesTheOldOne) {
    (*tables.make(3, kOwner, kBytes)).table()[0] = std::byte{5};
    const TableMemory made = *tables.make(3, kOwner, kBytes);
    EXPECT_EQ(made.table()[0], std::byte{0});
    tables.remove(3, kOwner.node);
    EXPECT_FALSE(tables.find(3, kOwner, kBytes));
}

TEST_F(InflightFolderTest, DeviceThatIsGoneLeavesTheTableOfTheNext) {
    const TableOwner next{.name = "user_0/next", .device_id = 10, .node = 78};
    node = next.node;
    (void)*tables.make(3, next, kBytes);
    EXPECT_EQ(tables.make(3, kOwner, kBytes).error().code, ENODEV);
    tables.remove(3, kOwner.node);
    EXPECT_TRUE(tables.find(3, next, kBytes));
}

TEST_F(InflightFolderTest, FileThatIsALinkIsNotFollowed) {
    (void)*tables.make(3, kOwner, kBytes);
    std::filesystem::rename(folder() + "/uio3.inflight", tree.root() + "/target");
    std::filesystem::create_symlink(tree.root() + "/target", folder() + "/uio3.inflight");
    EXPECT_FALSE(tables.find(3, kOwner, kBytes));
    EXPECT_TRUE(tables.make(3, kOwner, kBytes));
    EXPECT_TRUE(std::filesystem::is_regular_file(
        std::filesystem::symlink_status(folder() + "/uio3.inflight")));
}

TEST_F(InflightFolderTest, TruncatedFileIsNotFound) {
    (void)*tables.make(3, kOwner, kBytes);
    std::filesystem::resize_file(folder() + "/uio3.inflight", 100);
    EXPECT_FALSE(tables.find(3, kOwner, kBytes));
}

TEST_F(InflightFolderTest, FolderIsOursAlone) {
    EXPECT_EQ(mode_of(folder()), 0700U);
    std::filesystem::permissions(folder(), std::filesystem::perms::all);
    ASSERT_TRUE(InflightFolder::open(tree.run_dir(), node_of).has_value());
    EXPECT_EQ(mode_of(folder()), 0700U);
}

TEST_F(InflightFolderTest, FolderThatIsALinkIsRefused) {
    std::filesystem::create_directories(tree.root() + "/elsewhere");
    std::filesystem::remove(folder());
    std::filesystem::create_symlink(tree.root() + "/elsewhere", folder());
    EXPECT_FALSE(InflightFolder::open(tree.run_dir(), node_of).has_value());
}

}  // namespace
}  // namespace lunkit::tcmu

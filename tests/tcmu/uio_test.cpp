// SPDX-License-Identifier: Apache-2.0
#include "tcmu/uio.hpp"

#include <gtest/gtest.h>

#include <cerrno>

#include "support/fake_kernel_tree.hpp"

namespace lunkit::tcmu {
namespace {

using namespace std::chrono_literals;
using test::FakeKernelTree;

TEST(ListUioDevices, FindsOursInOrder) {
    FakeKernelTree tree;
    tree.add_uio(10, "tcm-user/1/b/ram/x", 4096);
    tree.add_uio(2, "tcm-user/0/a/file//srv/a", 4096);
    tree.add_uio(0, "some_other_driver", 4096);
    FakeKernelTree::put(tree.paths.uio_class + "/strange/name", "tcm-user/7/c/ram/x\n");
    const auto devices = list_uio_devices(tree.paths);
    ASSERT_TRUE(devices.has_value());
    ASSERT_EQ(devices->size(), 2U);
    EXPECT_EQ(devices->at(0).minor, 2U);
    EXPECT_EQ(devices->at(0).name.folder(), "user_0/a");
    EXPECT_EQ(devices->at(1).minor, 10U);
}

TEST(ListUioDevices, NoneIsNoError) {
    FakeKernelTree tree;
    EXPECT_TRUE(list_uio_devices(tree.paths)->empty());
    std::filesystem::remove_all(tree.paths.uio_class);
    EXPECT_TRUE(list_uio_devices(tree.paths)->empty());
}

TEST(OpenUio, MapsExactlyWhatSysfsSays) {
    FakeKernelTree tree;
    tree.add_uio(4, "tcm-user/0/a/ram/x", 12288);
    FakeKernelTree::put(tree.paths.dev + "/uio4", std::string(12288, 'x'));
    const auto node = open_uio(tree.paths, 4, 0ms);
    ASSERT_TRUE(node.has_value()) << node.error().what;
    EXPECT_EQ(node->map.bytes().size(), 12288U);
    EXPECT_EQ(node->map.bytes()[12287], std::byte{'x'});
}

TEST(OpenUio, MissingNodeIsAnError) {
    FakeKernelTree tree;
    const auto node = open_uio(tree.paths, 4, 0ms);
    ASSERT_FALSE(node.has_value());
    EXPECT_EQ(node.error().code, ENOENT);
}

TEST(OpenUio, NonsenseForASizeIsAnError) {
    FakeKernelTree tree;
    tree.add_uio(4, "tcm-user/0/a/ram/x", 4096);
    FakeKernelTree::put(tree.paths.uio_class + "/uio4/maps/map0/size", "many\n");
    FakeKernelTree::put(tree.paths.dev + "/uio4", "x");
    EXPECT_EQ(open_uio(tree.paths, 4, 0ms).error().code, EPROTO);
}

}  // namespace
}  // namespace lunkit::tcmu

// SPDX-License-Identifier: Apache-2.0
#include "dm_user/control_node.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

namespace lunkit::dm_user {
namespace {

using testing::HasSubstr;

TEST(ControlName, IsTheNameOrTheNode) {
    EXPECT_EQ(*parse_control_name("disk"), "disk");
    EXPECT_EQ(*parse_control_name("/dev/dm-user/disk"), "disk");
    EXPECT_EQ(*parse_control_name("a/b"), "a/b");
    EXPECT_EQ(control_node("a/b"), "/dev/dm-user/a/b");
}

TEST(ControlName, NamesNothingElsewhere) {
    for (const std::string& wrong :
         {std::string(), std::string("/"), std::string("/dev/sda"), std::string("../sda"),
          std::string("a/../../sda"), std::string("a//b"), std::string("a/"), std::string("."),
          std::string("/dev/dm-user/"), std::string(128, 'x'), std::string("a\0b", 3)}) {
        const Result<std::string> name = parse_control_name(wrong);
        ASSERT_FALSE(name) << wrong;
        EXPECT_EQ(name.error().code, EINVAL);
        EXPECT_THAT(name.error().what, HasSubstr("no control node"));
    }
}

TEST(ControlNode, ThatIsMissingTellsWhatToDo) {
    const Status there = check_control_node("no-such-target");
    ASSERT_FALSE(there);
    EXPECT_EQ(there.error().code, ENOENT);
    EXPECT_THAT(there.error().what, HasSubstr("there is no /dev/dm-user/no-such-target"));
    EXPECT_THAT(there.error().what, HasSubstr("dmsetup create"));
}

}  // namespace
}  // namespace lunkit::dm_user

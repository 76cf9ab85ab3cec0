// SPDX-License-Identifier: Apache-2.0
#include "core/dm_user_name.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <string>

namespace lunkit::core {
namespace {

using testing::HasSubstr;

TEST(DmUserName, IsTheNameOrTheNode) {
    EXPECT_EQ(*parse_dm_user_name("disk"), "disk");
    EXPECT_EQ(*parse_dm_user_name("/dev/dm-user/disk"), "disk");
    EXPECT_EQ(*parse_dm_user_name("a/b"), "a/b");
    EXPECT_EQ(dm_user_node("a/b"), "/dev/dm-user/a/b");
}

TEST(DmUserName, NamesNothingElsewhere) {
    for (const std::string& wrong :
         {std::string(), std::string("/"), std::string("/dev/sda"), std::string("../sda"),
          std::string("a/../../sda"), std::string("a//b"), std::string("a/"), std::string("."),
          std::string("/dev/dm-user/"), std::string(128, 'x'), std::string("a\0b", 3)}) {
        const Result<std::string> name = parse_dm_user_name(wrong);
        ASSERT_FALSE(name) << wrong;
        EXPECT_EQ(name.error().code, EINVAL);
        EXPECT_THAT(name.error().what, HasSubstr("no control node"));
    }
}

}  // namespace
}  // namespace lunkit::core

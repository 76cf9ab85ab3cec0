// SPDX-License-Identifier: Apache-2.0
#include "dm_user/control_node.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

namespace lunkit::dm_user {
namespace {

using testing::HasSubstr;

TEST(ControlNode, ThatIsMissingTellsWhatToDo) {
    const Result<core::FileIdentity> there = find_control_node("no-such-target");
    ASSERT_FALSE(there);
    EXPECT_EQ(there.error().code, ENOENT);
    EXPECT_THAT(there.error().what, HasSubstr("there is no /dev/dm-user/no-such-target"));
    EXPECT_THAT(there.error().what, HasSubstr("dmsetup create"));
}

}  // namespace
}  // namespace lunkit::dm_user

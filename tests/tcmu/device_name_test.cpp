// SPDX-License-Identifier: Apache-2.0
#include "tcmu/device_name.hpp"

#include <gtest/gtest.h>

namespace lunkit::tcmu {
namespace {

TEST(DeviceName, HasThreeParts) {
    const auto name = DeviceName::parse("tcm-user/12/disk1/file//srv/a;direct=on");
    ASSERT_TRUE(name.has_value());
    EXPECT_EQ(name->hba, 12U);
    EXPECT_EQ(name->device, "disk1");
    EXPECT_EQ(name->config, "file//srv/a;direct=on");
    EXPECT_EQ(name->folder(), "user_12/disk1");
}

TEST(DeviceName, ConfigurationMayBeAbsent) {
    EXPECT_EQ(DeviceName::parse("tcm-user/0/disk1")->config, "");
}

TEST(DeviceName, OthersAreNotOurs) {
    EXPECT_FALSE(DeviceName::parse("hv_uio").has_value());
    EXPECT_FALSE(DeviceName::parse("").has_value());
    EXPECT_FALSE(DeviceName::parse("tcm-user").has_value());
}

TEST(DeviceName, PartsThatCannotBeFoldersAreRefused) {
    EXPECT_FALSE(DeviceName::parse("tcm-user/x/disk/ram/a").has_value());
    EXPECT_FALSE(DeviceName::parse("tcm-user/-1/disk/ram/a").has_value());
    EXPECT_FALSE(DeviceName::parse("tcm-user/0").has_value());
    EXPECT_FALSE(DeviceName::parse("tcm-user/0/").has_value());
    EXPECT_FALSE(DeviceName::parse("tcm-user/0/../ram/a").has_value());
    EXPECT_FALSE(DeviceName::parse("tcm-user/0//ram/a").has_value());
    EXPECT_FALSE(DeviceName::parse("tcm-user/99999999999/disk/ram/a").has_value());
}

}  // namespace
}  // namespace lunkit::tcmu

// SPDX-License-Identifier: Apache-2.0
#include "control/config_check.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace lunkit::control {
namespace {

using testing::HasSubstr;

std::string complaint(const std::string& config) {
    const Status status = check_config_string(config);
    return status ? "" : status.error().what;
}

TEST(ConfigString, PathsAndKeysPass) {
    EXPECT_EQ(complaint("file//var/lib/vol1.img;direct=on"), "");
    EXPECT_EQ(complaint("ram/x"), "");
}

TEST(ConfigString, NeedsAHandler) {
    EXPECT_THAT(complaint("file"), HasSubstr("<handler>/"));
    EXPECT_THAT(complaint("/var/x"), HasSubstr("<handler>/"));
    EXPECT_THAT(complaint(""), HasSubstr("<handler>/"));
}

TEST(ConfigString, Has255BytesAtMost) {
    EXPECT_EQ(complaint("ram/" + std::string(251, 'x')), "");
    EXPECT_THAT(complaint("ram/" + std::string(252, 'x')), HasSubstr("256 bytes"));
}

TEST(ConfigString, CommaWouldEndItInTheKernel) {
    EXPECT_THAT(complaint("file//a,b"), HasSubstr("','"));
}

TEST(ConfigString, ColonAndBlankWouldBeLostWhenTargetcliSaves) {
    EXPECT_THAT(complaint("file//a:b"), HasSubstr("':'"));
    EXPECT_THAT(complaint("file//a b"), HasSubstr("' '"));
}

TEST(ConfigString, ControlCharactersAreRefused) {
    EXPECT_THAT(complaint("file//a\nb"), HasSubstr("control character"));
}

}  // namespace
}  // namespace lunkit::control

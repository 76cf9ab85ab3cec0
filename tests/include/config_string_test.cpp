// SPDX-License-Identifier: Apache-2.0
#include "lunkit/config_string.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstdint>
#include <string>

namespace lunkit {
namespace {

ConfigString parsed(std::string_view text) {
    Result<ConfigString> config = ConfigString::parse(text);
    EXPECT_TRUE(config) << text;
    return config ? *config : ConfigString{};
}

TEST(ConfigString, TargetIsWhatStandsBeforeTheFirstSemicolon) {
    EXPECT_EQ(parsed("/var/lib/vol1.img;direct=on").target(), "/var/lib/vol1.img");
    EXPECT_EQ(parsed("/a/b=c").target(), "/a/b=c");
    EXPECT_EQ(parsed("").target(), "");
}

TEST(ConfigString, ValueMayContainAnEqualsSign) {
    ConfigString config = parsed("x;label=a=b");
    EXPECT_EQ(config.text("label", ""), "a=b");
}

TEST(ConfigString, MissingKeyGivesTheFallback) {
    ConfigString config = parsed("x");
    EXPECT_EQ(config.text("a", "b"), "b");
    EXPECT_EQ(config.boolean("c", true), true);
    EXPECT_EQ(config.bytes("d", 7), 7U);
}

TEST(ConfigString, ItemWithoutAKeyIsRefused) {
    for (const char* text : {"x;direct", "x;=on", "x;", "x;a=1;"}) {
        const Result<ConfigString> config = ConfigString::parse(text);
        ASSERT_FALSE(config) << text;
        EXPECT_EQ(config.error().code, EINVAL);
    }
}

TEST(ConfigString, RepeatedKeyIsRefusedByName) {
    const Result<ConfigString> config = ConfigString::parse("x;a=1;a=2");
    ASSERT_FALSE(config);
    EXPECT_NE(config.error().what.find("'a'"), std::string::npos);
}

TEST(ConfigString, KeyThatNobodyTookIsNamed) {
    ConfigString config = parsed("x;direct=on;dierct=off");
    EXPECT_TRUE(config.boolean("direct", false));
    const Status status = config.finish();
    ASSERT_FALSE(status);
    EXPECT_NE(status.error().what.find("'dierct'"), std::string::npos);
}

TEST(ConfigString, AllKeysTakenIsFine) {
    ConfigString config = parsed("x;a=1;b=2");
    EXPECT_TRUE(config.text("a", ""));
    EXPECT_TRUE(config.text("b", ""));
    EXPECT_TRUE(config.finish());
}

TEST(ConfigString, BooleanKnowsFourPairsOfWords) {
    for (const char* word : {"on", "yes", "true", "1"}) {
        EXPECT_EQ(parsed(std::string("x;k=") + word).boolean("k", false), true) << word;
    }
    for (const char* word : {"off", "no", "false", "0"}) {
        EXPECT_EQ(parsed(std::string("x;k=") + word).boolean("k", true), false) << word;
    }
    EXPECT_FALSE(parsed("x;k=On").boolean("k", true));
    EXPECT_FALSE(parsed("x;k=").boolean("k", true));
}

TEST(ConfigString, BytesTakePowersOf1024) {
    EXPECT_EQ(parsed("x;k=512").bytes("k", 0), 512U);
    EXPECT_EQ(parsed("x;k=3K").bytes("k", 0), 3U << 10);
    EXPECT_EQ(parsed("x;k=512M").bytes("k", 0), 512ULL << 20);
    EXPECT_EQ(parsed("x;k=2G").bytes("k", 0), 2ULL << 30);
    EXPECT_EQ(parsed("x;k=1T").bytes("k", 0), 1ULL << 40);
}

TEST(ConfigString, BytesThatAreNoNumberAreRefused) {
    for (const char* value : {"", "K", "-1", "1.5G", "12k", "0x10", " 1", "1MM"}) {
        EXPECT_FALSE(parsed(std::string("x;k=") + value).bytes("k", 0)) << value;
    }
}

TEST(ConfigString, BytesThatDoNotFitSixtyFourBitsAreRefused) {
    EXPECT_EQ(parsed("x;k=16777215T").bytes("k", 0), 16777215ULL << 40);
    EXPECT_FALSE(parsed("x;k=16777216T").bytes("k", 0));
    EXPECT_FALSE(parsed("x;k=99999999999999999999").bytes("k", 0));
}

}  // namespace
}  // namespace lunkit

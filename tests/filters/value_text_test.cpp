// SPDX-License-Identifier: Apache-2.0
#include "filters/value_text.hpp"

#include <gtest/gtest.h>

namespace lunkit::filters {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): 5ms

TEST(ParseDuration, TakesMicrosecondsMillisecondsAndSeconds) {
    EXPECT_EQ(100us, *parse_duration("100us"));
    EXPECT_EQ(5ms, *parse_duration("5ms"));
    EXPECT_EQ(2s, *parse_duration("2s"));
    EXPECT_EQ(0s, *parse_duration("0s"));
    EXPECT_EQ(1h, *parse_duration("3600s"));
}

TEST(ParseDuration, RefusesWhatIsNone) {
    for (const char* text :
         {"", "5", "ms", "-5ms", "5m", "1.5s", "3601s", "5 ms", "99999999999us"}) {
        EXPECT_FALSE(parse_duration(text)) << text;
    }
}

TEST(ParseShare, TakesPercent) {
    EXPECT_EQ(kWhole, *parse_share("100%"));
    EXPECT_EQ(10000U, *parse_share("1%"));
    EXPECT_EQ(2500U, *parse_share("0.25%"));
    EXPECT_EQ(1U, *parse_share("0.0001%"));
}

TEST(ParseShare, RefusesWhatIsNone) {
    for (const char* text :
         {"", "1", "%", "0%", "0.0%", "101%", "100.1%", "-1%", "0.00001%", "1.%", ".5%", "1.-5%"}) {
        EXPECT_FALSE(parse_share(text)) << text;
    }
}

TEST(ParseSwitch, TakesWhatHandlersTake) {
    for (const char* text : {"on", "yes", "true", "1"}) {
        const auto value = parse_switch(text);
        EXPECT_TRUE(value && *value) << text;
    }
    for (const char* text : {"off", "no", "false", "0"}) {
        const auto value = parse_switch(text);
        EXPECT_TRUE(value && !*value) << text;
    }
    EXPECT_FALSE(parse_switch("maybe"));
}

}  // namespace lunkit::filters

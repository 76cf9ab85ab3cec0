// SPDX-License-Identifier: Apache-2.0
#include "control/options.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lunkit::control {
namespace {

using testing::HasSubstr;
using Action = Options::Action;

TEST(Options, WithoutAnyTheDaemonRunsWithTheDefaultFileIfThereIsOne) {
    const Options options = parse_options({"lunkitd"});
    EXPECT_EQ(options.action, Action::kRun);
    EXPECT_FALSE(options.foreground);
    EXPECT_EQ(options.source.path, "/etc/lunkit/lunkitd.conf");
    EXPECT_EQ(options.source.when_missing, WhenMissing::kDefaults);
    EXPECT_FALSE(options.source.log_level);
}

TEST(Options, AllAreTaken) {
    const Options options = parse_options(
        {"lunkitd", "--foreground", "--config", "/c", "--log-level=debug", "--handler-dir", "/h"});
    EXPECT_EQ(options.action, Action::kRun);
    EXPECT_TRUE(options.foreground);
    EXPECT_EQ(options.source.path, "/c");
    EXPECT_EQ(options.source.when_missing, WhenMissing::kError);
    EXPECT_EQ(options.source.log_level, core::LogLevel::kDebug);
    EXPECT_EQ(options.source.handler_dir, "/h");
}

TEST(Options, UnknownOptionIsAUsageError) {
    const Options options = parse_options({"lunkitd", "--daemonize"});
    EXPECT_EQ(options.action, Action::kUsageError);
    EXPECT_THAT(options.text, HasSubstr("--daemonize"));
}

TEST(Options, StrayArgumentIsAUsageError) {
    const Options options = parse_options({"lunkitd", "start"});
    EXPECT_EQ(options.action, Action::kUsageError);
    EXPECT_THAT(options.text, HasSubstr("'start'"));
}

TEST(Options, UnknownLogLevelIsAUsageErrorThatNamesTheLevels) {
    const Options options = parse_options({"lunkitd", "--log-level", "5"});
    EXPECT_EQ(options.action, Action::kUsageError);
    EXPECT_THAT(options.text, HasSubstr("error, warning, notice, info, debug"));
}

TEST(Options, VersionAndHelpArePrinted) {
    EXPECT_EQ(parse_options({"lunkitd", "--version"}).text, "lunkitd " LUNKIT_VERSION "\n");
    const Options help = parse_options({"lunkitd", "--help"});
    EXPECT_EQ(help.action, Action::kPrint);
    EXPECT_THAT(help.text, HasSubstr("--check-config"));
}

}  // namespace
}  // namespace lunkit::control

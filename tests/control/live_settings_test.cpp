// SPDX-License-Identifier: Apache-2.0
#include "control/live_settings.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "support/child_process.hpp"

namespace lunkit::control {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

TEST(LiveSettings, ReloadAppliesWhatMayChange) {
    LiveSettings settings(core::Settings{});
    core::Settings fresh;
    fresh.foreign_timeout = 5ms;
    fresh.log_level = core::LogLevel::kDebug;
    const auto applied = settings.apply(fresh);
    EXPECT_THAT(applied.changed, ElementsAre("[daemon] log_level: 'info' -> 'debug'",
                                             "[tcmu] foreign_timeout_ms: '10000' -> '5'"));
    EXPECT_THAT(applied.need_restart, IsEmpty());
    EXPECT_EQ(settings.current().foreign_timeout, 5ms);
    EXPECT_EQ(settings.current().log_level, core::LogLevel::kDebug);
}

TEST(LiveSettings, ReloadLeavesWhatNeedsARestart) {
    LiveSettings settings(core::Settings{});
    core::Settings fresh;
    fresh.queues = 7;
    const auto applied = settings.apply(fresh);
    EXPECT_THAT(applied.changed, IsEmpty());
    EXPECT_THAT(applied.need_restart, ElementsAre("[queues] queues: '0' -> '7'"));
    EXPECT_EQ(settings.current().queues, 0U);
}

TEST(LiveSettings, CommandLineWinsOverTheFile) {
    const test::TemporaryFolder folder;
    std::ofstream(folder / "f") << "[daemon]\nlog_level=error\nhandler_dir=/a\n";
    SettingsSource source;
    source.path = folder / "f";
    source.log_level = core::LogLevel::kDebug;
    source.handler_dir = "/b";
    const auto settings = load_settings(source);
    ASSERT_TRUE(settings);
    EXPECT_EQ(settings->log_level, core::LogLevel::kDebug);
    EXPECT_EQ(settings->handler_dir, "/b");
}

}  // namespace
}  // namespace lunkit::control

// SPDX-License-Identifier: Apache-2.0
#include "control/settings_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <iterator>
#include <string>

#include "control/settings_table.hpp"
#include "support/child_process.hpp"

namespace lunkit::control {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

SettingsErrors errors_of(const std::string& text) {
    const SettingsResult result = parse_settings(text, "f");
    return result ? SettingsErrors{} : result.error();
}

std::string content_of(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

void expect_equal(const core::Settings& a, const core::Settings& b) {
    for (const SettingKey& row : settings_table()) {
        EXPECT_EQ(row.print(a), row.print(b)) << row.key;
    }
}

TEST(SettingsFile, EmptyTextGivesTheDefaults) {
    const auto settings = parse_settings("", "f");
    ASSERT_TRUE(settings);
    expect_equal(*settings, core::Settings{});
}

TEST(SettingsFile, EveryKeyReachesItsField) {
    const auto settings = parse_settings(
        "# a comment\n; another\n\n"
        "[daemon]\nlog_level = debug\nhandler_dir=/h\nrun_dir=/r\nallowed_dirs=/a;/b c\n"
        "lock_memory=yes\n"
        "[queues]\r\nengine=threads\r\nqueues=3\r\nspin_us=0\r\n"
        "[ublk]\nenabled=no\n[dm_user]\nenabled=no\n[dm_log]\nenabled=no\n[tcmu]\nenabled="
        "no\nforeign_subtypes="
        "ignore\nforeign_timeout_ms=1\n"
        "bring_up_timeout_ms=2\ndrain_timeout_ms=3\n"
        "copy_pairs=file/a > file/b;ram/c>file/my-lun",
        "f");
    ASSERT_TRUE(settings) << settings.error().front();
    EXPECT_EQ(settings->log_level, core::LogLevel::kDebug);
    EXPECT_EQ(settings->handler_dir, "/h");
    EXPECT_EQ(settings->run_dir, "/r");
    EXPECT_THAT(settings->allowed_dirs, ElementsAre("/a", "/b c"));
    EXPECT_TRUE(settings->lock_memory);
    EXPECT_EQ(settings->engine, core::EngineChoice::kThreads);
    EXPECT_EQ(settings->queues, 3U);
    EXPECT_EQ(settings->spin, 0us);
    EXPECT_FALSE(settings->tcmu);
    EXPECT_FALSE(settings->ublk);
    EXPECT_FALSE(settings->dm_user);
    EXPECT_FALSE(settings->dm_log);
    EXPECT_EQ(settings->foreign_subtypes, core::ForeignSubtype::kIgnore);
    EXPECT_EQ(settings->foreign_timeout, 1ms);
    EXPECT_EQ(settings->bring_up_timeout, 2ms);
    EXPECT_EQ(settings->drain_timeout, 3ms);
    EXPECT_THAT(settings->copy_pairs, ElementsAre(core::CopyPair{"file/a", "file/b"},
                                                  core::CopyPair{"ram/c", "file/my-lun"}));
}

TEST(SettingsFile, AllErrorsAreToldWithTheirLines) {
    EXPECT_THAT(errors_of("[daemon]\nlog_level=loud\n\n[tcmu]\nenabled=maybe\n"),
                ElementsAre("f:2: log_level: 'loud' is none of error, warning, notice, info, debug",
                            HasSubstr("f:5: enabled: 'maybe' is none of yes, no")));
}

TEST(SettingsFile, UnknownKeyIsAnErrorThatNamesTheRightGroup) {
    EXPECT_THAT(errors_of("[daemon]\ncolour=red\nspin_us=1\n"),
                ElementsAre("f:2: unknown key 'colour' in [daemon]",
                            "f:3: unknown key 'spin_us' in [daemon] (it belongs into [queues])"));
}

TEST(SettingsFile, UnknownGroupIsOneErrorAndNotOnePerKey) {
    EXPECT_THAT(errors_of("[demon]\na=1\nb=2\n"), ElementsAre("f:1: unknown group [demon]"));
}

TEST(SettingsFile, KeyGivenTwiceIsAnError) {
    EXPECT_THAT(errors_of("[queues]\nspin_us=1\nspin_us=1\n"),
                ElementsAre("f:3: key 'spin_us' is already on line 2"));
}

TEST(SettingsFile, GroupGivenTwiceIsAnError) {
    EXPECT_THAT(errors_of("[queues]\n[tcmu]\n[queues]\n"),
                ElementsAre("f:3: group [queues] is already on line 1"));
}

TEST(SettingsFile, KeyBeforeTheFirstGroupIsAnError) {
    EXPECT_THAT(errors_of("spin_us=1\n"),
                ElementsAre("f:1: key 'spin_us' stands before the first [group]"));
}

TEST(SettingsFile, TextThatIsNeitherGroupNorKeyIsAnError) {
    EXPECT_THAT(errors_of("[daemon\nlog_level\n=x\n"),
                ElementsAre("f:1: '[daemon' lacks its ']'",
                            "f:2: 'log_level' is neither [group] nor key=value",
                            "f:3: '=x' is neither [group] nor key=value"));
}

TEST(SettingsFile, ControlCharactersAreAnError) {
    EXPECT_THAT(errors_of(std::string("[daemon]\nrun_dir=/a\0b\n", 21)),
                ElementsAre("f:2: control characters"));
}

TEST(SettingsFile, NumbersOutOfRangeOrWithUnitsAreErrors) {
    for (const char* const value : {"-1", "4097", "99999999999999999999", "", "3s", " ", "0x3"}) {
        EXPECT_THAT(errors_of("[queues]\nqueues=" + std::string(value) + "\n"),
                    ElementsAre(HasSubstr("is not a number from 0 to 4096")))
            << value;
    }
}

TEST(SettingsFile, DirectoriesMustBeAbsolute) {
    EXPECT_THAT(errors_of("[daemon]\nrun_dir=run\nallowed_dirs=/a;b\nhandler_dir=/a/../b\n"),
                ElementsAre("f:2: run_dir: 'run' is not an absolute path",
                            "f:3: allowed_dirs: 'b' is not an absolute path",
                            "f:4: handler_dir: '/a/../b' contains '..'"));
}

TEST(SettingsFile, CopyPairsHaveTwoEndsEachANameOfTargetcli) {
    for (const char* const value :
         {"file/a", "file/a>", ">file/b", "a>b", "file/a>file/", "/a>file/b",
          "file/a>file/b>file/c", "file/a>file/b/c", "file/a b>file/c", "file/a>file/b;;"}) {
        EXPECT_THAT(errors_of("[tcmu]\ncopy_pairs=" + std::string(value) + "\n"),
                    ElementsAre(HasSubstr("copy_pairs: '")))
            << value;
    }
}

TEST(SettingsFile, MissingFileMeansDefaultsUnlessItWasNamed) {
    const auto defaults = read_settings("/nowhere/lunkitd.conf", WhenMissing::kDefaults);
    ASSERT_TRUE(defaults);
    expect_equal(*defaults, core::Settings{});
    const auto named = read_settings("/nowhere/lunkitd.conf", WhenMissing::kError);
    ASSERT_FALSE(named);
    EXPECT_THAT(named.error(), ElementsAre("/nowhere/lunkitd.conf: No such file or directory"));
}

TEST(SettingsFile, WhatIsNoRegularFileIsRefusedWithoutWaiting) {
    const test::TemporaryFolder folder;
    const std::string fifo = folder / "fifo";
    ASSERT_EQ(0, ::mkfifo(fifo.c_str(), 0600));
    const auto result = read_settings(fifo, WhenMissing::kError);
    ASSERT_FALSE(result);
    EXPECT_THAT(result.error(), ElementsAre(HasSubstr("not a regular file")));
}

TEST(SettingsFile, HugeFileIsRefused) {
    const test::TemporaryFolder folder;
    std::ofstream(folder / "f") << std::string(2 << 20, '#');
    const auto result = read_settings(folder / "f", WhenMissing::kError);
    ASSERT_FALSE(result);
    EXPECT_THAT(result.error(), ElementsAre(HasSubstr("larger than 1 MiB")));
}

// What the packaged file shows as defaults are the defaults, each as its parser takes it.
TEST(DefaultConfig, ParsesToTheDefaultsWhenItsKeysAreUncommented) {
    std::string text = default_settings_text();
    std::string uncommented;
    std::size_t keys = 0;
    for (std::size_t end = 0; (end = text.find('\n')) != std::string::npos;
         text.erase(0, end + 1)) {
        std::string line = text.substr(0, end);
        if (line.starts_with('#') && !line.starts_with("# ")) {
            line.erase(0, 1);
            ++keys;
        }
        uncommented += line + "\n";
    }
    EXPECT_EQ(keys, settings_table().size());
    const auto settings = parse_settings(uncommented, "f");
    ASSERT_TRUE(settings) << settings.error().front();
    expect_equal(*settings, core::Settings{});
}

TEST(DefaultConfig, PackagedFileIsWhatTheTableSays) {
    EXPECT_EQ(content_of(PACKAGED_CONFIG), default_settings_text())
        << "make it again: lunkitd --default-config > packaging/lunkitd.conf";
}

}  // namespace
}  // namespace lunkit::control

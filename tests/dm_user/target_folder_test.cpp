// SPDX-License-Identifier: Apache-2.0
#include "dm_user/target_folder.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "support/child_process.hpp"

namespace lunkit::dm_user {
namespace {

core::NewDevice target(const std::string& name) {
    core::NewDevice wanted;
    wanted.name = name;
    wanted.config = "file//srv/a;b\nc";
    wanted.size = 123 * 512;
    wanted.read_only = true;
    wanted.start_sectors512 = 77;
    wanted.channels = 3;
    return wanted;
}

TEST(TargetFolder, GivesBackWhatWasWritten) {
    const test::TemporaryFolder run;
    const auto folder = *TargetFolder::open(run.path());
    ASSERT_TRUE(folder.write(target("a/b%2f")));
    ASSERT_TRUE(folder.write(target("a/b%2f")));
    const auto found = folder.read_all();
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].name, "a/b%2f");
    EXPECT_EQ(found[0].config, "file//srv/a;b\nc");
    EXPECT_EQ(found[0].size, 123U * 512);
    EXPECT_TRUE(found[0].read_only);
    EXPECT_EQ(found[0].start_sectors512, 77U);
    EXPECT_EQ(found[0].channels, 3U);
    folder.remove("a/b");  // another
    EXPECT_EQ(folder.read_all().size(), 1U);
    folder.remove("a/b%2f");
    EXPECT_TRUE(folder.read_all().empty());
}

TEST(TargetFolder, IgnoresWhatMakesNoSense) {
    const test::TemporaryFolder run;
    const auto folder = *TargetFolder::open(run.path());
    ASSERT_TRUE(folder.write(target("good")));
    std::string whole;
    for (const char* const field : {"lunkit dm-user 1", "x", "ram/x", "512", "0", "0", "4"}) {
        whole.append(field).push_back('\0');
    }
    const std::string below = run / "dm_user/";
    std::ofstream(below + "x.target", std::ios::binary) << whole;
    std::ofstream(below + "other.target", std::ios::binary) << whole;  // of another name
    std::ofstream(below + "short.target", std::ios::binary) << whole.substr(0, 20);
    std::ofstream(below + "notes", std::ios::binary) << "mine";
    ASSERT_EQ(::symlink("x.target", (below + "link.target").c_str()), 0);
    const auto found = folder.read_all();
    ASSERT_EQ(found.size(), 2U);
    EXPECT_NE(found[0].name, found[1].name);
}

TEST(TargetFolder, WhatCannotBeReplacedStays) {
    const test::TemporaryFolder run;
    const auto folder = *TargetFolder::open(run.path());
    ASSERT_TRUE(folder.write(target("x")));
    ASSERT_EQ(::mkdir((run / "dm_user/x.target.new").c_str(), 0700), 0);  // is in the way
    core::NewDevice other = target("x");
    other.config = "ram/y";
    EXPECT_FALSE(folder.write(other));
    const auto found = folder.read_all();
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].config, "file//srv/a;b\nc");
}

TEST(TargetFolder, TakesNoConfigurationThatItCouldNotGiveBack) {
    const test::TemporaryFolder run;
    const auto folder = *TargetFolder::open(run.path());
    core::NewDevice wanted = target("x");
    wanted.config = std::string(10'000, 'x');
    EXPECT_EQ(folder.write(wanted).error().code, ENAMETOOLONG);
}

}  // namespace
}  // namespace lunkit::dm_user

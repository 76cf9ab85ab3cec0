// SPDX-License-Identifier: Apache-2.0
#include "control/node_watch.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "control/glib_handle.hpp"
#include "support/child_process.hpp"

namespace lunkit::control {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class NodeWatchTest : public testing::Test {
  protected:
    [[nodiscard]] std::string path(const std::string& name) const { return folder_ / name; }
    UniqueFd make(const std::string& name) const {
        return UniqueFd(::open(path(name).c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
    }
    void make_folder(const std::string& name) const {
        std::filesystem::create_directory(path(name));
    }
    void remove(const std::string& name) const { std::filesystem::remove_all(path(name)); }
    /// What it tells of what has happened so far.
    std::vector<std::string> told() {
        while (g_main_context_iteration(nullptr, FALSE) != FALSE) {
        }
        return std::exchange(told_, {});
    }

    const test::TemporaryFolder folder_;
    std::vector<std::string> told_;
    NodeWatch watch_{[this](const std::string& node) { told_.push_back(node); }};
};

TEST_F(NodeWatchTest, TellsOfWhatAppearsAndNotOfWhatIsThere) {
    make("a");
    EXPECT_TRUE(watch_.watch({path("a"), path("b")}));
    EXPECT_TRUE(watch_.is_there(path("a")));
    EXPECT_FALSE(watch_.is_there(path("b")));
    make("c");
    EXPECT_THAT(told(), IsEmpty());
    make("b");
    EXPECT_THAT(told(), ElementsAre(path("b")));
    EXPECT_TRUE(watch_.is_there(path("b")));
}

TEST_F(NodeWatchTest, FoldersComeLaterAndMayGoAgain) {
    EXPECT_TRUE(watch_.watch({path("x/y/a"), path("x/b")}));
    for (int round = 0; round < 2; ++round) {
        make_folder("x");
        EXPECT_THAT(told(), IsEmpty());
        make_folder("x/y");
        EXPECT_THAT(told(), IsEmpty());
        make("x/y/a");
        EXPECT_THAT(told(), ElementsAre(path("x/y/a")));
        make("x/b");
        EXPECT_THAT(told(), ElementsAre(path("x/b")));
        remove("x");
        EXPECT_THAT(told(), IsEmpty());
        EXPECT_FALSE(watch_.is_there(path("x/b")));
    }
}

TEST_F(NodeWatchTest, AllThatComesAtOnceIsSeen) {
    EXPECT_TRUE(watch_.watch({path("x/y/a")}));
    make_folder("x");
    make_folder("x/y");
    make("x/y/a");
    EXPECT_THAT(told(), ElementsAre(path("x/y/a")));
}

TEST_F(NodeWatchTest, WhatTakesThePlaceOfANodeIsAnother) {
    const UniqueFd first = make("a");  // held, so that its inode has one owner
    EXPECT_TRUE(watch_.watch({path("a")}));
    remove("a");
    make("a");
    EXPECT_THAT(told(), ElementsAre(path("a")));
}

TEST_F(NodeWatchTest, FileInThePlaceOfAFolderIsWaitedOut) {
    make("x");
    EXPECT_TRUE(watch_.watch({path("x/a")}));
    EXPECT_FALSE(watch_.is_there(path("x/a")));
    remove("x");
    make_folder("x");
    make("x/a");
    EXPECT_THAT(told(), ElementsAre(path("x/a")));
}

TEST_F(NodeWatchTest, WatchingAnewMissesNothingOfThoseThatStay) {
    EXPECT_TRUE(watch_.watch({path("a"), path("b")}));
    make("a");
    make("b");
    EXPECT_TRUE(watch_.watch({path("b"), path("c")}));
    EXPECT_THAT(told(), ElementsAre(path("b")));
    remove("a");
    make("a");
    make("c");
    EXPECT_THAT(told(), ElementsAre(path("c")));
    EXPECT_TRUE(watch_.watch({}));
    remove("c");
    make("c");
    EXPECT_THAT(told(), IsEmpty());
}

}  // namespace
}  // namespace lunkit::control

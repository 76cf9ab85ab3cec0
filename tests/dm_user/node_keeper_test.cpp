// SPDX-License-Identifier: Apache-2.0
#include "dm_user/node_keeper.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "support/child_process.hpp"

namespace lunkit::dm_user {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class FakeStore final : public core::DescriptorStore {
  public:
    std::vector<Kept> take_inherited() override { return std::exchange(inherited, {}); }
    Status keep(const std::string& name, const UniqueFd& /*fd*/) override {
        if (is_full) {
            return failure(ENOSPC, "full");
        }
        kept.push_back(name);
        return {};
    }
    void drop(const std::string& name) override { std::erase(kept, name); }

    std::vector<Kept> inherited;
    std::vector<std::string> kept;
    bool is_full = false;
};

/// Nodes are files in a folder.
class StoredNodesTest : public testing::Test {
  protected:
    [[nodiscard]] Result<UniqueFd> open(const std::string& name) const {
        UniqueFd fd(::open((folder_ / name).c_str(), O_RDWR | O_CLOEXEC));
        return fd ? Result<UniqueFd>(std::move(fd)) : failure(ENOENT, "no " + name);
    }
    void make(const std::string& name) const {
        ASSERT_TRUE(UniqueFd(::open((folder_ / name).c_str(), O_CREAT | O_CLOEXEC | O_RDWR, 0600)));
    }
    StoredNodes nodes() {
        return {store_, [this](const std::string& name) { return open(name); }};
    }
    /// The daemon ends, and the store passes what it keeps to the next one.
    void inherit(const std::string& name, const std::string& stored) {
        store_.inherited.push_back({stored, *open(name)});
    }

    test::TemporaryFolder folder_;
    FakeStore store_;
};

TEST_F(StoredNodesTest, HoldsEachNodeOnceUntilItIsLetGo) {
    make("a");
    make("b");
    StoredNodes nodes = this->nodes();
    EXPECT_TRUE(nodes.hold("a"));
    EXPECT_TRUE(nodes.hold("b"));
    EXPECT_TRUE(nodes.hold("a"));
    EXPECT_THAT(store_.kept, ElementsAre("dm-user/a", "dm-user/b"));
    nodes.let_go("a");
    nodes.let_go("never held");
    EXPECT_THAT(store_.kept, ElementsAre("dm-user/b"));
}

TEST_F(StoredNodesTest, NamesBecomeWhatAStoreTakes) {
    make("a:b%c \xc3\xa4");
    StoredNodes nodes = this->nodes();
    EXPECT_TRUE(nodes.hold("a:b%c \xc3\xa4"));
    EXPECT_THAT(store_.kept, ElementsAre("dm-user/a%3ab%25c%20%c3%a4"));
}

TEST_F(StoredNodesTest, GoesOnWithWhatTheDaemonBeforeHeld) {
    make("a");
    inherit("a", "dm-user/a");
    StoredNodes nodes = this->nodes();
    EXPECT_TRUE(nodes.hold("a"));
    EXPECT_THAT(store_.kept, IsEmpty());  // no second time
    store_.kept = {"dm-user/a"};
    nodes.let_go("a");
    EXPECT_THAT(store_.kept, IsEmpty());
}

TEST_F(StoredNodesTest, NodeOfAnotherTargetTakesThePlaceOfItsNamesake) {
    make("a");
    inherit("a", "dm-user/a");
    store_.kept = {"dm-user/a"};
    std::filesystem::rename(folder_ / "a", folder_ / "gone");
    make("a");
    StoredNodes nodes = this->nodes();
    EXPECT_TRUE(nodes.hold("a"));
    EXPECT_THAT(store_.kept, ElementsAre("dm-user/a"));
    store_.kept.clear();
    EXPECT_TRUE(nodes.hold("a"));
    EXPECT_THAT(store_.kept, IsEmpty());
}

TEST_F(StoredNodesTest, LetsGoOfTargetsThatNobodyWillServe) {
    for (const char* const name : {"a", "b", "c"}) {
        make(name);
        inherit(name, std::string("dm-user/") + name);
    }
    inherit("a", "of something else");
    store_.kept = {"dm-user/a", "dm-user/b", "dm-user/c", "of something else"};
    StoredNodes nodes = this->nodes();
    nodes.let_go_of_others({"b"});
    EXPECT_THAT(store_.kept, ElementsAre("dm-user/b", "of something else"));
}

TEST_F(StoredNodesTest, WhatCannotBeKeptIsTriedAgain) {
    EXPECT_EQ(nodes().hold("missing").error().code, ENOENT);
    make("a");
    StoredNodes nodes = this->nodes();
    store_.is_full = true;
    EXPECT_EQ(nodes.hold("a").error().code, ENOSPC);
    store_.is_full = false;
    EXPECT_TRUE(nodes.hold("a"));
    EXPECT_THAT(store_.kept, ElementsAre("dm-user/a"));
}

}  // namespace
}  // namespace lunkit::dm_user

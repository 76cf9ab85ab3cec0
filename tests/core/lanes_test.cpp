// SPDX-License-Identifier: Apache-2.0
#include "core/lanes.hpp"

#include <gtest/gtest.h>

#include <array>

namespace lunkit::core {
namespace {

struct Item {
    const void* lane = nullptr;
    Item* next = nullptr;
};

TEST(Lanes, LetOnlySoManyOfALaneStart) {
    Lanes<Item> lanes(2);
    const std::array<char, 2> names{};
    std::array<Item, 4> items{{{&names[0]}, {&names[0]}, {&names[0]}, {&names[1]}}};
    EXPECT_TRUE(lanes.enter(&items[0]));
    EXPECT_TRUE(lanes.enter(&items[1]));
    EXPECT_FALSE(lanes.enter(&items[2]));
    EXPECT_TRUE(lanes.enter(&items[3]));
    EXPECT_EQ(lanes.busy(), 2U);
}

TEST(Lanes, GiveTheOldestWaitingWhenOneLeaves) {
    Lanes<Item> lanes(1);
    std::array<Item, 3> items{};
    EXPECT_TRUE(lanes.enter(&items[0]));
    EXPECT_FALSE(lanes.enter(&items[1]));
    EXPECT_FALSE(lanes.enter(&items[2]));
    EXPECT_EQ(lanes.leave(nullptr), &items[1]);
    EXPECT_EQ(lanes.leave(nullptr), &items[2]);
    EXPECT_EQ(lanes.leave(nullptr), nullptr);
    EXPECT_EQ(lanes.busy(), 0U);
}

TEST(Lanes, ForgetALaneThatHasEnded) {
    Lanes<Item> lanes(1);
    const std::array<char, 100> names{};
    for (const char& name : names) {
        Item item{&name};
        EXPECT_TRUE(lanes.enter(&item));
        EXPECT_EQ(lanes.leave(&name), nullptr);
    }
    EXPECT_EQ(lanes.busy(), 0U);
    Item again{names.data()};
    EXPECT_TRUE(lanes.enter(&again));
}

}  // namespace
}  // namespace lunkit::core

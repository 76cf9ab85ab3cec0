// SPDX-License-Identifier: Apache-2.0
#include "core/adaptive_spin.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <random>

namespace lunkit::core {
namespace {

using namespace std::chrono_literals;

std::uint64_t fake_preemptions = 0;

class Spin : public ::testing::Test {
  protected:
    static std::uint64_t preemptions() { return fake_preemptions; }

    void SetUp() override { fake_preemptions = 0; }

    AdaptiveSpin::TimePoint after(std::chrono::nanoseconds duration) { return now_ += duration; }
    /// A find, then nothing for a long time: whether that was worth a spin.
    bool spins_in_vain() {
        spin_.found(after(1ms), 1);
        const bool tried = spin_.go_on(after(1us));
        EXPECT_FALSE(spin_.go_on(after(1ms)));
        return tried;
    }
    bool spins_and_finds() {
        spin_.found(after(1ms), 1);
        const bool tried = spin_.go_on(after(1us));
        spin_.found(after(1us), 1);
        EXPECT_FALSE(spin_.go_on(after(1ms)));  // too late to count as a spin
        return tried;
    }
    int finds_until_next_try() {
        int finds = 1;
        while (!spins_in_vain()) {
            ++finds;
        }
        return finds;
    }

    AdaptiveSpin::TimePoint now_{std::chrono::seconds(1)};
    AdaptiveSpin spin_{50us, 4, &preemptions};
};

TEST_F(Spin, LastsForTheGivenTimeAfterAFind) {
    EXPECT_FALSE(spin_.go_on(now_)) << "nothing was ever found";
    spin_.found(now_, 1);
    EXPECT_TRUE(spin_.go_on(after(1us)));
    EXPECT_TRUE(spin_.go_on(after(48us)));
    EXPECT_FALSE(spin_.go_on(after(1us)));
    EXPECT_FALSE(spin_.go_on(after(1us)));
}

TEST_F(Spin, IsExtendedByAFind) {
    spin_.found(now_, 1);
    EXPECT_TRUE(spin_.go_on(after(40us)));
    spin_.found(now_, 1);
    EXPECT_TRUE(spin_.go_on(after(40us)));
}

TEST_F(Spin, NeverHappensWithOneCpuOrWithoutATime) {
    AdaptiveSpin one_cpu(50us, 1, &preemptions);
    one_cpu.found(now_, 1);
    EXPECT_FALSE(one_cpu.possible());
    EXPECT_FALSE(one_cpu.go_on(now_));
    AdaptiveSpin no_time(0us, 4, &preemptions);
    no_time.found(now_, 1);
    EXPECT_FALSE(no_time.possible());
    EXPECT_FALSE(no_time.go_on(now_));
}

TEST_F(Spin, BacksOffExponentiallyWhenInVainAndTriesAgain) {
    EXPECT_EQ(finds_until_next_try(), 1);
    EXPECT_EQ(finds_until_next_try(), 2);
    EXPECT_EQ(finds_until_next_try(), 4);
    EXPECT_EQ(finds_until_next_try(), 8);
    for (int i = 0; i < 10; ++i) {
        finds_until_next_try();
    }
    EXPECT_EQ(finds_until_next_try(), 1024) << "the longest pause";
}

TEST_F(Spin, RecoversWhenItPays) {
    for (int i = 0; i < 5; ++i) {
        finds_until_next_try();
    }
    while (!spins_and_finds()) {
    }
    for (int i = 0; i < 20; ++i) {
        EXPECT_TRUE(spins_and_finds());
    }
    EXPECT_TRUE(spins_in_vain());
    EXPECT_EQ(finds_until_next_try(), 2) << "as after the first failure";
}

TEST_F(Spin, IsSeldomTriedWhereAQuarterIsInVain) {
    std::minstd_rand random;
    int tried = 0;
    for (int i = 0; i < 10000; ++i) {
        tried += (random() % 4 == 0 ? spins_in_vain() : spins_and_finds()) ? 1 : 0;
    }
    EXPECT_LT(tried, 500);
}

TEST_F(Spin, DoesNotFollowManyAtOnce) {
    spin_.found(after(1ms), 32);
    EXPECT_FALSE(spin_.go_on(after(1us)));
    spin_.found(after(1us), 1);
    EXPECT_TRUE(spin_.go_on(after(1us)));
    spin_.found(after(1us), 32);
    EXPECT_FALSE(spin_.go_on(after(1us)));
    spin_.expect(after(1us));
    EXPECT_FALSE(spin_.go_on(after(1us))) << "the last of them has ended";
    spin_.found(after(1us), 1);
    EXPECT_TRUE(spin_.go_on(after(1us))) << "what ended with a find was no failure";
}

TEST_F(Spin, EndOfTheLastOperationIsAChanceButNoSuccess) {
    EXPECT_TRUE(spins_in_vain());
    EXPECT_FALSE(spins_in_vain());
    spin_.found(after(1ms), 1);
    spin_.give_up();
    EXPECT_FALSE(spin_.go_on(after(1us))) << "operations are in flight";
    spin_.expect(after(1ms));
    EXPECT_TRUE(spin_.go_on(after(1us)));
}

TEST_F(Spin, ChanceThatIsLongGoneIsNoFailure) {
    spin_.found(now_, 1);
    EXPECT_FALSE(spin_.go_on(after(1ms)));
    EXPECT_TRUE(spins_in_vain());
}

TEST_F(Spin, PausesLongWhenTheThreadWasPreempted) {
    for (int i = 0; i < 16; ++i) {
        EXPECT_TRUE(spins_and_finds());
    }
    fake_preemptions = 1;
    EXPECT_EQ(finds_until_next_try(), 1025);
}

}  // namespace
}  // namespace lunkit::core

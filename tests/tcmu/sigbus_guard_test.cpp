// SPDX-License-Identifier: Apache-2.0
#include "tcmu/sigbus_guard.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <csignal>

#include "core/memory_mapping.hpp"
#include "lunkit/unique_fd.hpp"

namespace lunkit::tcmu {
namespace {

constexpr std::size_t kPage = 4096;

/// A mapping of four pages, of which only the first is there.
struct Truncated {
    Truncated() {
        EXPECT_EQ(::ftruncate(fd.get(), 4 * kPage), 0);
        map = *core::MemoryMapping::of_file(fd.get(), 4 * kPage, "memfd");
        map.bytes()[0] = std::byte{42};
        EXPECT_EQ(::ftruncate(fd.get(), kPage), 0);
    }
    [[nodiscard]] std::byte get(std::size_t offset) const {
        const volatile std::byte& byte = map.bytes()[offset];
        return byte;
    }
    void set(std::size_t offset, std::byte value) const {
        volatile std::byte& byte = map.bytes()[offset];
        byte = value;
    }
    UniqueFd fd{::memfd_create("guard", MFD_CLOEXEC)};
    core::MemoryMapping map;
};

TEST(SigbusGuard, MissingPageBecomesZerosAndIsMarked) {
    Truncated memory;
    const SigbusGuard guard = *SigbusGuard::watch(memory.map.bytes());
    EXPECT_FALSE(guard.faulted());
    EXPECT_EQ(memory.get(2 * kPage + 5), std::byte{0});
    EXPECT_TRUE(guard.faulted());
    EXPECT_EQ(memory.get(0), std::byte{42});
}

TEST(SigbusGuard, WritesGoNowhere) {
    Truncated memory;
    const SigbusGuard guard = *SigbusGuard::watch(memory.map.bytes());
    memory.set(3 * kPage, std::byte{1});
    EXPECT_TRUE(guard.faulted());
}

TEST(SigbusGuard, OtherMappingsAreNotMarked) {
    Truncated one;
    Truncated other;
    const SigbusGuard first = *SigbusGuard::watch(one.map.bytes());
    const SigbusGuard second = *SigbusGuard::watch(other.map.bytes());
    (void)one.get(kPage);
    EXPECT_TRUE(first.faulted());
    EXPECT_FALSE(second.faulted());
}

TEST(SigbusGuard, HoldsManyMappings) {
    Truncated memory;
    std::vector<SigbusGuard> guards;
    for (int i = 0; i < 200; ++i) {
        guards.push_back(*SigbusGuard::watch(memory.map.bytes().subspan(kPage, 0)));
    }
    const SigbusGuard last = *SigbusGuard::watch(memory.map.bytes());
    (void)memory.get(kPage);
    EXPECT_TRUE(last.faulted());
}

using SigbusGuardDeathTest = testing::Test;

TEST(SigbusGuardDeathTest, FaultElsewhereEndsTheProcess) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    Truncated guarded;
    Truncated other;
    const SigbusGuard guard = *SigbusGuard::watch(guarded.map.bytes());
    EXPECT_DEATH((void)other.get(kPage), "");
}

TEST(SigbusGuardDeathTest, SignalFromAProcessEndsTheProcess) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    Truncated guarded;
    const SigbusGuard guard = *SigbusGuard::watch(guarded.map.bytes());
    EXPECT_DEATH((void)::raise(SIGBUS), "");
}

TEST(SigbusGuardDeathTest, UnregisteredMappingIsNoLongerGuarded) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    Truncated memory;
    {
        const SigbusGuard guard = *SigbusGuard::watch(memory.map.bytes());
    }
    EXPECT_DEATH((void)memory.get(kPage), "");
}

}  // namespace
}  // namespace lunkit::tcmu

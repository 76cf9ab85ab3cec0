// SPDX-License-Identifier: Apache-2.0
#include "control/instance_lock.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "support/child_process.hpp"

namespace lunkit::control {
namespace {

TEST(InstanceLock, SecondHolderIsToldWhoHasIt) {
    const test::TemporaryFolder folder;
    const auto first = InstanceLock::take(folder / "run");
    ASSERT_TRUE(first) << first.error().what;
    const auto second = InstanceLock::take(folder / "run");
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, EBUSY);
    EXPECT_EQ(second.error().what,
              fmt::format("another lunkitd (process {}) is running: it holds {}", ::getpid(),
                          folder / "run/lunkitd.lock"));
}

TEST(InstanceLock, IsFreeAgainWhenItsHolderHasGone) {
    const test::TemporaryFolder folder;
    {
        ASSERT_TRUE(InstanceLock::take(folder.path()));
    }
    EXPECT_TRUE(InstanceLock::take(folder.path()));
}

TEST(InstanceLock, DirectoryThatCannotBeMadeIsNamed) {
    const auto lock = InstanceLock::take("/nowhere/run");
    ASSERT_FALSE(lock);
    EXPECT_EQ(lock.error().what, "cannot make /nowhere/run: No such file or directory");
}

}  // namespace
}  // namespace lunkit::control

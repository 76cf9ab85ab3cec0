// SPDX-License-Identifier: Apache-2.0
#include "core/kernel_module.hpp"

#include <gtest/gtest.h>

#include <cerrno>

namespace lunkit::core {
namespace {

TEST(KernelModule, OneThatIsNowhereIsNotFoundAndNotLoaded) {
    const Status found = find_kernel_module("lunkit_no_such_module");
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().code, ENODEV);
    const Status loaded = load_kernel_module("lunkit_no_such_module");
    ASSERT_FALSE(loaded);
    EXPECT_EQ(loaded.error().code, ENODEV);
    EXPECT_FALSE(loaded.error().what.empty());
}

}  // namespace
}  // namespace lunkit::core

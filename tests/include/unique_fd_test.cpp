// SPDX-License-Identifier: Apache-2.0
#include "lunkit/unique_fd.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>

#include <utility>

namespace lunkit {
namespace {

bool is_open(int fd) {
    return ::fcntl(fd, F_GETFD) >= 0;
}

TEST(UniqueFd, ClosesWhenItGoes) {
    int number = -1;
    {
        const UniqueFd fd(::eventfd(0, EFD_CLOEXEC));
        number = fd.get();
        EXPECT_TRUE(is_open(number));
    }
    EXPECT_FALSE(is_open(number));
}

TEST(UniqueFd, MovedOneIsClosedOnce) {
    UniqueFd first(::eventfd(0, EFD_CLOEXEC));
    const int number = first.get();
    UniqueFd second(std::move(first));
    EXPECT_TRUE(is_open(number));
    UniqueFd third(::eventfd(0, EFD_CLOEXEC));
    const int replaced = third.get();
    third = std::move(second);
    EXPECT_FALSE(is_open(replaced));
    EXPECT_EQ(third.get(), number);
    EXPECT_TRUE(is_open(number));
}

}  // namespace
}  // namespace lunkit

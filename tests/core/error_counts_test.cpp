// SPDX-License-Identifier: Apache-2.0
#include "core/error_counts.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdint>
#include <map>
#include <string>

namespace lunkit::core {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::Pair;

std::map<std::string, std::uint64_t> told_of(const ErrorCounts& counts) {
    std::map<std::string, std::uint64_t> totals;
    counts.tell(totals);
    return totals;
}

TEST(ErrorKind, IsNamedAsItsFieldDoes) {
    EXPECT_TRUE(ErrorKind().is_success());
    EXPECT_EQ(ErrorKind::sense(0x3, 0x11, 0x0).text(), "03/11/00");
    EXPECT_EQ(ErrorKind::scsi_status(0x08).text(), "BUSY");
    EXPECT_EQ(ErrorKind::scsi_status(0x99).text(), "status 99h");
    EXPECT_EQ(ErrorKind::system(ENOSPC).text(), "ENOSPC");
    EXPECT_EQ(ErrorKind::system(4095).text(), "error 4095");
}

TEST(ErrorCounts, KindsAreCountedApart) {
    ErrorCounts counts;
    counts.add(ErrorKind::sense(5, 0x24, 0));
    counts.add(ErrorKind::system(EIO));
    counts.add(ErrorKind::sense(5, 0x24, 0));
    EXPECT_THAT(told_of(counts), ElementsAre(Pair("05/24/00", 2), Pair("EIO", 1)));
}

TEST(ErrorCounts, WhatHasNoRoomIsKeptTogether) {
    ErrorCounts counts;
    for (unsigned code = 0; code < ErrorCounts::kKinds + 5; ++code) {
        counts.add(ErrorKind::sense(5, code, 0));
    }
    counts.add(ErrorKind::sense(5, 0, 0));
    EXPECT_THAT(told_of(counts), Contains(Pair("other", 5)));
    EXPECT_THAT(told_of(counts), Contains(Pair("05/00/00", 2)));
}

}  // namespace
}  // namespace lunkit::core

// SPDX-License-Identifier: Apache-2.0
#include "tcmu/command_kind.hpp"

#include <gtest/gtest.h>

namespace lunkit::tcmu {
namespace {

TEST(CommandKind, ReadsAndWrites) {
    for (const int opcode : {0x08, 0x28, 0xa8, 0x88}) {
        EXPECT_EQ(kind_of(static_cast<std::uint8_t>(opcode)), CommandKind::kRead);
    }
    for (const int opcode : {0x0a, 0x2a, 0xaa, 0x8a, 0x2e, 0xae, 0x8e}) {
        EXPECT_EQ(kind_of(static_cast<std::uint8_t>(opcode)), CommandKind::kWrite);
    }
}

TEST(CommandKind, ParameterListsAreDataOut) {
    EXPECT_EQ(kind_of(0x42), CommandKind::kDataOut);
    EXPECT_EQ(kind_of(0x55), CommandKind::kDataOut);
}

TEST(CommandKind, WhatIsUnknownMayFillTheData) {
    EXPECT_EQ(kind_of(0x12), CommandKind::kOther);
    EXPECT_EQ(kind_of(0xc0), CommandKind::kOther);
}

}  // namespace
}  // namespace lunkit::tcmu

// SPDX-License-Identifier: Apache-2.0
#include "tcmu/command_kind.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>

namespace lunkit::tcmu {
namespace {

/// Of a CDB that begins with this operation code, and of a variable-length one.
CommandKind kind_of_opcode(int opcode) {
    const std::array<std::uint8_t, 16> cdb{static_cast<std::uint8_t>(opcode)};
    return kind_of(cdb);
}
CommandKind kind_of_service_action(std::uint8_t action) {
    const std::array<std::uint8_t, 32> cdb{0x7f, 0, 0, 0, 0, 0, 0, 0x18, 0, action};
    return kind_of(cdb);
}

TEST(CommandKind, ReadsAndWrites) {
    for (const int opcode : {0x08, 0x28, 0xa8, 0x88}) {
        EXPECT_EQ(kind_of_opcode(opcode), CommandKind::kRead);
    }
    for (const int opcode : {0x0a, 0x2a, 0xaa, 0x8a, 0x2e, 0xae, 0x8e}) {
        EXPECT_EQ(kind_of_opcode(opcode), CommandKind::kWrite);
    }
}

TEST(CommandKind, ParameterListsAreDataOut) {
    EXPECT_EQ(kind_of_opcode(0x42), CommandKind::kDataOut);
    EXPECT_EQ(kind_of_opcode(0x55), CommandKind::kDataOut);
}

TEST(CommandKind, WhatIsUnknownMayFillTheData) {
    EXPECT_EQ(kind_of_opcode(0x12), CommandKind::kOther);
    EXPECT_EQ(kind_of_opcode(0xc0), CommandKind::kOther);
}

TEST(CommandKind, OfAVariableLengthCdbFollowsItsServiceAction) {
    EXPECT_EQ(kind_of_service_action(0x09), CommandKind::kRead);
    EXPECT_EQ(kind_of_service_action(0x0b), CommandKind::kWrite);
    EXPECT_EQ(kind_of_service_action(0x0c), CommandKind::kWrite);
    EXPECT_EQ(kind_of_service_action(0x0a), CommandKind::kDataOut);
    EXPECT_EQ(kind_of_service_action(0x0d), CommandKind::kDataOut);
    EXPECT_EQ(kind_of_service_action(0x01), CommandKind::kOther);
    constexpr std::array<std::uint8_t, 9> kCutShort{0x7f};
    EXPECT_EQ(kind_of(kCutShort), CommandKind::kOther);
}

}  // namespace
}  // namespace lunkit::tcmu

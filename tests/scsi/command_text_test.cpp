// SPDX-License-Identifier: Apache-2.0
#include "scsi/command_text.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <vector>

#include "scsi/opcodes.hpp"

namespace lunkit::scsi {
namespace {

CommandText describe(const std::vector<std::uint8_t>& cdb) {
    return describe_command(cdb);
}

TEST(CommandText, BlockCommandsHaveAddressAndLength) {
    const CommandText read = describe({0x28, 0, 0, 0, 0x08, 0, 0, 0, 0x10, 0});
    EXPECT_EQ(read.name, "READ(10)");
    EXPECT_EQ(read.logical_block_address, 2048U);
    EXPECT_EQ(read.number_of_logical_blocks, 16U);
    const CommandText read6 = describe({0x08, 0, 0, 9, 0, 0});
    EXPECT_EQ(read6.name, "READ(6)");
    EXPECT_EQ(read6.number_of_logical_blocks, 256U);
    const CommandText compare = describe({0x89, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0});
    EXPECT_EQ(compare.name, "COMPARE AND WRITE");
    EXPECT_EQ(compare.logical_block_address, 7U);
    EXPECT_EQ(compare.number_of_logical_blocks, 1U);
}

TEST(CommandText, ServiceActionsHaveNamesOfTheirOwn) {
    EXPECT_EQ(describe({0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0}).name,
              "READ CAPACITY(16)");
    EXPECT_EQ(describe({0x83, 0x1f}).name, "THIRD-PARTY COPY OUT");
    EXPECT_EQ(describe({0x7f, 0, 0, 0, 0, 0, 0, 0x18, 0x00, 0x09}).name, "READ(32)");
}

TEST(CommandText, AnyBytesAreDescribed) {
    EXPECT_EQ(describe({0xc1}).name, "opcode c1h");
    EXPECT_EQ(describe({0x28}).logical_block_address, 0U);
    EXPECT_EQ(describe({}).name, "TEST UNIT READY");
    EXPECT_EQ(describe(std::vector<std::uint8_t>(300, 0xff)).name, "opcode ffh");
}

TEST(CommandText, EveryCommandOfTheUnitHasAName) {
    for (const Opcode& opcode : all_opcodes()) {
        const CommandText text = describe_command(opcode.usage);
        EXPECT_FALSE(text.name.starts_with("opcode ")) << int{opcode.operation_code};
    }
}

}  // namespace
}  // namespace lunkit::scsi

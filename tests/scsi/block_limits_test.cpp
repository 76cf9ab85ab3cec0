// SPDX-License-Identifier: Apache-2.0
#include "scsi/block_limits.hpp"

#include <gtest/gtest.h>

namespace lunkit::scsi {
namespace {

DeviceInfo discarding() {
    DeviceInfo info;
    info.can_discard = true;
    return info;
}

TEST(BlockLimits, TakeTheSmallerOfDeviceAndFrontEnd) {
    DeviceInfo info;
    info.max_transfer = 1U << 20U;
    EXPECT_EQ(
        make_block_limits(info, {.block_size = 512, .max_transfer = 65536}).maximum_transfer_length,
        128U);
    EXPECT_EQ(make_block_limits(info, {.block_size = 4096, .max_transfer = 4U << 20U})
                  .maximum_transfer_length,
              256U);
}

TEST(BlockLimits, AreFiniteWhereNobodyHasOne) {
    const BlockLimits limits = make_block_limits(discarding(), {.block_size = 512});
    EXPECT_EQ(limits.maximum_transfer_length, 524288U);
    EXPECT_EQ(limits.maximum_write_same_length, 524288U);
    EXPECT_EQ(limits.maximum_unmap_lba_count, 1U << 20U);
    EXPECT_EQ(limits.maximum_unmap_block_descriptor_count, 1024U);
    EXPECT_EQ(limits.maximum_compare_and_write_length, 255);
}

// A pattern is one write, which a handler with zones gets as a whole.
TEST(BlockLimits, OfAZonedDeviceLetWriteSameBeOneWrite) {
    DeviceInfo info;
    info.type = DeviceType::kZoned;
    EXPECT_EQ(make_block_limits(info, {.block_size = 512}).maximum_write_same_length, 512U);
    info.max_transfer = 65536;
    EXPECT_EQ(make_block_limits(info, {.block_size = 512}).maximum_write_same_length, 128U);
    info.max_write_zeroes = 32768;
    EXPECT_EQ(make_block_limits(info, {.block_size = 512}).maximum_write_same_length, 64U);
}

TEST(BlockLimits, LetCompareAndWriteCarryItsDataTwice) {
    const BlockLimits limits =
        make_block_limits({}, {.block_size = 512, .max_transfer = 16U * 512});
    EXPECT_EQ(limits.maximum_compare_and_write_length, 8);
}

TEST(BlockLimits, AreNeverLessThanABlock) {
    DeviceInfo info = discarding();
    info.max_discard = 1;
    info.max_write_zeroes = 1;
    const BlockLimits limits = make_block_limits(info, {.block_size = 4096, .max_transfer = 512});
    EXPECT_EQ(limits.maximum_transfer_length, 1U);
    EXPECT_EQ(limits.maximum_unmap_lba_count, 1U);
    EXPECT_EQ(limits.maximum_write_same_length, 1U);
}

TEST(BlockLimits, HaveNoUnmapWithoutDiscard) {
    const BlockLimits limits = make_block_limits({}, {.block_size = 512});
    EXPECT_EQ(limits.maximum_unmap_lba_count, 0U);
    EXPECT_EQ(limits.maximum_unmap_block_descriptor_count, 0U);
    EXPECT_EQ(limits.optimal_unmap_granularity, 0U);
}

TEST(BlockLimits, TellTheDevicesGranularities) {
    DeviceInfo info = discarding();
    info.physical_block_size = 4096;
    info.optimal_io_size = 65536;
    info.discard_granularity = 65536;
    const BlockLimits limits = make_block_limits(info, {.block_size = 512});
    EXPECT_EQ(limits.optimal_transfer_length_granularity, 8);
    EXPECT_EQ(limits.optimal_transfer_length, 128U);
    EXPECT_EQ(limits.optimal_unmap_granularity, 128U);
}

}  // namespace
}  // namespace lunkit::scsi

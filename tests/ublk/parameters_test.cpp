// SPDX-License-Identifier: Apache-2.0
#include "ublk/parameters.hpp"

#include <gtest/gtest.h>

namespace lunkit::ublk {
namespace {

constexpr std::uint32_t kMaxIo = 512U << 10U;

DeviceInfo disk() {
    DeviceInfo info;
    info.size = 64U << 20U;
    info.write_cache = true;
    info.can_discard = true;
    return info;
}

TEST(Parameters, WriteCacheBringsFlushAndFua) {
    const abi::Params params = parameters_of(disk(), 512, kMaxIo);
    EXPECT_EQ(params.types, abi::kParamBasic | abi::kParamDiscard);
    EXPECT_EQ(params.basic.attrs, abi::kAttrVolatileCache | abi::kAttrFua);
    EXPECT_EQ(params.basic.logical_bs_shift, 9);
    EXPECT_EQ(params.basic.dev_sectors, 131072U);
    EXPECT_EQ(params.basic.max_sectors, 1024U);
}

TEST(Parameters, WithoutWriteCacheNothingIsFlushed) {
    DeviceInfo info = disk();
    info.write_cache = false;
    info.rotational = true;
    EXPECT_EQ(parameters_of(info, 512, kMaxIo).basic.attrs, abi::kAttrRotational);
}

TEST(Parameters, ReadOnlyDeviceHasNoDiscard) {
    DeviceInfo info = disk();
    info.read_only = true;
    info.write_cache = false;
    const abi::Params params = parameters_of(info, 512, kMaxIo);
    EXPECT_EQ(params.basic.attrs, abi::kAttrReadOnly);
    EXPECT_EQ(params.types, abi::kParamBasic);
}

TEST(Parameters, PhysicalBlockIsBetweenLogicalBlockAndPage) {
    DeviceInfo info = disk();
    info.physical_block_size = 65536;
    EXPECT_EQ(parameters_of(info, 512, kMaxIo).basic.physical_bs_shift, 12);
    info.physical_block_size = 512;
    EXPECT_EQ(parameters_of(info, 4096, kMaxIo).basic.physical_bs_shift, 12);
    info.physical_block_size = 3000;  // nonsense
    EXPECT_EQ(parameters_of(info, 1024, kMaxIo).basic.physical_bs_shift, 10);
}

TEST(Parameters, DiscardHasAGranularityOfABlockAtLeast) {
    DeviceInfo info = disk();
    info.discard_granularity = 0;
    EXPECT_EQ(parameters_of(info, 4096, kMaxIo).discard.discard_granularity, 4096U);
    info.discard_granularity = 65536;
    EXPECT_EQ(parameters_of(info, 4096, kMaxIo).discard.discard_granularity, 65536U);
    EXPECT_EQ(parameters_of(info, 4096, kMaxIo).discard.max_discard_segments, 1);
}

TEST(Parameters, DeviceThatCannotDiscardStillWritesZeroes) {
    DeviceInfo info = disk();
    info.can_discard = false;
    const abi::Params params = parameters_of(info, 512, kMaxIo);
    EXPECT_EQ(params.discard.max_discard_sectors, 0U);
    EXPECT_GT(params.discard.max_write_zeroes_sectors, 0U);
    EXPECT_NE(params.discard.discard_granularity, 0U);  // the kernel refuses the block without
}

TEST(Parameters, LimitsOfTheHandlerAreKeptInWholeBlocks) {
    DeviceInfo info = disk();
    info.max_discard = 10'000;
    info.max_write_zeroes = std::uint64_t{1} << 50U;
    const abi::Params params = parameters_of(info, 4096, kMaxIo);
    EXPECT_EQ(params.discard.max_discard_sectors, 16U);
    EXPECT_EQ(params.discard.max_write_zeroes_sectors, (16U << 20U) / 512);
}

}  // namespace
}  // namespace lunkit::ublk

// SPDX-License-Identifier: Apache-2.0
// That the ranges hold whatever a command changes is checked at every command that a test of this
// folder runs (LogicalUnitTest::run). Here: that they hold no more than they should.
#include "scsi/changed_range.hpp"

#include "logical_unit_fixture.hpp"

namespace lunkit::scsi::test {
namespace {

std::optional<ByteRange> range_of(const Bytes& cdb, const Bytes& data = {},
                                  std::uint32_t block_size = kBlock, std::uint64_t zone_size = 0) {
    const Exchange exchange(cdb, data);
    return changed_range(exchange.command, block_size, zone_size);
}
::testing::AssertionResult is(const std::optional<ByteRange>& range, std::uint64_t offset,
                              std::uint64_t length) {
    if (!range) {
        return ::testing::AssertionFailure() << "nothing";
    }
    return range->offset == offset && range->length == length
               ? ::testing::AssertionSuccess()
               : ::testing::AssertionFailure() << range->offset << "+" << range->length;
}

TEST(ChangedRange, OfAWriteIsItsBlocks) {
    EXPECT_TRUE(is(range_of(cdb10(0x2a, 0, 7, 3)), 7 * 512, 3 * 512));
    EXPECT_TRUE(is(range_of(cdb16(0x8a, 0, 7, 3), {}, 4096), 7 * 4096, 3 * 4096));
    EXPECT_TRUE(is(range_of({0x0a, 0, 0, 7, 0, 0}), 7 * 512, 256 * 512));
    EXPECT_TRUE(is(range_of(cdb16(0x93, 8, 1, 5)), 512, 5 * 512));
    EXPECT_TRUE(is(range_of(cdb16(0x9c, 0, 7, 0x80003)), 7 * 512, 3 * 512));  // with a boundary
}

TEST(ChangedRange, OfWhatReadsIsNothing) {
    EXPECT_FALSE(range_of(cdb10(0x28, 0, 7, 3)));
    EXPECT_FALSE(range_of(cdb10(0x2f, 0, 7, 3)));
    EXPECT_FALSE(range_of(cdb10(0x35, 0, 7, 3)));
    EXPECT_FALSE(range_of({0x12, 0, 0, 0, 96, 0}));
    EXPECT_FALSE(range_of(cdb10(0x2a, 0, 7, 0)));
}

TEST(ChangedRange, OfUnmapHoldsAllItsDescriptors) {
    Bytes list(8 + 2 * 16);
    put_be16(std::span(list).subspan(2), 32);
    put_be64(std::span(list).subspan(8), 100);
    put_be32(std::span(list).subspan(16), 8);
    put_be64(std::span(list).subspan(24), 20);
    put_be32(std::span(list).subspan(32), 4);
    Bytes cdb(10);
    cdb[0] = 0x42;
    cdb[8] = 40;
    EXPECT_TRUE(is(range_of(cdb, list), 20 * 512, 88 * 512));
    list.resize(8 + 16);  // says more than it holds
    EXPECT_TRUE(is(range_of(cdb, list), 100 * 512, 8 * 512));
    EXPECT_FALSE(range_of(cdb));
}

TEST(ChangedRange, OfWhatIsDoneWithZonesIsTheZones) {
    constexpr std::uint64_t kZone = 1U << 20U;
    constexpr std::uint64_t kBlocks = kZone / 512;
    Bytes reset = cdb16(0x94, 4, 3 * kBlocks, 0);
    EXPECT_TRUE(is(range_of(reset, {}, 512, kZone), 3 * kZone, kZone));
    put_be16(std::span(reset).subspan(12), 2);  // ZONE COUNT
    EXPECT_TRUE(is(range_of(reset, {}, 512, kZone), 3 * kZone, 2 * kZone));
    EXPECT_FALSE(range_of(reset));
    reset[14] = 1;  // ALL
    const auto all = range_of(reset, {}, 512, kZone);
    EXPECT_TRUE(all && all->offset == 0 && all->length > std::uint64_t{1} << 60U);
}

TEST(ChangedRange, OfAnAddressBeyondEverythingDoesNotWrapAround) {
    const auto range = range_of(cdb16(0x8a, 0, ~std::uint64_t{0}, 8));
    EXPECT_FALSE(range && range->overlaps({0, std::uint64_t{1} << 60U}));
}

}  // namespace
}  // namespace lunkit::scsi::test

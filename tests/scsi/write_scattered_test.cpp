// SPDX-License-Identifier: Apache-2.0
#include "logical_unit_fixture.hpp"

namespace lunkit::scsi::test {
namespace {

struct Range {
    std::uint64_t lba;
    std::uint32_t count;
};

class WriteScattered : public LogicalUnitTest {
  protected:
    static Bytes cdb(std::uint16_t data_offset, std::uint16_t descriptors,
                     std::uint32_t transfer_length, std::uint8_t flags = 0) {
        Bytes bytes(16);
        bytes[0] = 0x9f;
        bytes[1] = 0x12;
        bytes[2] = flags;
        put_be16(std::span(bytes).subspan(4), data_offset);
        put_be16(std::span(bytes).subspan(8), descriptors);
        put_be32(std::span(bytes).subspan(10), transfer_length);
        return bytes;
    }
    /// Descriptors in `offset` blocks, then the data: the first range's blocks of 1, and so on.
    static Bytes list(const std::vector<Range>& ranges, std::size_t offset = 1,
                      std::size_t block_size = kBlock) {
        Bytes bytes(offset * block_size);
        for (std::size_t i = 0; i < ranges.size(); ++i) {
            put_be64(std::span(bytes).subspan(32 + 32 * i), ranges[i].lba);
            put_be32(std::span(bytes).subspan(40 + 32 * i), ranges[i].count);
        }
        for (std::size_t i = 0; i < ranges.size(); ++i) {
            bytes.resize(bytes.size() + ranges[i].count * block_size,
                         static_cast<std::uint8_t>(i + 1));
        }
        return bytes;
    }
    Reply write(const std::vector<Range>& ranges, std::uint8_t flags = 0) {
        const Bytes bytes = list(ranges);
        return out(cdb(1, static_cast<std::uint16_t>(ranges.size()),
                       static_cast<std::uint32_t>(bytes.size() / kBlock), flags),
                   bytes);
    }
};

TEST_F(WriteScattered, WritesEachRangeWhereItBelongs) {
    EXPECT_TRUE(is_good(write({{100, 2}, {7, 1}, {50, 0}, {kBlocks - 3, 3}})));
    EXPECT_TRUE(medium_is(99, 1, 0) && medium_is(100, 2, 1) && medium_is(102, 1, 0));
    EXPECT_TRUE(medium_is(6, 1, 0) && medium_is(7, 1, 2) && medium_is(8, 1, 0));
    EXPECT_TRUE(medium_is(50, 1, 0) && medium_is(kBlocks - 3, 3, 4));
    EXPECT_EQ(device.count(Kind::kWrite), 3U);
}

TEST_F(WriteScattered, TakesDescriptorsOfSeveralBlocks) {
    std::vector<Range> ranges;
    for (std::uint64_t i = 0; i < 40; ++i) {
        ranges.push_back({i * 10, 1});
    }
    EXPECT_TRUE(is_good(out(cdb(3, 40, 43), list(ranges, 3))));
    for (std::uint64_t i = 0; i < 40; ++i) {
        EXPECT_TRUE(medium_is(i * 10, 1, static_cast<std::uint8_t>(i + 1))) << i;
    }
}

TEST_F(WriteScattered, TakesATransferLengthOfTheDataOnly) {
    EXPECT_TRUE(is_good(out(cdb(1, 2, 3), list({{5, 2}, {9, 1}}))));
    EXPECT_TRUE(medium_is(5, 2, 1) && medium_is(9, 1, 2));
}

TEST_F(WriteScattered, OfNothingIsGood) {
    EXPECT_TRUE(is_good(run(cdb(0, 0, 0))));
    EXPECT_TRUE(is_good(run(cdb(1, 0, 5))));
    EXPECT_TRUE(is_good(run(cdb(1, 5, 0))));
    EXPECT_TRUE(is_good(out(cdb(1, 2, 1), list({{5, 0}, {kBlocks, 0}}))));
    EXPECT_TRUE(device.requests.empty());
}

TEST_F(WriteScattered, ChecksEveryRangeBeforeItWrites) {
    EXPECT_TRUE(is_check(write({{0, 1}, {kBlocks - 1, 2}}), 0x5, 0x2100));
    EXPECT_TRUE(is_check(write({{0, 1}, {~std::uint64_t{0}, 1}}), 0x5, 0x2100));
    EXPECT_TRUE(is_check(out(cdb(1, 2, 4), list({{0, 1}, {9, 1}})), 0xb, 0x1a00));
    const Reply short_of_one = out(cdb(1, 2, 5), list({{0, 1}, {9, 2}}));
    EXPECT_TRUE(is_check(short_of_one, 0xb, 0x1a00));
    EXPECT_EQ(short_of_one.field(), 10U);
    EXPECT_TRUE(device.requests.empty());
}

TEST_F(WriteScattered, RefusesDataThatWasNotSent) {
    Bytes bytes = list({{0, 1}, {9, 2}});
    bytes.pop_back();
    EXPECT_TRUE(is_check(out(cdb(1, 2, 4), bytes), 0x5, 0x0e03));
    EXPECT_TRUE(is_check(out(cdb(1, 2, 4), Bytes(95)), 0x5, 0x0e03));
    EXPECT_TRUE(is_check(run(cdb(1, 2, 4)), 0x5, 0x0e03));
    EXPECT_TRUE(device.requests.empty());
}

TEST_F(WriteScattered, RefusesADataOffsetAmongTheDescriptors) {
    EXPECT_TRUE(is_invalid_cdb_field(out(cdb(0, 1, 1), list({{0, 1}})), 4));
    EXPECT_TRUE(is_invalid_cdb_field(out(cdb(1, 16, 17), Bytes(17 * kBlock)), 4));
    EXPECT_TRUE(is_good(out(cdb(1, 15, 1), Bytes(kBlock))));
}

TEST_F(WriteScattered, KeepsToTheLimitsItTells) {
    options.max_transfer = 8 * kBlock;
    restart();
    const Bytes page = in({0x12, 1, 0xb7, 0, 255, 0}).data;
    ASSERT_EQ(page.size(), 64U);
    EXPECT_EQ(get_be32(std::span(page).subspan(16)), 8U);
    EXPECT_EQ(get_be32(std::span(page).subspan(24)), 8U);
    const std::uint16_t most = get_be16(std::span(page).subspan(22));
    EXPECT_TRUE(is_invalid_cdb_field(run(cdb(1000, static_cast<std::uint16_t>(most + 1U), 1)), 8));
    EXPECT_TRUE(is_invalid_cdb_field(out(cdb(1, 1, 9), list({{0, 8}})), 10));
    EXPECT_TRUE(is_good(out(cdb(1, 1, 8), list({{0, 7}}))));
    EXPECT_TRUE(is_invalid_list_field(out(cdb(1, 2, 8), list({{0, 1}, {0, 9}})), 32 + 32 + 8));
}

TEST_F(WriteScattered, RefusesProtectionInformation) {
    EXPECT_TRUE(is_invalid_cdb_field(write({{0, 1}}, 0x20), 2));
    EXPECT_TRUE(device.requests.empty());
}

TEST_F(WriteScattered, WithFuaOrWithoutWriteCacheSurvivesALossOfPower) {
    EXPECT_TRUE(is_good(write({{0, 1}, {5, 1}}, 0x18)));
    device.lose_power();
    EXPECT_TRUE(medium_is(0, 1, 1) && medium_is(5, 1, 2));
    options.write_cache = false;
    restart();
    EXPECT_TRUE(is_good(write({{10, 1}, {15, 1}})));
    device.lose_power();
    EXPECT_TRUE(medium_is(10, 1, 1) && medium_is(15, 1, 2));
}

TEST_F(WriteScattered, TellsTheBlockThatCannotBeWritten) {
    Error error{EIO};
    error.offset = kBlock;
    device.fail_next(Kind::kWrite, error);
    const Reply reply = write({{30, 2}, {5, 1}});
    EXPECT_TRUE(is_check(reply, 0x3, 0x0c00));
    EXPECT_EQ(reply.information(), 31U);
    EXPECT_TRUE(medium_is(5, 1, 0));
}

TEST_F(WriteScattered, IsRefusedWhenWriteProtected) {
    device.properties.read_only = true;
    restart();
    EXPECT_TRUE(is_check(write({{0, 1}}), 0x7, 0x2700));
}

TEST_F(WriteScattered, WorksOnLargeBlocks) {
    options.block_size = 4096;
    device.properties.min_block_size = 4096;
    restart();
    EXPECT_TRUE(is_good(out(cdb(1, 2, 3), list({{1, 1}, {5, 1}}, 1, 4096))));
    EXPECT_TRUE(medium_is(8, 8, 1) && medium_is(40, 8, 2) && medium_is(48, 1, 0));
}

}  // namespace
}  // namespace lunkit::scsi::test

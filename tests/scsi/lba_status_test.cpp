// SPDX-License-Identifier: Apache-2.0
#include "logical_unit_fixture.hpp"

namespace lunkit::scsi::test {
namespace {

class GetLbaStatus : public LogicalUnitTest {
  protected:
    struct Descriptor {
        std::uint64_t lba;
        std::uint32_t blocks;
        unsigned status;
        bool operator==(const Descriptor&) const = default;
    };

    Reply status_from(std::uint64_t lba, std::uint32_t allocation_length = 1024) {
        return in(cdb16(0x9e, 0x12, lba, allocation_length), 1024);
    }
    static std::vector<Descriptor> descriptors(const Reply& reply) {
        EXPECT_TRUE(is_good(reply));
        EXPECT_EQ(get_be32(reply.data), reply.data.size() - 4);
        std::vector<Descriptor> found;
        for (std::size_t at = 8; at + 16 <= reply.data.size(); at += 16) {
            const auto bytes = std::span(reply.data).subspan(at, 16);
            found.push_back({get_be64(bytes), get_be32(bytes.subspan(8)), bytes[12]});
        }
        return found;
    }
    void unmap(std::uint64_t lba, std::uint64_t count) {
        const IoRequest io(lba * kBlock, count * kBlock);
        EXPECT_TRUE(run_task(queue, device.discard(queue, io)));
    }
};

TEST_F(GetLbaStatus, TellsMappedAndDeallocatedRuns) {
    unmap(10, 5);
    const std::vector<Descriptor> expected{
        {0, 10, 0}, {10, 5, 1}, {15, static_cast<std::uint32_t>(kBlocks - 15), 0}};
    EXPECT_EQ(descriptors(status_from(0)), expected);
}

TEST_F(GetLbaStatus, BeginsAtTheStartingAddress) {
    unmap(10, 5);
    const std::vector<Descriptor> expected{{12, 3, 1},
                                           {15, static_cast<std::uint32_t>(kBlocks - 15), 0}};
    EXPECT_EQ(descriptors(status_from(12)), expected);
}

TEST_F(GetLbaStatus, EndsWhereTheListIsFull) {
    for (std::uint64_t lba = 0; lba < 200; lba += 2) {
        unmap(lba, 1);
    }
    const auto found = descriptors(status_from(0));
    EXPECT_EQ(found.size(), 32U);
    EXPECT_EQ(found.back(), (Descriptor{31, 1, 0}));
}

TEST_F(GetLbaStatus, IsCutToTheAllocationLength) {
    unmap(10, 5);
    const Reply reply = status_from(0, 24);
    EXPECT_EQ(reply.data.size(), 24U);
    EXPECT_EQ(get_be32(reply.data), 4U + 3 * 16);  // what there would be
}

TEST_F(GetLbaStatus, IsMappedThroughoutOnAFullyProvisionedUnit) {
    unmap(10, 5);
    device.properties.can_discard = false;
    restart();
    EXPECT_EQ(descriptors(status_from(7)),
              (std::vector<Descriptor>{{7, static_cast<std::uint32_t>(kBlocks - 7), 0}}));
}

TEST_F(GetLbaStatus, IsUnknownWhereTheDeviceHasNoExtents) {
    unmap(10, 5);
    device.fail_next(Kind::kExtents, Error{EOPNOTSUPP});
    EXPECT_EQ(descriptors(status_from(0)),
              (std::vector<Descriptor>{{0, static_cast<std::uint32_t>(kBlocks), 0}}));
}

TEST_F(GetLbaStatus, CountsAHalfHoleAsMapped) {
    options.block_size = 4096;
    restart();
    unmap(12, 20);  // blocks 1.5 to 4 of 4096 bytes
    const std::vector<Descriptor> expected{{0, 2, 0}, {2, 2, 1}, {4, 252, 0}};
    EXPECT_EQ(descriptors(status_from(0)), expected);
}

TEST_F(GetLbaStatus, ChecksTheAddress) {
    EXPECT_EQ(descriptors(status_from(kBlocks - 1)).size(), 1U);
    EXPECT_TRUE(is_check(status_from(kBlocks), 0x5, 0x2100));
    EXPECT_TRUE(is_check(status_from(std::uint64_t{1} << 63U), 0x5, 0x2100));
    EXPECT_TRUE(is_check(status_from(~std::uint64_t{0}), 0x5, 0x2100));
}

TEST_F(GetLbaStatus, RefusesOtherReportTypes) {
    Bytes cdb = cdb16(0x9e, 0x12, 0, 1024);
    cdb[14] = 0x01;
    EXPECT_TRUE(is_invalid_cdb_field(in(cdb), 14));
}

TEST_F(GetLbaStatus, TellsAFailure) {
    device.fail_next(Kind::kExtents, Error{EIO});
    EXPECT_TRUE(is_check(status_from(0), 0x3, 0x1100));
}

}  // namespace
}  // namespace lunkit::scsi::test

// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "logical_unit_fixture.hpp"

namespace lunkit::scsi::test {
namespace {

using Descriptor = std::pair<std::uint64_t, std::uint32_t>;

class Unmap : public LogicalUnitTest {
  protected:
    static Bytes list(const std::vector<Descriptor>& descriptors) {
        Bytes bytes(8 + 16 * descriptors.size());
        put_be16(bytes, static_cast<std::uint16_t>(bytes.size() - 2));
        put_be16(std::span(bytes).subspan(2), static_cast<std::uint16_t>(bytes.size() - 8));
        for (std::size_t i = 0; i < descriptors.size(); ++i) {
            put_be64(std::span(bytes).subspan(8 + 16 * i), descriptors[i].first);
            put_be32(std::span(bytes).subspan(16 + 16 * i), descriptors[i].second);
        }
        return bytes;
    }
    static Bytes cdb(std::size_t parameter_list_length, std::uint8_t flags = 0) {
        return cdb10(0x42, flags, 0, static_cast<std::uint16_t>(parameter_list_length));
    }
    Reply unmap(const std::vector<Descriptor>& descriptors) {
        const Bytes bytes = list(descriptors);
        return out(cdb(bytes.size()), bytes);
    }
};

TEST_F(Unmap, DiscardsEachDescriptorsBlocks) {
    fill_medium(0, 20, 0x11);
    EXPECT_TRUE(is_good(unmap({{2, 3}, {10, 1}})));
    EXPECT_EQ(device.requests,
              (std::vector<MemoryDevice::Request>{{Kind::kDiscard, 2 * kBlock, 3 * kBlock, 0},
                                                  {Kind::kDiscard, 10 * kBlock, kBlock, 0}}));
    EXPECT_TRUE(medium_is(2, 3, 0) && medium_is(10, 1, 0) && medium_is(5, 5, 0x11));
}

TEST_F(Unmap, TakesEmptyDescriptors) {
    EXPECT_TRUE(is_good(unmap({{0, 0}, {kBlocks, 0}})));
    EXPECT_TRUE(is_good(unmap({})));
    EXPECT_TRUE(device.requests.empty());
}

TEST_F(Unmap, TakesAsManyDescriptorsAsItPromises) {
    EXPECT_TRUE(is_good(unmap(std::vector<Descriptor>(1024, {1, 1}))));
    EXPECT_TRUE(is_invalid_list_field(unmap(std::vector<Descriptor>(1025, {1, 1})), 2));
}

TEST_F(Unmap, TakesAsManyBlocksAsItPromises) {
    device.properties.max_discard = 8 * kBlock;
    restart();
    EXPECT_TRUE(is_good(unmap({{0, 4}, {10, 4}})));
    EXPECT_TRUE(is_invalid_list_field(unmap({{0, 4}, {10, 5}}), 8 + 16 + 8));
}

TEST_F(Unmap, ChecksEveryRangeBeforeTheFirstDiscard) {
    EXPECT_TRUE(is_check(unmap({{0, 1}, {kBlocks - 1, 2}}), 0x5, 0x2100));
    EXPECT_TRUE(is_check(unmap({{0, 1}, {~std::uint64_t{0}, 1}}), 0x5, 0x2100));
    EXPECT_TRUE(is_check(unmap({{~std::uint64_t{0}, 0xffffffff}}), 0x5, 0x2100));
    EXPECT_TRUE(device.requests.empty());
}

TEST_F(Unmap, WithoutParameterListDoesNothing) {
    EXPECT_TRUE(is_good(run(cdb(0))));
}

TEST_F(Unmap, RefusesALengthThatCutsTheHeader) {
    for (std::size_t length = 1; length < 8; ++length) {
        EXPECT_TRUE(is_check(out(cdb(length), Bytes(length)), 0x5, 0x1a00)) << length;
    }
}

TEST_F(Unmap, RefusesDescriptorsBehindTheList) {
    // Once read whatever lay behind the buffer and unmapped that.
    Bytes bytes = list({{0, 1}});
    put_be16(std::span(bytes).subspan(2), 0xfff0);
    EXPECT_TRUE(is_check(out(cdb(bytes.size()), bytes), 0x5, 0x1a00));
    EXPECT_TRUE(device.requests.empty());
}

TEST_F(Unmap, IgnoresAnIncompleteLastDescriptor) {
    Bytes bytes = list({{3, 1}});
    put_be16(std::span(bytes).subspan(2), 16 + 15);
    bytes.resize(bytes.size() + 15, 0xff);
    EXPECT_TRUE(is_good(out(cdb(bytes.size()), bytes)));
    EXPECT_EQ(device.requests.size(), 1U);
}

TEST_F(Unmap, RefusesABufferShorterThanTheParameterList) {
    const Bytes bytes = list({{0, 1}});
    EXPECT_TRUE(is_check(out(cdb(bytes.size() + 16), bytes), 0x5, 0x0e03));
    EXPECT_TRUE(is_check(run(cdb(24)), 0x5, 0x0e03));
}

TEST_F(Unmap, RefusesToAnchor) {
    const Bytes bytes = list({{0, 1}});
    EXPECT_TRUE(is_invalid_cdb_field(out(cdb(bytes.size(), 0x01), bytes), 1));
}

TEST_F(Unmap, IsUnknownToADeviceThatCannotDiscard) {
    device.properties.can_discard = false;
    restart();
    EXPECT_TRUE(is_check(unmap({{0, 1}}), 0x5, 0x2000));
}

TEST_F(Unmap, ReportsTheFirstFailure) {
    device.fail_next(Kind::kDiscard, Error{EIO});
    EXPECT_TRUE(is_check(unmap({{0, 1}, {2, 1}}), 0x3, 0x0c00));
    EXPECT_EQ(device.requests.size(), 1U);
}

TEST_F(Unmap, IsDurableWithoutWriteCache) {
    fill_medium(0, 1, 0x11);
    EXPECT_TRUE(is_good(out(cdb10(0x2a, 0x08, 0, 1), blocks(1, 0x11))));
    options.write_cache = false;
    restart();
    EXPECT_TRUE(is_good(unmap({{0, 1}})));
    device.lose_power();
    EXPECT_TRUE(medium_is(0, 1, 0));
}

TEST_F(Unmap, IsRefusedWhenWriteProtected) {
    device.properties.read_only = true;
    restart();
    EXPECT_TRUE(is_check(unmap({{0, 1}}), 0x7, 0x2700));
}

}  // namespace
}  // namespace lunkit::scsi::test

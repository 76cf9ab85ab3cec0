// SPDX-License-Identifier: Apache-2.0
// A unit that is a CD or DVD.
#include "logical_unit_fixture.hpp"
#include "scsi/opcodes.hpp"

namespace lunkit::scsi::test {
namespace {

constexpr std::uint32_t kCdBlock = 2048;
constexpr std::uint64_t kCdBlocks = 4500;  // a minute

class Multimedia : public LogicalUnitTest {
  protected:
    Multimedia() {
        options.block_size = kCdBlock;
        device.properties.type = DeviceType::kCdDvd;
        device.properties.read_only = true;
        device.resize_to(kCdBlocks * kCdBlock);
        restart();
    }
    void resize(std::uint64_t blocks) {
        device.properties.size = blocks * kCdBlock;
        restart();
    }
    Reply toc(bool msf, std::uint8_t format, std::uint8_t from, std::uint8_t length = 255) {
        return in(
            {0x43, static_cast<std::uint8_t>(msf ? 2 : 0), format, 0, 0, 0, from, 0, length, 0});
    }
    Reply configuration(std::uint8_t rt, std::uint8_t from) {
        return in({0x46, rt, 0, from, 0, 0, 0, 0, 255, 0});
    }
};

TEST_F(Multimedia, SaysWhatItIs) {
    const Reply inquiry = in({0x12, 0, 0, 0, 96, 0});
    EXPECT_EQ(inquiry.data.at(0), 0x05);
    EXPECT_EQ(inquiry.data.at(1), 0x80);
    EXPECT_EQ(get_be16(std::span(inquiry.data).subspan(62)), 0x04e0);
    EXPECT_EQ(in({0x12, 1, 0, 0, 255, 0}).data,
              (Bytes{0x05, 0x00, 0, 5, 0x00, 0x80, 0x83, 0x86, 0x87}));
    EXPECT_TRUE(is_invalid_cdb_field(in({0x12, 1, 0xb0, 0, 255, 0}), 2));
    EXPECT_EQ(in(Bytes{0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 8).data,
              (Bytes{0, 0, 0x11, 0x93, 0, 0, 0x08, 0}));
}

TEST_F(Multimedia, HasTheCommandsOfItsTypeOnly) {
    for (const Opcode& opcode : all_opcodes()) {
        Bytes cdb(opcode.cdb_length);
        cdb[0] = opcode.operation_code;
        if (!opcode.traits.types.has(DeviceType::kCdDvd)) {
            EXPECT_TRUE(is_check(run(cdb), 0x5, 0x2000)) << unsigned{opcode.operation_code};
        }
    }
    EXPECT_TRUE(is_check(run(cdb10(0x2a, 0, 0, 1)), 0x5, 0x2000));
    EXPECT_TRUE(is_good(in(cdb10(0x28, 0, 0, 2), 2 * kCdBlock)));
    device.properties.type = DeviceType::kBlock;
    restart();
    for (const std::uint8_t code : Bytes{0x43, 0x46, 0x4a, 0x51}) {
        EXPECT_TRUE(is_check(run({code, 0, 0, 0, 0, 0, 0, 0, 0, 0}), 0x5, 0x2000));
    }
}

TEST_F(Multimedia, OneTrackAndTheLeadOut) {
    EXPECT_EQ(toc(false, 0, 0).data, (Bytes{0, 18,   1,    1,                 //
                                            0, 0x14, 1,    0, 0, 0, 0,    0,  //
                                            0, 0x14, 0xaa, 0, 0, 0, 0x11, 0x94}));
    EXPECT_EQ(toc(true, 0, 1).data, (Bytes{0, 18,   1,    1,              //
                                           0, 0x14, 1,    0, 0, 0, 2, 0,  //
                                           0, 0x14, 0xaa, 0, 0, 1, 2, 0}));
    EXPECT_EQ(toc(false, 0, 0xaa).data, (Bytes{0, 10, 1, 1, 0, 0x14, 0xaa, 0, 0, 0, 0x11, 0x94}));
    EXPECT_EQ(toc(false, 1, 0).data, (Bytes{0, 10, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0}));
    EXPECT_EQ(toc(false, 0, 0, 4).data, (Bytes{0, 18, 1, 1}));
    EXPECT_TRUE(is_invalid_cdb_field(toc(false, 0, 2), 6));
    EXPECT_TRUE(is_invalid_cdb_field(toc(false, 4, 0), 2));
}

TEST_F(Multimedia, LeadOutOfADvdIsBeyondEveryMinute) {
    resize(2'000'000);
    const Bytes last = toc(true, 0, 0xaa).data;
    EXPECT_EQ(Bytes(last.begin() + 8, last.end()), (Bytes{0, 0xff, 59, 74}));
}

TEST_F(Multimedia, ProfileFollowsFromTheSize) {
    const Bytes cd = configuration(0, 0).data;
    EXPECT_EQ(get_be32(cd), cd.size() - 4);
    EXPECT_EQ(get_be16(std::span(cd).subspan(6)), 0x0008);
    EXPECT_EQ(configuration(2, 0).data,
              (Bytes{0, 0, 0, 16, 0, 0, 0, 8, 0, 0, 3, 8, 0, 0x10, 0, 0, 0, 8, 1, 0}));
    EXPECT_EQ(configuration(1, 0x11).data,
              (Bytes{0, 0, 0, 12, 0, 0, 0, 8, 0x01, 0x05, 0x07, 4, 0, 0, 0, 0}));
    EXPECT_EQ(configuration(2, 0x77).data, (Bytes{0, 0, 0, 4, 0, 0, 0, 8}));
    EXPECT_TRUE(is_invalid_cdb_field(configuration(3, 0), 1));
    resize(500'000);
    EXPECT_EQ(configuration(2, 0).data,
              (Bytes{0, 0, 0, 16, 0, 0, 0, 0x10, 0, 0, 3, 8, 0, 0x10, 1, 0, 0, 8, 0, 0}));
}

TEST_F(Multimedia, MediaEventsAreNone) {
    EXPECT_EQ(in({0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8, 0}).data, (Bytes{0, 6, 4, 0x10, 0, 2, 0, 0}));
    EXPECT_EQ(in({0x4a, 1, 0, 0, 0x02, 0, 0, 0, 8, 0}).data, (Bytes{0, 2, 0x80, 0x10}));
    EXPECT_TRUE(is_invalid_cdb_field(in({0x4a, 0, 0, 0, 0x10, 0, 0, 0, 8, 0}), 1));
}

TEST_F(Multimedia, AnotherSizeIsANewMedium) {
    device.properties.size = kCdBlocks * 2 * kCdBlock;
    unit->capacity_changed();
    EXPECT_EQ(in({0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8, 0}).data, (Bytes{0, 6, 4, 0x10, 2, 2, 0, 0}));
    EXPECT_EQ(in({0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8, 0}).data, (Bytes{0, 6, 4, 0x10, 0, 2, 0, 0}));
    EXPECT_TRUE(is_check(run(Bytes(6)), 0x6, 0x2800));
}

TEST_F(Multimedia, DiscIsComplete) {
    const Bytes disc = in({0x51, 0, 0, 0, 0, 0, 0, 0, 255, 0}).data;
    ASSERT_EQ(disc.size(), 34U);
    EXPECT_EQ(Bytes(disc.begin(), disc.begin() + 9), (Bytes{0, 32, 0x0e, 1, 1, 1, 1, 0x20, 0}));
    EXPECT_TRUE(is_invalid_cdb_field(in({0x51, 1, 0, 0, 0, 0, 0, 0, 255, 0}), 1));
    EXPECT_EQ(in({0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 255, 0, 0}).data, Bytes(8));
}

TEST_F(Multimedia, ReadCdGivesUserDataOfMode1) {
    const auto cdb = [](std::uint8_t type, std::uint8_t what, std::uint8_t subchannel = 0,
                        std::uint8_t lba = 2, std::uint8_t count = 3) {
        return Bytes{0xbe,       static_cast<std::uint8_t>(type << 2U),
                     0,          0,
                     0,          lba,
                     0,          0,
                     count,      what,
                     subchannel, 0};
    };
    std::ranges::fill(device.bytes().subspan(2 * kCdBlock, 3 * kCdBlock), std::byte{0x77});
    for (const std::uint8_t type : Bytes{0, 2}) {
        EXPECT_EQ(in(cdb(type, 0x10), 4 * kCdBlock).data, Bytes(3 * kCdBlock, 0x77));
        EXPECT_TRUE(in(cdb(type, 0x00), 4 * kCdBlock).data.empty());
    }
    for (const std::uint8_t type : Bytes{1, 3, 4, 5}) {
        EXPECT_TRUE(is_check(in(cdb(type, 0x10), kCdBlock), 0x5, 0x6400)) << unsigned{type};
    }
    EXPECT_TRUE(is_invalid_cdb_field(in(cdb(6, 0x10), kCdBlock), 1));
    EXPECT_TRUE(is_invalid_cdb_field(in(cdb(0, 0xf8), kCdBlock), 9));  // whole sectors
    EXPECT_TRUE(is_invalid_cdb_field(in(cdb(0, 0x10, 1), kCdBlock), 10));
    Bytes behind = cdb(0, 0x10);
    behind[3] = 1;
    EXPECT_TRUE(is_check(in(behind, kCdBlock), 0x5, 0x2100));
    behind[9] = 0;
    EXPECT_TRUE(is_check(in(behind, kCdBlock), 0x5, 0x2100));
    resize(500'000);
    EXPECT_TRUE(is_check(in(cdb(0, 0x10), kCdBlock), 0x5, 0x3002));
}

TEST_F(Multimedia, DiscStructureOfADvd) {
    const auto structure = [this](std::uint8_t format, std::uint8_t layer = 0,
                                  std::uint8_t type = 0) {
        return in({0xad, type, 0, 0, 0, 0, layer, format, 0x10, 0, 0, 0}, 4096);
    };
    EXPECT_TRUE(is_check(structure(0), 0x5, 0x3002));  // a CD has none
    resize(500'000);
    const Bytes one = structure(0).data;
    ASSERT_EQ(one.size(), 2052U);
    EXPECT_EQ(Bytes(one.begin(), one.begin() + 22),
              (Bytes{0x08, 0x02, 0,    0,     //
                     0x01, 0x0f, 0x01, 0,     // DVD-ROM, one layer
                     0,    0x03, 0,    0,     // from sector 30000h
                     0,    0x0a, 0xa1, 0x1f,  // to 30000h + 499999
                     0,    0,    0,    0,    0, 0}));
    EXPECT_EQ(structure(1).data, (Bytes{0, 6, 0, 0, 0, 0, 0, 0}));
    EXPECT_EQ(structure(0xff).data, (Bytes{0, 10, 0, 0, 0, 0x40, 8, 4, 1, 0x40, 0, 8}));
    EXPECT_TRUE(is_invalid_cdb_field(structure(2), 7));
    EXPECT_TRUE(is_invalid_cdb_field(structure(0, 1), 6));
    EXPECT_TRUE(is_invalid_cdb_field(structure(0, 0, 1), 1));
    EXPECT_EQ(configuration(2, 0x1f).data,
              (Bytes{0, 0, 0, 12, 0, 0, 0, 0x10, 0, 0x1f, 9, 4, 0, 0, 0, 0}));
    resize(4'000'001);
    const Bytes two = structure(0, 1).data;
    EXPECT_EQ(two[6], 0x31);  // two layers, opposite track path
    EXPECT_EQ(Bytes(two.begin() + 12, two.begin() + 20),
              (Bytes{0, 0xfc, 0xff, 0xe0,     // the complement of 21848fh, + 1999985 - 1
                     0, 0x21, 0x84, 0x8f}));  // 30000h + 2000016 - 1
    resize(2 * (0x800000 - 0x030000));
    const Bytes most = structure(0).data;
    EXPECT_EQ(Bytes(most.begin() + 12, most.begin() + 20),
              (Bytes{0, 0xfc, 0xff, 0xff, 0, 0x7f, 0xff, 0xff}));
    resize(2 * (0x800000 - 0x030000) + 1);  // there are no numbers for them
    EXPECT_TRUE(is_check(structure(0), 0x5, 0x3002));
    EXPECT_TRUE(is_good(structure(1)));
}

TEST_F(Multimedia, ModePagesAreThoseOfACd) {
    const Bytes page = in({0x5a, 8, 0x2a, 0, 0, 0, 0, 0, 255, 0}).data;
    ASSERT_EQ(page.size(), 8U + 22U);
    EXPECT_EQ(page[3], 0) << "device-specific parameter";
    EXPECT_EQ(page[8], 0x2a);
    EXPECT_EQ(page[9], 20);
    EXPECT_EQ(page[10], 0x0b);
    EXPECT_TRUE(is_invalid_cdb_field(in({0x5a, 8, 0x08, 0, 0, 0, 0, 0, 255, 0}), 2));
    device.properties.type = DeviceType::kBlock;
    restart();
    EXPECT_TRUE(is_invalid_cdb_field(in({0x5a, 8, 0x2a, 0, 0, 0, 0, 0, 255, 0}), 2));
}

TEST_F(Multimedia, StaysWhereItIs) {
    EXPECT_TRUE(is_invalid_cdb_field(run({0x1b, 0, 0, 0, 2, 0}), 4));  // eject
    EXPECT_TRUE(is_good(run({0x1e, 0, 0, 0, 1, 0})));
}

}  // namespace
}  // namespace lunkit::scsi::test

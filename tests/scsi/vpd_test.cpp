// SPDX-License-Identifier: Apache-2.0
#include "logical_unit_fixture.hpp"
#include "scsi/device_identification.hpp"

namespace lunkit::scsi::test {
namespace {

class Vpd : public LogicalUnitTest {
  protected:
    Bytes page(std::uint8_t page_code) {
        const Reply reply = in({0x12, 0x01, page_code, 0x04, 0x00, 0});
        EXPECT_TRUE(is_good(reply));
        EXPECT_EQ(reply.data.at(0), 0);
        EXPECT_EQ(reply.data.at(1), page_code);
        EXPECT_EQ(get_be16(std::span(reply.data).subspan(2)), reply.data.size() - 4);
        return reply.data;
    }
};

TEST_F(Vpd, ListsPagesThatAllCanBeRead) {
    const Bytes pages = page(0x00);
    EXPECT_EQ(pages,
              (Bytes{0, 0, 0, 10, 0x00, 0x80, 0x83, 0x86, 0x87, 0x8f, 0xb0, 0xb1, 0xb2, 0xb7}));
    for (std::size_t i = 4; i < pages.size(); ++i) {
        (void)page(pages[i]);
    }
}

TEST_F(Vpd, SaysThatAllInitiatorsShareTheModePages) {
    EXPECT_EQ(page(0x87), (Bytes{0, 0x87, 0, 4, 0x3f, 0xff, 0, 0}));
}

TEST_F(Vpd, GivesTheUnitSerialNumber) {
    const Bytes serial = page(0x80);
    EXPECT_EQ(std::string(serial.begin() + 4, serial.end()), initiators.answer.serial);
}

TEST_F(Vpd, GivesSpacesWithoutASerialNumber) {
    initiators.answer.serial = "";
    EXPECT_EQ(page(0x80), (Bytes{0, 0x80, 0, 4, ' ', ' ', ' ', ' '}));
}

TEST_F(Vpd, IdentifiesTheUnitAsLioDoes) {
    const Bytes id = page(0x83);
    const Bytes naa{0x01, 0x03, 0,    16,   0x60, 0x01, 0x40, 0x50, 0xa1, 0xb2,
                    0xc3, 0xd4, 0xe5, 0xf6, 0x07, 0x18, 0x29, 0x3a, 0x4b, 0x5c};
    EXPECT_EQ((Bytes{id.begin() + 4, id.begin() + 24}), naa);
    const std::string t10 = "LUNKIT  lunkit disk:" + initiators.answer.serial;
    EXPECT_EQ((Bytes{id.begin() + 24, id.begin() + 28}),
              (Bytes{0x02, 0x01, 0, static_cast<std::uint8_t>(t10.size())}));
    const auto behind = id.begin() + 28 + static_cast<std::ptrdiff_t>(t10.size());
    EXPECT_EQ(std::string(id.begin() + 28, behind), t10);
    EXPECT_EQ((Bytes{behind, id.end()}), (Bytes{0x01, 0x14, 0, 4, 0, 0, 0, 1,  //
                                                0x01, 0x15, 0, 4, 0, 0, 0, 0}));
}

TEST_F(Vpd, GivesNoNaaIdentifierThatOthersWouldShare) {
    initiators.answer.serial = "xyz-!";
    EXPECT_EQ(page(0x83).at(5), 0x01);
}

TEST_F(Vpd, CutsALongIdentification) {
    initiators.answer.serial = std::string(400, '7');
    EXPECT_EQ(page(0x80).size(), 4U + 252);
    EXPECT_EQ(page(0x83).size(), 4U + 20 + 4 + 255 + 16);
}

TEST(NaaIdentifier, TakesAnyCompanyAndPadsShortSerials) {
    const auto naa = make_naa_identifier("F", 0xabcdef);
    ASSERT_TRUE(naa);
    EXPECT_EQ(*naa, (NaaIdentifier{0x6a, 0xbc, 0xde, 0xff}));
}

TEST_F(Vpd, TellsWhatIsSupportedBesides) {
    const Bytes extended = page(0x86);
    EXPECT_EQ(extended.size(), 64U);
    EXPECT_EQ((Bytes{extended.begin() + 4, extended.begin() + 8}), (Bytes{0, 0x01, 0x01, 0}));
}

TEST_F(Vpd, TellsTheLimitsThatCommandsEnforce) {
    options.max_transfer = 1U << 20U;
    device.properties.physical_block_size = 4096;
    device.properties.optimal_io_size = 65536;
    restart();
    const Bytes expected{0, 0xb0, 0, 0x3c, 1,    255,  0, 8,     // WSNZ, CAW, granularity
                         0, 0,    8, 0,    0,    0,    0, 0x80,  // transfer
                         0, 0,    0, 0,                          // prefetch
                         0, 0x10, 0, 0,    0,    0,    4, 0,     // UNMAP
                         0, 0,    0, 8,    0x80, 0,    0, 0,     // granularity, alignment
                         0, 0,    0, 0,    0,    0x08, 0, 0};    // WRITE SAME
    const Bytes limits = page(0xb0);
    ASSERT_EQ(limits.size(), 64U);
    EXPECT_EQ((Bytes{limits.begin(), limits.begin() + 44}), expected);
}

TEST_F(Vpd, TellsNoUnmapLimitsWithoutDiscard) {
    device.properties.can_discard = false;
    restart();
    const Bytes limits = page(0xb0);
    EXPECT_EQ((Bytes{limits.begin() + 20, limits.begin() + 36}), Bytes(16, 0));
}

TEST_F(Vpd, TellsWhetherTheMediumRotates) {
    EXPECT_EQ(page(0xb1).size(), 64U);
    EXPECT_EQ(page(0xb1).at(5), 1);
    device.properties.rotational = true;
    restart();
    EXPECT_EQ(page(0xb1).at(5), 0);
}

TEST_F(Vpd, TellsProvisioningAsReadCapacityDoes) {
    EXPECT_EQ(page(0xb2), (Bytes{0, 0xb2, 0, 4, 0, 0xe4, 2, 0}));
    device.properties.thin = false;
    device.properties.discard_zeroes = false;
    restart();
    EXPECT_EQ(page(0xb2), (Bytes{0, 0xb2, 0, 4, 0, 0xe0, 1, 0}));
    device.properties.can_discard = false;
    restart();
    EXPECT_EQ(page(0xb2), (Bytes{0, 0xb2, 0, 4, 0, 0, 0, 0}));
}

}  // namespace
}  // namespace lunkit::scsi::test

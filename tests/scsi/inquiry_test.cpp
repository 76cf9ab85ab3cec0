// SPDX-License-Identifier: Apache-2.0
#include "logical_unit_fixture.hpp"

namespace lunkit::scsi::test {
namespace {

class Inquiry : public LogicalUnitTest {
  protected:
    static Bytes cdb(std::uint16_t allocation_length, std::uint8_t page = 0,
                     std::uint8_t evpd = 0) {
        return {0x12,
                evpd,
                page,
                static_cast<std::uint8_t>(allocation_length >> 8U),
                static_cast<std::uint8_t>(allocation_length),
                0};
    }
    static std::string text(const Bytes& data, std::size_t at, std::size_t length) {
        return {data.begin() + static_cast<std::ptrdiff_t>(at),
                data.begin() + static_cast<std::ptrdiff_t>(at + length)};
    }
};

TEST_F(Inquiry, GivesNinetySixBytesOfStandardData) {
    const Reply reply = in(cdb(260), 260);
    EXPECT_TRUE(is_good(reply));
    ASSERT_EQ(reply.data.size(), 96U);
    EXPECT_EQ((Bytes{reply.data.begin(), reply.data.begin() + 8}),
              (Bytes{0x00, 0x00, 0x06, 0x02, 91, 0x18, 0x00, 0x02}));
}

TEST_F(Inquiry, ClaimsTheStandards) {
    const Reply reply = in(cdb(96));
    EXPECT_EQ((Bytes{reply.data.begin() + 58, reply.data.begin() + 66}),
              (Bytes{0x00, 0xa0, 0x04, 0x60, 0x04, 0xc0, 0, 0}));
}

TEST_F(Inquiry, PadsAndCutsTheIdentification) {
    initiators.answer.vendor = "ACME";
    initiators.answer.product = "a product whose name is long";
    initiators.answer.revision = "1";
    const Reply reply = in(cdb(96));
    EXPECT_EQ(text(reply.data, 8, 8), "ACME    ");
    EXPECT_EQ(text(reply.data, 16, 16), "a product whose ");
    EXPECT_EQ(text(reply.data, 32, 4), "1   ");
}

TEST_F(Inquiry, ShowsSpacesForWhatIsNotPrintable) {
    initiators.answer.vendor = "A\x01\xffZ";
    EXPECT_EQ(text(in(cdb(96)).data, 8, 4), "A  Z");
}

TEST_F(Inquiry, IsCutToTheAllocationLengthAndTouchesNoMore) {
    // The peer left stale bytes of other commands behind a short answer.
    for (std::uint16_t length = 0; length < 256; ++length) {
        const Reply reply = in(cdb(length), 300);
        EXPECT_TRUE(is_good(reply));
        EXPECT_EQ(reply.data.size(), std::min<std::size_t>(length, 96));
        EXPECT_EQ(reply.buffer.at(reply.data.size()), Exchange::kUntouched);
    }
}

TEST_F(Inquiry, HasASixteenBitAllocationLength) {
    EXPECT_EQ(in(cdb(256), 256).data, in(cdb(255), 256).data);
}

TEST_F(Inquiry, RefusesAPageWithoutEvpd) {
    EXPECT_TRUE(is_invalid_cdb_field(in(cdb(96, 0x83)), 2));
}

TEST_F(Inquiry, RefusesAnUnknownPage) {
    EXPECT_TRUE(is_invalid_cdb_field(in(cdb(96, 0x88, 1)), 2));
}

TEST_F(Inquiry, AsksForTheIdentityEachTime) {
    EXPECT_EQ(text(in(cdb(96)).data, 8, 6), "LUNKIT");
    initiators.answer.vendor = "LIO-ORG";
    EXPECT_EQ(text(in(cdb(96)).data, 8, 7), "LIO-ORG");
}

}  // namespace
}  // namespace lunkit::scsi::test

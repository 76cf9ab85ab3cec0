// SPDX-License-Identifier: Apache-2.0
#include "logical_unit_fixture.hpp"

namespace lunkit::scsi::test {
namespace {

class RequestSense : public LogicalUnitTest {
  protected:
    Reply request(std::uint8_t desc = 0, std::uint8_t allocation_length = 252) {
        return in({0x03, desc, 0, 0, allocation_length, 0}, 252);
    }
};

TEST_F(RequestSense, HasNothingToSayAtFirst) {
    const Reply reply = request();
    EXPECT_TRUE(is_good(reply));
    EXPECT_EQ(reply.data, (Bytes{0x70, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}));
}

TEST_F(RequestSense, GivesDescriptorFormatOnDesc) {
    EXPECT_EQ(request(1).data, (Bytes{0x72, 0, 0, 0, 0, 0, 0, 0}));
}

TEST_F(RequestSense, TellsAndClearsAUnitAttention) {
    unit->capacity_changed();
    const Reply reply = request();
    EXPECT_TRUE(is_good(reply));
    EXPECT_EQ(reply.data.at(2), 0x06);
    EXPECT_EQ(reply.data.at(12), 0x2a);
    EXPECT_EQ(reply.data.at(13), 0x09);
    EXPECT_EQ(request().data.at(2), 0);
}

TEST_F(RequestSense, TellsThatTheUnitIsStopped) {
    EXPECT_TRUE(is_good(run({0x1b, 0, 0, 0, 0, 0})));
    EXPECT_EQ(request(1).data, (Bytes{0x72, 0x02, 0x04, 0x02, 0, 0, 0, 0}));
}

TEST_F(RequestSense, IsCutToTheAllocationLength) {
    EXPECT_EQ(request(0, 8).data.size(), 8U);
    EXPECT_EQ(request(0, 0).data.size(), 0U);
}

}  // namespace
}  // namespace lunkit::scsi::test

// SPDX-License-Identifier: Apache-2.0
#include "logical_unit_fixture.hpp"

namespace lunkit::scsi::test {
namespace {

class TargetPorts : public LogicalUnitTest {};

TEST_F(TargetPorts, AreOneGroupThatIsActive) {
    const Reply reply = in({0xa3, 0x0a, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0});
    EXPECT_TRUE(is_good(reply));
    EXPECT_EQ(reply.data, (Bytes{0, 0, 0, 12, 0x00, 0x01, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1}));
}

TEST_F(TargetPorts, AreTheSameBehindTheExtendedHeader) {
    const Reply reply = in({0xa3, 0x2a, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0});
    EXPECT_EQ(reply.data, (Bytes{0,    0,    0, 16, 0x10, 0, 0, 0,  //
                                 0x00, 0x01, 0, 0,  0,    0, 0, 1, 0, 0, 0, 1}));
    EXPECT_TRUE(is_invalid_cdb_field(in({0xa3, 0x4a, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0}), 1));
}

TEST_F(TargetPorts, CannotBeSet) {
    EXPECT_TRUE(is_check(out({0xa4, 0x0a, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0}, Bytes(8)), 0x5, 0x2000));
}

TEST_F(TargetPorts, LeadToLunZero) {
    const Bytes lun_zero{0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    EXPECT_EQ(in({0xa0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0}).data, lun_zero);
    EXPECT_EQ(in({0xa0, 0, 2, 0, 0, 0, 0, 0, 1, 0, 0, 0}).data, lun_zero);
    EXPECT_EQ(in({0xa0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0}).data, Bytes(8, 0));
    EXPECT_TRUE(is_invalid_cdb_field(in({0xa0, 0, 3, 0, 0, 0, 0, 0, 1, 0, 0, 0}), 2));
}

}  // namespace
}  // namespace lunkit::scsi::test

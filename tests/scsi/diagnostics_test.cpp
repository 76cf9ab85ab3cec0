// SPDX-License-Identifier: Apache-2.0
#include "logical_unit_fixture.hpp"

namespace lunkit::scsi::test {
namespace {

class SendDiagnostic : public LogicalUnitTest {};
class ReceiveDiagnosticResults : public LogicalUnitTest {};
class ReadDefectData : public LogicalUnitTest {};

TEST_F(SendDiagnostic, TestsTheWayToTheStorage) {
    EXPECT_TRUE(is_good(run({0x1d, 0x04, 0, 0, 0, 0})));
    EXPECT_EQ(device.count(Kind::kRead), 1U);
    EXPECT_EQ(device.count(Kind::kFlush), 1U);
}

TEST_F(SendDiagnostic, TellsAFailedSelfTest) {
    device.fail_next(Kind::kRead, Error{EIO});
    EXPECT_TRUE(is_check(run({0x1d, 0x04, 0, 0, 0, 0}), 0x4, 0x3e03));
    device.fail_next(Kind::kFlush, Error{EIO});
    EXPECT_TRUE(is_check(run({0x1d, 0x04, 0, 0, 0, 0}), 0x4, 0x3e03));
}

TEST_F(SendDiagnostic, RefusesWhatItDoesNotHave) {
    EXPECT_TRUE(is_invalid_cdb_field(run({0x1d, 0x20, 0, 0, 0, 0}), 1));
    EXPECT_TRUE(is_invalid_cdb_field(out({0x1d, 0x00, 0, 0, 4, 0}, Bytes(4)), 3));
    EXPECT_TRUE(is_invalid_cdb_field(out({0x1d, 0x14, 0, 0, 4, 0}, Bytes(4)), 1));
    EXPECT_TRUE(is_invalid_list_field(out({0x1d, 0x10, 0, 0, 4, 0}, {0x3f, 0, 0, 0}), 0));
    EXPECT_TRUE(is_invalid_list_field(out({0x1d, 0x10, 0, 0, 5, 0}, {0, 0, 0, 1, 0}), 2));
}

TEST_F(SendDiagnostic, TakesTheQuestionForThePages) {
    EXPECT_TRUE(is_good(out({0x1d, 0x10, 0, 0, 4, 0}, Bytes(4))));
    EXPECT_TRUE(is_check(out({0x1d, 0x10, 0, 0, 3, 0}, Bytes(3)), 0x5, 0x1a00));
    EXPECT_TRUE(is_check(out({0x1d, 0x10, 0, 0, 4, 0}, Bytes(3)), 0x5, 0x0e03));
    EXPECT_TRUE(device.requests.empty());
}

TEST_F(ReceiveDiagnosticResults, ListsTheOnlyPage) {
    EXPECT_EQ(in({0x1c, 0x01, 0x00, 0, 255, 0}).data, (Bytes{0, 0, 0, 1, 0}));
    EXPECT_EQ(in({0x1c, 0x00, 0x00, 0, 255, 0}).data, (Bytes{0, 0, 0, 1, 0}));
    EXPECT_EQ(in({0x1c, 0x01, 0x00, 0, 3, 0}).data, (Bytes{0, 0, 0}));
    EXPECT_TRUE(is_good(in({0x1c, 0x01, 0x00, 0, 0, 0})));
    EXPECT_TRUE(is_invalid_cdb_field(in({0x1c, 0x01, 0x10, 0, 255, 0}), 2));
}

TEST_F(SendDiagnostic, WithoutSelfTestDoesNothing) {
    EXPECT_TRUE(is_good(run({0x1d, 0, 0, 0, 0, 0})));
    EXPECT_TRUE(device.requests.empty());
}

TEST_F(ReadDefectData, GivesEmptyListsOfTheFormatAsked) {
    EXPECT_EQ(in({0x37, 0, 0x1d, 0, 0, 0, 0, 0, 32, 0}).data, (Bytes{0, 0x1d, 0, 0}));
    EXPECT_EQ(in({0xb7, 0x0b, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0}).data,
              (Bytes{0, 0x0b, 0, 0, 0, 0, 0, 0}));
}

}  // namespace
}  // namespace lunkit::scsi::test

// SPDX-License-Identifier: Apache-2.0
#include "logical_unit_fixture.hpp"

namespace lunkit::scsi::test {
namespace {

class LogSense : public LogicalUnitTest {
  protected:
    Reply log(std::uint8_t page, std::uint8_t subpage = 0, std::uint8_t flags = 0,
              std::uint8_t pointer = 0) {
        const auto cumulative = static_cast<std::uint8_t>(0x40U | page);
        return in({0x4d, flags, cumulative, subpage, 0, 0, pointer, 0, 255, 0});
    }
};

TEST_F(LogSense, ListsItsPages) {
    EXPECT_EQ(log(0x00).data, (Bytes{0x00, 0, 0, 2, 0x00, 0x2f}));
}

TEST_F(LogSense, ListsItsPagesAndSubpages) {
    EXPECT_EQ(log(0x00, 0xff).data, (Bytes{0x40, 0xff, 0, 6, 0, 0, 0, 0xff, 0x2f, 0}));
}

TEST_F(LogSense, KnowsOfNoExceptions) {
    EXPECT_EQ(log(0x2f).data, (Bytes{0x2f, 0, 0, 8, 0, 0, 0x03, 4, 0, 0, 0xff, 0}));
}

TEST_F(LogSense, RefusesOtherPages) {
    EXPECT_TRUE(is_invalid_cdb_field(log(0x0c), 2));
    EXPECT_TRUE(is_invalid_cdb_field(log(0x2f, 0x01), 3));
}

TEST_F(LogSense, RefusesToSaveAndToPointBehindTheParameters) {
    EXPECT_TRUE(is_invalid_cdb_field(log(0x2f, 0, 0x01), 1));
    EXPECT_TRUE(is_invalid_cdb_field(log(0x2f, 0, 0, 1), 5));
}

}  // namespace
}  // namespace lunkit::scsi::test

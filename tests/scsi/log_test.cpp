// SPDX-License-Identifier: Apache-2.0
#include "logical_unit_fixture.hpp"

namespace lunkit::scsi::test {
namespace {

class LogSense : public LogicalUnitTest {
  protected:
    /// Total bytes processed and total uncorrected errors.
    std::pair<std::uint64_t, std::uint64_t> counters(std::uint8_t page, unsigned control = 1) {
        const Bytes data =
            in({0x4d, 0, static_cast<std::uint8_t>(control << 6U | page), 0, 0, 0, 0, 0, 255, 0})
                .data;
        EXPECT_EQ(data.size(), 28U);
        EXPECT_EQ((Bytes{data.begin(), data.begin() + 8}), (Bytes{page, 0, 0, 24, 0, 5, 0x20, 8}));
        EXPECT_EQ((Bytes{data.begin() + 16, data.begin() + 20}), (Bytes{0, 6, 0x20, 8}));
        return {get_be64(std::span(data).subspan(8)), get_be64(std::span(data).subspan(20))};
    }
    Reply select(std::uint8_t flags, std::uint8_t page, std::uint8_t subpage = 0,
                 std::uint8_t length = 0) {
        return out({0x4c, flags, page, subpage, 0, 0, 0, 0, length, 0}, Bytes(length));
    }
    void use_everything() {
        EXPECT_TRUE(is_good(out(cdb10(0x2a, 0, 0, 3), blocks(3, 1))));
        EXPECT_TRUE(is_good(in(cdb10(0x28, 0, 0, 2), 2 * kBlock)));
        EXPECT_TRUE(is_good(run(cdb10(0x2f, 0, 0, 5))));
    }
    using Counters = std::pair<std::uint64_t, std::uint64_t>;

    Reply log(std::uint8_t page, std::uint8_t subpage = 0, std::uint8_t flags = 0,
              std::uint8_t pointer = 0) {
        const auto cumulative = static_cast<std::uint8_t>(0x40U | page);
        return in({0x4d, flags, cumulative, subpage, 0, 0, pointer, 0, 255, 0});
    }
};

TEST_F(LogSense, ListsItsPages) {
    EXPECT_EQ(log(0x00).data, (Bytes{0x00, 0, 0, 5, 0x00, 0x02, 0x03, 0x05, 0x2f}));
}

TEST_F(LogSense, ListsItsPagesAndSubpages) {
    EXPECT_EQ(log(0x00, 0xff).data,
              (Bytes{0x40, 0xff, 0, 12, 0, 0, 0, 0xff, 2, 0, 3, 0, 5, 0, 0x2f, 0}));
}

TEST_F(LogSense, KnowsOfNoExceptions) {
    EXPECT_EQ(log(0x2f).data, (Bytes{0x2f, 0, 0, 8, 0, 0, 0x03, 4, 0, 0, 0xff, 0}));
}

TEST_F(LogSense, CountsWhatWasWrittenReadAndVerified) {
    EXPECT_EQ(counters(0x02), Counters(0, 0));
    use_everything();
    EXPECT_EQ(counters(0x02), Counters(3 * kBlock, 0));
    EXPECT_EQ(counters(0x03), Counters(2 * kBlock, 0));
    EXPECT_EQ(counters(0x05), Counters(5 * kBlock, 0));
    EXPECT_TRUE(is_good(out(cdb10(0x2e, 0x02, 0, 1), blocks(1, 1))));
    EXPECT_EQ(counters(0x02), Counters(4 * kBlock, 0));
    EXPECT_EQ(counters(0x05), Counters(6 * kBlock, 0));
}

TEST_F(LogSense, CountsWhatTheMediumFailedAndNothingElse) {
    device.fail_next(Kind::kWrite, Error{EIO});
    EXPECT_TRUE(is_check(out(cdb10(0x2a, 0, 0, 1), blocks(1, 1)), 0x3, 0x0c00));
    device.fail_next(Kind::kWrite, Error{ENOSPC});
    EXPECT_TRUE(is_check(out(cdb10(0x2a, 0, 0, 1), blocks(1, 1)), 0x7, 0x2707));
    device.fail_next(Kind::kRead, Error{EIO});
    EXPECT_TRUE(is_check(in(cdb10(0x28, 0, 0, 1), kBlock), 0x3, 0x1100));
    device.fail_next(Kind::kRead, Error{EIO});
    EXPECT_TRUE(is_check(run(cdb10(0x2f, 0, 0, 1)), 0x3, 0x1100));
    EXPECT_EQ(counters(0x02), Counters(0, 1));
    EXPECT_EQ(counters(0x03), Counters(0, 1));
    EXPECT_EQ(counters(0x05), Counters(0, 1));
}

TEST_F(LogSense, TellsThresholdsAndDefaultsByPageControl) {
    use_everything();
    constexpr std::uint64_t kMost = ~std::uint64_t{0};
    EXPECT_EQ(counters(0x02, 0), Counters(kMost, kMost));
    EXPECT_EQ(counters(0x02, 2), Counters(kMost, kMost));
    EXPECT_EQ(counters(0x02, 3), Counters(0, 0));
}

TEST_F(LogSense, BeginsAtTheParameterPointer) {
    EXPECT_EQ(log(0x02, 0, 0, 5).data.size(), 28U);
    const Bytes data = log(0x02, 0, 0, 6).data;
    EXPECT_EQ((Bytes{data.begin(), data.begin() + 8}), (Bytes{0x02, 0, 0, 12, 0, 6, 0x20, 8}));
    EXPECT_TRUE(is_invalid_cdb_field(log(0x02, 0, 0, 7), 5));
}

TEST_F(LogSense, StartsAnewAfterLogSelect) {
    constexpr std::uint8_t kPcr = 0x02;
    use_everything();
    EXPECT_TRUE(is_good(select(0, 0x40)));  // current values: no change
    EXPECT_TRUE(is_good(select(kPcr, 0x02)));
    EXPECT_EQ(counters(0x02), Counters(0, 0));
    EXPECT_EQ(counters(0x03), Counters(2 * kBlock, 0));
    EXPECT_TRUE(is_good(select(0, 0xc0 | 0x03)));  // default cumulative values
    EXPECT_EQ(counters(0x03), Counters(0, 0));
    EXPECT_TRUE(is_good(select(kPcr, 0x00)));
    EXPECT_EQ(counters(0x05), Counters(0, 0));
}

TEST_F(LogSense, LetsNothingBeSelectedThatIsNotThere) {
    EXPECT_TRUE(is_invalid_cdb_field(select(0x03, 0), 1));
    EXPECT_TRUE(is_invalid_cdb_field(select(0x02, 0x0d), 2));
    EXPECT_TRUE(is_invalid_cdb_field(select(0x02, 0x02, 1), 3));
    EXPECT_TRUE(is_invalid_cdb_field(select(0x02, 0x02, 0, 4), 7));
    EXPECT_TRUE(is_invalid_cdb_field(select(0x00, 0x02, 0, 4), 7));
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

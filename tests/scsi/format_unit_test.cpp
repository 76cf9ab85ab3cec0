// SPDX-License-Identifier: Apache-2.0
#include "logical_unit_fixture.hpp"

namespace lunkit::scsi::test {
namespace {

constexpr std::uint8_t kFmtdata = 0x10;
constexpr std::uint8_t kCmplst = 0x08;
constexpr std::uint8_t kLonglist = 0x20;
constexpr std::uint8_t kFov = 0x80;
constexpr std::uint8_t kIp = 0x08;
constexpr std::uint8_t kImmed = 0x02;

class FormatUnit : public LogicalUnitTest {
  protected:
    FormatUnit() { fill_medium(0, kBlocks, 0xcc); }

    static Bytes cdb(std::uint8_t flags = 0, std::uint8_t ffmt = 0) {
        return {0x04, flags, 0, 0, ffmt, 0};
    }
    /// With this byte 1 of a short header, and what follows the header.
    static Bytes list(std::uint8_t options, Bytes more = {}) {
        Bytes bytes{0, options, 0, 0};
        bytes.insert(bytes.end(), more.begin(), more.end());
        return bytes;
    }
    /// Initialization pattern descriptor.
    static Bytes pattern(std::uint8_t type, Bytes bytes, std::uint8_t first = 0) {
        Bytes descriptor{first, type, static_cast<std::uint8_t>(bytes.size() >> 8U),
                         static_cast<std::uint8_t>(bytes.size())};
        descriptor.insert(descriptor.end(), bytes.begin(), bytes.end());
        return descriptor;
    }
    Reply format(const Bytes& parameters, std::uint8_t flags = kFmtdata) {
        return out(cdb(flags), parameters);
    }
    Reply test_unit_ready() { return run({0x00, 0, 0, 0, 0, 0}); }
    bool is_untouched() { return medium_is(0, kBlocks, 0xcc) && device.requests.empty(); }
};

TEST_F(FormatUnit, LeavesZeros) {
    EXPECT_TRUE(is_good(run(cdb())));
    EXPECT_TRUE(medium_is(0, kBlocks, 0));
    EXPECT_TRUE(device.is_durable());
    EXPECT_EQ(device.count(Kind::kWrite), 0U);
    EXPECT_EQ(device.requests.at(0).flags, LUNKIT_IO_MAY_UNMAP);
    EXPECT_TRUE(is_good(test_unit_ready()));
}

TEST_F(FormatUnit, GoesInPiecesOfWhatTheDeviceTakes) {
    device.properties.max_write_zeroes = 100 * kBlock;
    restart();
    EXPECT_TRUE(is_good(run(cdb())));
    EXPECT_EQ(device.count(Kind::kWriteZeroes), (kBlocks + 99) / 100);
    EXPECT_TRUE(medium_is(0, kBlocks, 0));
}

TEST_F(FormatUnit, WritesZerosOutWhereTheDeviceCannot) {
    device.fail_next(Kind::kWriteZeroes, Error{EOPNOTSUPP});
    EXPECT_TRUE(is_good(run(cdb())));
    EXPECT_TRUE(medium_is(0, kBlocks, 0));
    EXPECT_GT(device.count(Kind::kWrite), 1U);
}

TEST_F(FormatUnit, TakesParameterListsWithoutDefects) {
    const Bytes long_header(8);
    for (const auto& [flags, bytes] :
         std::vector<std::pair<std::uint8_t, Bytes>>{{kFmtdata, list(0)},
                                                     {kFmtdata | kCmplst, list(0)},
                                                     {kFmtdata | 5, list(0)},
                                                     {kFmtdata | kLonglist, long_header},
                                                     {kFmtdata, list(kFov | 0x70)},
                                                     {kFmtdata, list(kFov | kIp, {0, 0, 0, 0})}}) {
        fill_medium(0, kBlocks, 0xcc);
        EXPECT_TRUE(is_good(format(bytes, flags))) << unsigned{flags};
        EXPECT_TRUE(medium_is(0, kBlocks, 0));
    }
}

TEST_F(FormatUnit, WithoutAParameterListIgnoresWhatIsSaidOfIt) {
    EXPECT_TRUE(is_good(run(cdb(kCmplst | kLonglist))));
    EXPECT_TRUE(medium_is(0, kBlocks, 0));
}

TEST_F(FormatUnit, LeavesTheBlocksOfAFullyProvisionedUnitMapped) {
    device.properties.can_discard = false;
    restart();
    EXPECT_TRUE(is_good(run(cdb())));
    EXPECT_EQ(device.requests.at(0).flags, 0U);
    EXPECT_TRUE(medium_is(0, kBlocks, 0));
}

TEST_F(FormatUnit, RepeatsTheInitializationPatternInEachBlock) {
    EXPECT_TRUE(is_good(format(list(kFov | kIp, pattern(1, {1, 2, 3})))));
    for (std::uint64_t lba = 0; lba < kBlocks; ++lba) {
        const auto block = device.bytes().subspan(lba * kBlock, kBlock);
        for (std::size_t i = 0; i < kBlock; ++i) {
            ASSERT_EQ(block[i], std::byte(1 + i % 3)) << lba << ' ' << i;
        }
    }
    EXPECT_TRUE(device.is_durable());
    EXPECT_TRUE(is_good(format(list(kFov | kIp, pattern(1, blocks(1, 0x77))))));
    EXPECT_TRUE(medium_is(0, kBlocks, 0x77));
}

TEST_F(FormatUnit, TakesTheLongHeaderWithAPattern) {
    Bytes bytes{0, kFov | kIp, 0, 0, 0, 0, 0, 0};
    const Bytes descriptor = pattern(1, {0x31});
    bytes.insert(bytes.end(), descriptor.begin(), descriptor.end());
    EXPECT_TRUE(is_good(format(bytes, kFmtdata | kLonglist)));
    EXPECT_TRUE(medium_is(0, kBlocks, 0x31));
}

TEST_F(FormatUnit, WithSecurityInitializeWritesEveryBlock) {
    EXPECT_TRUE(is_good(format(list(kFov | kIp, pattern(0, {}, 0x20)))));
    EXPECT_TRUE(medium_is(0, kBlocks, 0));
    EXPECT_EQ(device.count(Kind::kWriteZeroes), 0U);
    EXPECT_GT(device.count(Kind::kWrite), 0U);
}

TEST_F(FormatUnit, RefusesPatternsThatAreNone) {
    const Bytes too_long = pattern(1, Bytes(kBlock + 1, 1));
    EXPECT_TRUE(is_invalid_list_field(format(list(kFov | kIp, too_long)), 6));
    EXPECT_TRUE(is_invalid_list_field(format(list(kFov | kIp, pattern(1, {}))), 6));
    EXPECT_TRUE(is_invalid_list_field(format(list(kFov | kIp, pattern(0, {1}))), 6));
    EXPECT_TRUE(is_invalid_list_field(format(list(kFov | kIp, pattern(2, {1}))), 5));
    EXPECT_TRUE(is_invalid_list_field(format(list(kFov | kIp, pattern(1, {1}, 0x40))), 4));
    Bytes cut = list(kFov | kIp, pattern(1, {1, 2, 3, 4}));
    cut.pop_back();
    EXPECT_TRUE(is_check(format(cut), 0x5, 0x1a00));
    EXPECT_TRUE(is_check(format(list(kFov | kIp, {0, 1, 0})), 0x5, 0x1a00));
    EXPECT_TRUE(is_untouched());
}

TEST_F(FormatUnit, RefusesParameterListsThatAreTooShort) {
    EXPECT_TRUE(is_check(run(cdb(kFmtdata)), 0x5, 0x1a00));
    EXPECT_TRUE(is_check(format(Bytes(3)), 0x5, 0x1a00));
    EXPECT_TRUE(is_check(format(Bytes(7), kFmtdata | kLonglist), 0x5, 0x1a00));
    EXPECT_TRUE(is_untouched());
}

TEST_F(FormatUnit, RefusesWhatTheUnitDoesNotHave) {
    for (const std::uint8_t fmtpinfo : Bytes{0x40, 0x80, 0xc0}) {
        EXPECT_TRUE(is_invalid_cdb_field(run(cdb(fmtpinfo)), 1));
    }
    for (const std::uint8_t flags : Bytes{5, kFmtdata | 6, kFmtdata | 7}) {
        EXPECT_TRUE(is_invalid_cdb_field(out(cdb(flags), Bytes(8)), 1)) << unsigned{flags};
    }
    EXPECT_TRUE(is_invalid_cdb_field(run(cdb(0, 3)), 4));
    EXPECT_TRUE(is_invalid_list_field(format({1, 0, 0, 0}), 0));
    EXPECT_TRUE(is_invalid_list_field(format({0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1}), 2));
    EXPECT_TRUE(is_invalid_list_field(format({0, 0, 0, 1, 0, 0, 0, 0}, kFmtdata | kLonglist), 3));
    EXPECT_TRUE(is_invalid_list_field(format({0, 0, 0, 0, 0, 0, 0, 8}, kFmtdata | kLonglist), 4));
    for (const std::uint8_t option : Bytes{0x40, 0x20, 0x10, 0x08, 0x04}) {
        EXPECT_TRUE(is_invalid_list_field(format(list(option)), 1)) << "FOV = 0";
    }
    EXPECT_TRUE(is_untouched());
}

TEST_F(FormatUnit, FastNeverWritesBlocks) {
    for (const std::uint8_t ffmt : Bytes{1, 2}) {
        fill_medium(0, kBlocks, 0xcc);
        EXPECT_TRUE(is_good(run(cdb(0, ffmt))));
        EXPECT_TRUE(medium_is(0, kBlocks, 0));
        EXPECT_EQ(device.requests.at(0).flags, LUNKIT_IO_MAY_UNMAP | LUNKIT_IO_NO_FALLBACK);
    }
    EXPECT_EQ(device.count(Kind::kWrite), 0U);
    const Bytes bytes = list(kFov | kIp, pattern(1, {1}));
    EXPECT_TRUE(is_check(out(cdb(kFmtdata, 1), bytes), 0x5, 0x2613));
}

TEST_F(FormatUnit, FastIsRefusedWhereItWouldBeSlow) {
    device.fail_next(Kind::kWriteZeroes, Error{EOPNOTSUPP});
    EXPECT_TRUE(is_check(run(cdb(0, 1)), 0x5, 0x2613));
    EXPECT_TRUE(medium_is(0, kBlocks, 0xcc));
    EXPECT_TRUE(is_good(test_unit_ready()));
}

TEST_F(FormatUnit, FastThatIsRefusedMendsNothing) {
    device.fail_next(Kind::kWriteZeroes, Error{EIO});
    EXPECT_TRUE(is_check(run(cdb()), 0x3, 0x3101));
    device.fail_next(Kind::kWriteZeroes, Error{EOPNOTSUPP});
    EXPECT_TRUE(is_check(run(cdb(0, 1)), 0x5, 0x2613));
    EXPECT_TRUE(is_check(test_unit_ready(), 0x3, 0x3100));
}

TEST_F(FormatUnit, WithImmedEndsAtOnceAndTellsItsProgress) {
    device.properties.max_write_zeroes = kBlocks / 4 * kBlock;
    restart();
    EXPECT_TRUE(is_good(format(list(kImmed))));
    const Reply reply = test_unit_ready();
    EXPECT_TRUE(is_check(reply, 0x2, 0x0404));
    EXPECT_EQ(reply.sense.at(15), 0x80);
    EXPECT_EQ(get_be16(std::span(reply.sense).subspan(16)), 0x10000 / 4);
    const Reply sense = in({0x03, 0, 0, 0, 252, 0}, 252);
    EXPECT_TRUE(is_good(sense));
    EXPECT_EQ(sense.data.at(2), 0x02);
    EXPECT_EQ(get_be16(std::span(sense.data).subspan(12)), 0x0404);
    EXPECT_EQ(sense.data.at(15), 0x80);
    queue.run_all();
    EXPECT_TRUE(is_good(test_unit_ready()));
    EXPECT_TRUE(medium_is(0, kBlocks, 0) && device.is_durable());
    EXPECT_EQ(in({0x03, 0, 0, 0, 252, 0}, 252).data.at(2), 0x00);
}

TEST_F(FormatUnit, TellsItsProgressInDescriptorFormatToo) {
    EXPECT_TRUE(is_good(format(list(kImmed))));
    const Reply sense = in({0x03, 1, 0, 0, 252, 0}, 252);
    EXPECT_EQ(sense.data.size(), 16U);
    EXPECT_EQ((Bytes{sense.data.begin(), sense.data.begin() + 4}), (Bytes{0x72, 0x02, 0x04, 0x04}));
    EXPECT_EQ((Bytes{sense.data.begin() + 7, sense.data.begin() + 13}),
              (Bytes{8, 0x02, 0x06, 0, 0, 0x80}));
}

TEST_F(FormatUnit, KeepsAllButReportsWaiting) {
    EXPECT_TRUE(is_good(format(list(kImmed))));
    for (const Bytes& busy : {cdb10(0x28, 0, 0, 1), cdb10(0x2a, 0, 0, 1), cdb10(0x35, 0, 0, 0),
                              cdb(), cdb10(0x25, 0, 0, 0), Bytes{0x1b, 0, 0, 0, 1, 0},
                              Bytes{0x15, 0x10, 0, 0, 0, 0}, Bytes{0x1a, 0, 0x3f, 0, 255, 0}}) {
        EXPECT_TRUE(is_check(in(busy), 0x2, 0x0404)) << unsigned{busy[0]};
    }
    EXPECT_TRUE(is_good(in({0x12, 0, 0, 0, 96, 0})));
    EXPECT_TRUE(is_good(in({0xa0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0})));
    EXPECT_TRUE(is_check(in({0xa3, 0x0c, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0}), 0x2, 0x0404));
}

TEST_F(FormatUnit, WaitsForWritesThatRunAndKeepsNothingOfThem) {
    device.suspends = true;
    Exchange write(cdb10(0x2a, 0, 5, 1), blocks(1, 0x99));
    Exchange format(cdb(), {});
    std::optional<lunkit::test::detail::Nothing> written;
    std::optional<lunkit::test::detail::Nothing> formatted;
    lunkit::test::detail::drive(unit->execute(queue, write.command), written, [] {});
    lunkit::test::detail::drive(unit->execute(queue, format.command), formatted, [] {});
    EXPECT_EQ(device.count(Kind::kWriteZeroes), 0U);
    queue.run_all();
    ASSERT_TRUE(written && formatted);
    EXPECT_TRUE(is_good(reply_of(write)) && is_good(reply_of(format)));
    EXPECT_TRUE(medium_is(0, kBlocks, 0));
}

TEST_F(FormatUnit, ThatFailedLeavesACorruptFormatUntilAnotherSucceeds) {
    device.fail_next(Kind::kWriteZeroes, Error{EIO});
    EXPECT_TRUE(is_check(run(cdb()), 0x3, 0x3101));
    EXPECT_TRUE(is_check(test_unit_ready(), 0x3, 0x3100));
    EXPECT_TRUE(is_check(in(cdb10(0x28, 0, 0, 1)), 0x3, 0x3100));
    EXPECT_TRUE(is_good(in({0x1a, 0, 0x3f, 0, 255, 0})));
    EXPECT_TRUE(is_good(run(cdb())));
    EXPECT_TRUE(is_good(test_unit_ready()));
}

TEST_F(FormatUnit, TellsThatTheSpaceIsUsedUp) {
    device.fail_next(Kind::kWrite, Error{ENOSPC});
    EXPECT_TRUE(is_check(format(list(kFov | kIp, pattern(1, {1}))), 0x7, 0x2707));
}

TEST_F(FormatUnit, FailsWhenTheFlushDoes) {
    device.fail_next(Kind::kFlush, Error{EIO});
    EXPECT_TRUE(is_check(run(cdb()), 0x3, 0x3101));
    EXPECT_TRUE(is_check(test_unit_ready(), 0x3, 0x3100));
}

TEST_F(FormatUnit, InTheBackgroundEndsWhenTheFrontEndCloses) {
    device.properties.max_write_zeroes = kBlock;
    restart();
    EXPECT_TRUE(is_good(format(list(kImmed))));
    unit->end_background();
    queue.run_all();
    EXPECT_EQ(device.count(Kind::kWriteZeroes), 1U);
    EXPECT_TRUE(is_check(test_unit_ready(), 0x3, 0x3100));
}

TEST_F(FormatUnit, DoesNotBeginWhenItIsTooLate) {
    initiators.closed = true;
    EXPECT_EQ(format(list(kImmed)).status, StatusCode::kBusy);
    EXPECT_TRUE(is_untouched());
    EXPECT_TRUE(is_good(test_unit_ready()));
}

TEST_F(FormatUnit, IsRefusedWhenWriteProtectedOrStopped) {
    device.properties.read_only = true;
    restart();
    EXPECT_TRUE(is_check(run(cdb()), 0x7, 0x2700));
    device.properties.read_only = false;
    restart();
    EXPECT_TRUE(is_good(run({0x1b, 0, 0, 0, 0x04, 0})));
    EXPECT_TRUE(is_check(run(cdb()), 0x2, 0x0402));
    EXPECT_TRUE(is_untouched());
}

TEST_F(FormatUnit, WorksOnLargeBlocks) {
    options.block_size = 4096;
    device.properties.min_block_size = 4096;
    restart();
    EXPECT_TRUE(is_good(format(list(kFov | kIp, pattern(1, Bytes(4096, 0x19))))));
    EXPECT_TRUE(medium_is(0, kBlocks, 0x19));
    EXPECT_TRUE(is_good(run(cdb())));
    EXPECT_TRUE(medium_is(0, kBlocks, 0));
}

}  // namespace
}  // namespace lunkit::scsi::test

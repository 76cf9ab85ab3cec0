// SPDX-License-Identifier: Apache-2.0
#include "logical_unit_fixture.hpp"

namespace lunkit::scsi::test {
namespace {

constexpr std::uint8_t kOverwrite = 0x01;
constexpr std::uint8_t kBlockErase = 0x02;
constexpr std::uint8_t kExitFailureMode = 0x1f;
constexpr std::uint8_t kImmed = 0x80;
constexpr std::uint8_t kZnr = 0x40;
constexpr std::uint8_t kAuse = 0x20;
constexpr std::uint8_t kInvert = 0x80;

class Sanitize : public LogicalUnitTest {
  protected:
    Sanitize() { fill_medium(0, kBlocks, 0xcc); }

    static Bytes cdb(std::uint8_t byte1, std::size_t parameter_list_length = 0) {
        Bytes bytes{0x48, byte1, 0, 0, 0, 0, 0, 0, 0, 0};
        put_be16(std::span(bytes).subspan(7), static_cast<std::uint16_t>(parameter_list_length));
        return bytes;
    }
    /// `first`: INVERT, TEST, OVERWRITE COUNT.
    static Bytes list(std::uint8_t first, Bytes pattern) {
        Bytes bytes{first, 0, static_cast<std::uint8_t>(pattern.size() >> 8U),
                    static_cast<std::uint8_t>(pattern.size())};
        bytes.insert(bytes.end(), pattern.begin(), pattern.end());
        return bytes;
    }
    Reply overwrite(const Bytes& parameters, std::uint8_t flags = 0) {
        return out(cdb(kOverwrite | flags, parameters.size()), parameters);
    }
    Reply block_erase(std::uint8_t flags = 0) { return run(cdb(kBlockErase | flags)); }
    Reply exit_failure_mode() { return run(cdb(kExitFailureMode)); }
    Reply test_unit_ready() { return run({0x00, 0, 0, 0, 0, 0}); }
    bool is_untouched() { return medium_is(0, kBlocks, 0xcc) && device.requests.empty(); }
};

TEST_F(Sanitize, OverwritesEveryBlockWithThePattern) {
    EXPECT_TRUE(is_good(overwrite(list(1, {1, 2, 3}))));
    for (std::uint64_t lba = 0; lba < kBlocks; ++lba) {
        const auto block = device.bytes().subspan(lba * kBlock, kBlock);
        for (std::size_t i = 0; i < kBlock; ++i) {
            ASSERT_EQ(block[i], std::byte(1 + i % 3)) << lba << ' ' << i;
        }
    }
    EXPECT_TRUE(device.is_durable());
    EXPECT_TRUE(is_good(overwrite(list(1, blocks(1, 0xaa)))));
    EXPECT_TRUE(medium_is(0, kBlocks, 0xaa));
}

TEST_F(Sanitize, OverwritesAlsoWithZerosByWriting) {
    EXPECT_TRUE(is_good(overwrite(list(1, {0}))));
    EXPECT_TRUE(medium_is(0, kBlocks, 0));
    EXPECT_EQ(device.count(Kind::kWriteZeroes), 0U);
    EXPECT_EQ(device.count(Kind::kDiscard), 0U);
}

TEST_F(Sanitize, MakesEachPassDurable) {
    EXPECT_TRUE(is_good(overwrite(list(31, {0x55}))));
    EXPECT_EQ(device.count(Kind::kFlush), 31U);
    EXPECT_TRUE(medium_is(0, kBlocks, 0x55));
}

TEST_F(Sanitize, InvertsBetweenPassesAndEndsWithThePatternItself) {
    for (const std::uint8_t count : Bytes{1, 2, 3, 4}) {
        EXPECT_TRUE(is_good(overwrite(list(kInvert | count, {0x5a}))));
        EXPECT_TRUE(medium_is(0, kBlocks, 0x5a)) << unsigned{count};
    }
    // The first of two passes, seen by stopping after it.
    device.fail_next(Kind::kFlush, Error{EIO});
    EXPECT_TRUE(is_check(overwrite(list(kInvert | 2, {0x5a})), 0x3, 0x3103));
    EXPECT_TRUE(medium_is(0, kBlocks, 0xa5));
}

TEST_F(Sanitize, ErasesBlocksToZerosWithoutStorage) {
    EXPECT_TRUE(is_good(block_erase()));
    EXPECT_TRUE(medium_is(0, kBlocks, 0) && device.is_durable());
    const Reply status = in(cdb16(0x9e, 0x12, 0, 256), 256);
    EXPECT_EQ(status.data.size(), 8U + 16U) << "one descriptor";
    EXPECT_EQ(get_be32(std::span(status.data).subspan(16)), kBlocks);
    EXPECT_EQ(status.data.at(20), 1) << "deallocated";
}

TEST_F(Sanitize, TellsThatErasedBlocksCanBeRead) {
    const Bytes page{0x12, 1, 0xb1, 0, 255, 0};
    EXPECT_EQ(in(page).data.at(7) >> 6U, 1);
    device.properties.can_discard = false;
    restart();
    EXPECT_EQ(in(page).data.at(7), 0);
}

TEST_F(Sanitize, HasNoBlockEraseWithoutDiscard) {
    device.properties.can_discard = false;
    restart();
    EXPECT_TRUE(is_invalid_cdb_field(block_erase(), 1));
    EXPECT_TRUE(is_good(overwrite(list(1, {0x11}))));
}

TEST_F(Sanitize, RefusesOtherServiceActions) {
    for (std::uint8_t action = 0; action < 0x20; ++action) {
        if (action != kOverwrite && action != kBlockErase && action != kExitFailureMode) {
            EXPECT_TRUE(is_invalid_cdb_field(run(cdb(action)), 1)) << unsigned{action};
        }
    }
    EXPECT_TRUE(is_untouched());
}

TEST_F(Sanitize, RefusesReservedBitsAndZones) {
    for (const std::uint8_t action : Bytes{kOverwrite, kBlockErase, kExitFailureMode}) {
        const Bytes parameters = action == kOverwrite ? list(1, {0xaa}) : Bytes{};
        EXPECT_TRUE(
            is_invalid_cdb_field(out(cdb(action | kZnr, parameters.size()), parameters), 1));
        for (std::size_t at = 2; at < 7; ++at) {
            Bytes bytes = cdb(action, parameters.size());
            bytes[at] = static_cast<std::uint8_t>(at);
            EXPECT_TRUE(is_invalid_cdb_field(out(bytes, parameters), static_cast<unsigned>(at)));
        }
    }
    EXPECT_TRUE(is_untouched());
}

TEST_F(Sanitize, ChecksTheParameterListLength) {
    for (const std::size_t length : {std::size_t{0}, std::size_t{1}, std::size_t{4},
                                     std::size_t{kBlock + 5}, std::size_t{0xffff}}) {
        EXPECT_TRUE(is_invalid_cdb_field(out(cdb(kOverwrite, length), Bytes(kBlock + 8, 1)), 7));
    }
    EXPECT_TRUE(is_invalid_cdb_field(out(cdb(kBlockErase, 8), Bytes(8)), 7));
    EXPECT_TRUE(is_invalid_cdb_field(out(cdb(kExitFailureMode, 8), Bytes(8)), 7));
    EXPECT_TRUE(is_check(out(cdb(kOverwrite, 5), Bytes(4, 1)), 0x5, 0x0e03));
    EXPECT_TRUE(is_check(run(cdb(kOverwrite, 5)), 0x5, 0x0e03));
    EXPECT_TRUE(is_untouched());
}

TEST_F(Sanitize, RefusesParametersThatMakeNoSense) {
    EXPECT_TRUE(is_invalid_list_field(overwrite(list(0, {0xaa})), 0));
    EXPECT_TRUE(is_invalid_list_field(overwrite(list(0x21, {0xaa})), 0));
    EXPECT_TRUE(is_invalid_list_field(overwrite(list(0x41, {0xaa})), 0));
    EXPECT_TRUE(is_invalid_list_field(overwrite({1, 0, 0, 0, 0xaa}), 2));
    Bytes too_long = list(1, blocks(1, 0xaa));
    put_be16(std::span(too_long).subspan(2), kBlock + 1);
    EXPECT_TRUE(is_invalid_list_field(overwrite(too_long), 2));
    EXPECT_TRUE(is_check(overwrite({1, 0, 0, 4, 0xaa}), 0x5, 0x1a00));
    EXPECT_TRUE(is_untouched());
}

TEST_F(Sanitize, WithImmedEndsAtOnceAndTellsItsProgress) {
    EXPECT_TRUE(is_good(overwrite(list(2, {0x33}), kImmed)));  // 4 buffers a pass
    const Reply reply = test_unit_ready();
    EXPECT_TRUE(is_check(reply, 0x2, 0x041b));
    EXPECT_EQ(reply.sense.at(15), 0x80);
    EXPECT_EQ(get_be16(std::span(reply.sense).subspan(16)), 0x10000 / 8);
    const Reply sense = in({0x03, 0, 0, 0, 252, 0}, 252);
    EXPECT_EQ(get_be16(std::span(sense.data).subspan(12)), 0x041b);
    queue.run_all();
    EXPECT_TRUE(is_good(test_unit_ready()));
    EXPECT_TRUE(medium_is(0, kBlocks, 0x33) && device.is_durable());
}

TEST_F(Sanitize, KeepsAllButReportsWaiting) {
    EXPECT_TRUE(is_good(block_erase(kImmed)));
    for (const Bytes& busy :
         {cdb10(0x28, 0, 0, 1), cdb16(0x88, 0, 0, 1), cdb(kBlockErase), cdb(kExitFailureMode),
          Bytes{0x04, 0, 0, 0, 0, 0}, Bytes{0x1b, 1, 0, 0, 1, 0}, Bytes{0x15, 0x10, 0, 0, 0, 0}}) {
        EXPECT_TRUE(is_check(in(busy), 0x2, 0x041b)) << unsigned{busy[0]};
    }
    for (const Bytes& allowed :
         {Bytes{0x12, 0, 0, 0, 255, 0}, cdb10(0x25, 0, 0, 0), cdb16(0x9e, 0x10, 0, 32),
          Bytes{0x1a, 0, 0x08, 0, 255, 0}, Bytes{0xa0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0},
          Bytes{0xa3, 0x0c, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0}}) {
        EXPECT_TRUE(is_good(in(allowed))) << unsigned{allowed[0]};
    }
}

TEST_F(Sanitize, ThatFailedInRestrictedModeIsOverWhenAnotherSucceeds) {
    device.fail_next(Kind::kWriteZeroes, Error{EIO});
    EXPECT_TRUE(is_check(block_erase(), 0x3, 0x3103));
    EXPECT_TRUE(is_check(test_unit_ready(), 0x3, 0x3103));
    EXPECT_TRUE(is_check(in(cdb10(0x28, 0, 0, 1)), 0x3, 0x3103));
    EXPECT_TRUE(is_check(run({0x04, 0, 0, 0, 0, 0}), 0x3, 0x3103)) << "FORMAT UNIT";
    EXPECT_TRUE(is_check(run({0x1b, 0, 0, 0, 1, 0}), 0x3, 0x3103)) << "START STOP UNIT";
    EXPECT_TRUE(is_good(in(cdb10(0x25, 0, 0, 0)))) << "READ CAPACITY";
    EXPECT_TRUE(is_invalid_cdb_field(exit_failure_mode(), 1));
    EXPECT_TRUE(is_invalid_cdb_field(block_erase(kAuse), 1));
    EXPECT_TRUE(is_invalid_cdb_field(overwrite(list(1, {1}), kAuse), 1));
    EXPECT_TRUE(is_check(test_unit_ready(), 0x3, 0x3103));
    EXPECT_EQ(in({0x03, 0, 0, 0, 252, 0}, 252).data.at(2), 0x03);
    EXPECT_TRUE(is_good(overwrite(list(1, {1}))));
    EXPECT_TRUE(is_good(test_unit_ready()));
    EXPECT_TRUE(is_good(exit_failure_mode()));
}

TEST_F(Sanitize, ThatFailedInUnrestrictedModeCanBeExited) {
    device.fail_next(Kind::kWrite, Error{EIO});
    EXPECT_TRUE(is_good(overwrite(list(1, {1}), kAuse | kImmed)));
    queue.run_all();
    EXPECT_TRUE(is_check(test_unit_ready(), 0x3, 0x3103));
    EXPECT_TRUE(is_good(exit_failure_mode()));
    EXPECT_TRUE(is_good(test_unit_ready()));
}

TEST_F(Sanitize, ThatFailedUnrestrictedAndThenRestrictedCannotBeExited) {
    device.fail_next(Kind::kWriteZeroes, Error{EIO});
    EXPECT_TRUE(is_check(block_erase(kAuse), 0x3, 0x3103));
    device.fail_next(Kind::kWriteZeroes, Error{EIO});
    EXPECT_TRUE(is_check(block_erase(), 0x3, 0x3103));
    EXPECT_TRUE(is_invalid_cdb_field(exit_failure_mode(), 1));
}

TEST_F(Sanitize, TellsTheBlockThatCouldNotBeWritten) {
    Error error{EIO};
    error.offset = 3 * kBlock;
    device.fail_next(Kind::kWrite, error);
    const Reply reply = overwrite(list(1, {1}));
    EXPECT_TRUE(is_check(reply, 0x3, 0x3103));
    EXPECT_EQ(reply.information(), 3U);
}

TEST_F(Sanitize, FailsAsSuchWhateverTheReason) {
    device.fail_next(Kind::kWrite, Error{ENOSPC});
    EXPECT_TRUE(is_check(overwrite(list(1, {1})), 0x3, 0x3103));
    device.fail_next(Kind::kWrite, Error{ENOMEM});
    EXPECT_TRUE(is_check(overwrite(list(1, {1})), 0x3, 0x3103));
}

TEST_F(Sanitize, MendsACorruptFormat) {
    device.fail_next(Kind::kWriteZeroes, Error{EIO});
    EXPECT_TRUE(is_check(run({0x04, 0, 0, 0, 0, 0}), 0x3, 0x3101));
    EXPECT_TRUE(is_good(exit_failure_mode()));
    EXPECT_TRUE(is_check(test_unit_ready(), 0x3, 0x3100));
    EXPECT_TRUE(is_good(block_erase()));
    EXPECT_TRUE(is_good(test_unit_ready()));
}

TEST_F(Sanitize, IsRefusedWhenWriteProtected) {
    device.properties.read_only = true;
    restart();
    EXPECT_TRUE(is_check(overwrite(list(1, {1})), 0x7, 0x2700));
    EXPECT_TRUE(is_check(block_erase(), 0x7, 0x2700));
    EXPECT_TRUE(is_untouched());
}

TEST_F(Sanitize, WorksOnLargeBlocks) {
    options.block_size = 4096;
    device.properties.min_block_size = 4096;
    restart();
    EXPECT_TRUE(is_good(overwrite(list(1, Bytes(4096, 0x19)))));
    EXPECT_TRUE(medium_is(0, kBlocks, 0x19));
}

}  // namespace
}  // namespace lunkit::scsi::test

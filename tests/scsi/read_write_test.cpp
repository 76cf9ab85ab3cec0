// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "logical_unit_fixture.hpp"

namespace lunkit::scsi::test {
namespace {

class Read : public LogicalUnitTest {};
class Write : public LogicalUnitTest {};

// The four lengths of a command for the same blocks.
std::vector<Bytes> every_length(std::uint8_t six, std::uint8_t ten, std::uint8_t twelve,
                                std::uint8_t sixteen, std::uint32_t lba, std::uint8_t blocks) {
    return {{six, static_cast<std::uint8_t>(lba >> 16U), static_cast<std::uint8_t>(lba >> 8U),
             static_cast<std::uint8_t>(lba), blocks, 0},
            cdb10(ten, 0, lba, blocks),
            cdb12(twelve, 0, lba, blocks),
            cdb16(sixteen, 0, lba, blocks)};
}
std::vector<Bytes> every_read(std::uint32_t lba, std::uint8_t blocks) {
    return every_length(0x08, 0x28, 0xa8, 0x88, lba, blocks);
}
std::vector<Bytes> every_write(std::uint32_t lba, std::uint8_t blocks) {
    return every_length(0x0a, 0x2a, 0xaa, 0x8a, lba, blocks);
}

TEST_F(Read, GivesTheBlocksInEveryLengthOfTheCommand) {
    fill_medium(5, 1, 0x11);
    fill_medium(6, 1, 0x22);
    Bytes expected = blocks(1, 0x11);
    expected.insert(expected.end(), kBlock, 0x22);
    for (const Bytes& cdb : every_read(5, 2)) {
        const Reply reply = in(cdb, 2 * kBlock);
        EXPECT_TRUE(is_good(reply)) << unsigned{cdb[0]};
        EXPECT_EQ(reply.data, expected) << unsigned{cdb[0]};
    }
}

TEST_F(Read, AsksTheDeviceOnceAndWithTheTag) {
    (void)in(cdb10(0x28, 0x10, 5, 4), 4 * kBlock);
    EXPECT_EQ(
        device.requests,
        (std::vector<MemoryDevice::Request>{{Kind::kRead, 5 * kBlock, 4 * kBlock, LUNKIT_IO_DPO}}));
}

TEST_F(Read, OfSixBytesTakesZeroTransferLengthFor256Blocks) {
    const Reply reply = in({0x08, 0, 0, 1, 0, 0}, 256 * kBlock);
    EXPECT_TRUE(is_good(reply));
    EXPECT_EQ(reply.data.size(), 256 * kBlock);
}

TEST_F(Read, OfNoBlocksTransfersNothing) {
    const Reply reply = in(cdb10(0x28, 0, 3, 0), kBlock);
    EXPECT_TRUE(is_good(reply));
    EXPECT_TRUE(reply.data.empty());
    EXPECT_TRUE(device.requests.empty());
}

TEST_F(Read, ChecksTheAddressOfNoBlocksToo) {
    EXPECT_TRUE(is_good(run(cdb10(0x28, 0, kBlocks, 0))));
    EXPECT_TRUE(is_check(run(cdb10(0x28, 0, kBlocks + 1, 0)), 0x5, 0x2100));
    EXPECT_TRUE(is_check(run(cdb10(0x28, 0, 0xffffffff, 0)), 0x5, 0x2100));
}

TEST_F(Read, EndsAtTheLastBlock) {
    for (const Bytes& cdb : every_read(kBlocks - 1, 1)) {
        EXPECT_TRUE(is_good(in(cdb, kBlock))) << unsigned{cdb[0]};
    }
    for (const Bytes& cdb : every_read(kBlocks - 1, 2)) {
        EXPECT_TRUE(is_check(in(cdb, 2 * kBlock), 0x5, 0x2100)) << unsigned{cdb[0]};
    }
}

TEST_F(Read, DoesNotOverflowAtTheGreatestAddress) {
    EXPECT_TRUE(is_check(in(cdb16(0x88, 0, ~std::uint64_t{0}, 1)), 0x5, 0x2100));
    EXPECT_TRUE(is_check(in(cdb16(0x88, 0, ~std::uint64_t{0}, 0xffffffff)), 0x5, 0x2100));
}

TEST_F(Read, RefusesProtectionInformation) {
    for (unsigned rdprotect = 1; rdprotect < 8; ++rdprotect) {
        const auto flags = static_cast<std::uint8_t>(rdprotect << 5U);
        EXPECT_TRUE(is_invalid_cdb_field(in(cdb10(0x28, flags, 0, 1)), 1));
        EXPECT_TRUE(is_invalid_cdb_field(in(cdb12(0xa8, flags, 0, 1)), 1));
        EXPECT_TRUE(is_invalid_cdb_field(in(cdb16(0x88, flags, 0, 1)), 1));
    }
}

TEST_F(Read, RefusesMoreThanTheMaximumTransferLength) {
    options.max_transfer = 8 * kBlock;
    restart();
    EXPECT_TRUE(is_good(in(cdb10(0x28, 0, 0, 8), 8 * kBlock)));
    EXPECT_TRUE(is_invalid_cdb_field(in(cdb10(0x28, 0, 0, 9), 9 * kBlock), 7));
    EXPECT_TRUE(is_invalid_cdb_field(in(cdb12(0xa8, 0, 0, 9), 9 * kBlock), 6));
    EXPECT_TRUE(is_invalid_cdb_field(in(cdb16(0x88, 0, 0, 9), 9 * kBlock), 10));
}

TEST_F(Read, WithFuaFlushesFirst) {
    EXPECT_TRUE(is_good(in(cdb10(0x28, 0x08, 0, 1), kBlock)));
    ASSERT_EQ(device.requests.size(), 2U);
    EXPECT_EQ(device.requests[0].kind, Kind::kFlush);
    EXPECT_EQ(device.requests[1].kind, Kind::kRead);
}

TEST_F(Read, LeavesTheRestOfALongerBufferAlone) {
    fill_medium(0, 2, 0x11);
    const Reply reply = in(cdb10(0x28, 0, 0, 1), 10000);
    EXPECT_TRUE(is_good(reply));
    EXPECT_EQ(reply.data, blocks(1, 0x11));
    EXPECT_TRUE(std::all_of(reply.buffer.begin() + kBlock, reply.buffer.end(),
                            [](std::uint8_t byte) { return byte == Exchange::kUntouched; }));
}

TEST_F(Read, GivesWholeBlocksToAShorterBuffer) {
    const Reply reply = in(cdb10(0x28, 0, 0, 4), 2 * kBlock);
    EXPECT_TRUE(is_good(reply));
    EXPECT_EQ(reply.data, blocks(2, 0));
}

TEST_F(Read, GivesAPartOfABlockToABufferThatEndsInside) {
    fill_medium(7, 1, 0x11);
    fill_medium(8, 1, 0x22);
    const Reply reply = in(cdb10(0x28, 0, 7, 2), kBlock + 200);
    EXPECT_TRUE(is_good(reply));
    Bytes expected = blocks(1, 0x11);
    expected.insert(expected.end(), 200, 0x22);
    EXPECT_EQ(reply.data, expected);
}

TEST_F(Read, TellsNothingToNoBuffer) {
    EXPECT_TRUE(is_good(run(cdb10(0x28, 0, 0, 1))));
    EXPECT_TRUE(device.requests.empty());
}

TEST_F(Read, OfABadBlockTellsItsAddress) {
    Error error{EIO};
    error.offset = 2 * kBlock;
    device.fail_next(Kind::kRead, error);
    const Reply reply = in(cdb10(0x28, 0, 100, 4), 4 * kBlock);
    EXPECT_TRUE(is_check(reply, 0x3, 0x1100));
    EXPECT_EQ(reply.information(), 102U);
}

TEST_F(Read, EndsBusyWithoutMemoryBelow) {
    device.fail_next(Kind::kRead, Error{ENOMEM});
    EXPECT_EQ(in(cdb10(0x28, 0, 0, 1), kBlock).status, StatusCode::kBusy);
}

TEST_F(Read, WaitsForASlowDevice) {
    device.suspends = true;
    fill_medium(0, 1, 0x33);
    const Reply reply = in(cdb10(0x28, 0, 0, 1), kBlock);
    EXPECT_TRUE(is_good(reply));
    EXPECT_EQ(reply.data, blocks(1, 0x33));
}

TEST_F(Write, StoresTheBlocksInEveryLengthOfTheCommand) {
    std::uint8_t value = 0x10;
    for (const Bytes& cdb : every_write(9, 2)) {
        EXPECT_TRUE(is_good(out(cdb, blocks(2, ++value)))) << unsigned{cdb[0]};
        EXPECT_TRUE(medium_is(9, 2, value)) << unsigned{cdb[0]};
        EXPECT_TRUE(medium_is(8, 1, 0) && medium_is(11, 1, 0)) << unsigned{cdb[0]};
    }
}

TEST_F(Write, OfSixBytesTakesZeroTransferLengthFor256Blocks) {
    EXPECT_TRUE(is_good(out({0x0a, 0, 0, 1, 0, 0}, blocks(256, 0x44))));
    EXPECT_TRUE(medium_is(1, 256, 0x44));
    EXPECT_TRUE(medium_is(257, 1, 0));
}

TEST_F(Write, RefusesWhatIsOutOfRangeAndStoresNothing) {
    for (const Bytes& cdb : every_write(kBlocks - 1, 2)) {
        EXPECT_TRUE(is_check(out(cdb, blocks(2, 0x55)), 0x5, 0x2100)) << unsigned{cdb[0]};
    }
    EXPECT_TRUE(medium_is(kBlocks - 1, 1, 0));
}

TEST_F(Write, RefusesProtectionInformation) {
    EXPECT_TRUE(is_invalid_cdb_field(out(cdb10(0x2a, 0x20, 0, 1), blocks(1, 1)), 1));
    EXPECT_TRUE(is_invalid_cdb_field(out(cdb12(0xaa, 0x60, 0, 1), blocks(1, 1)), 1));
    EXPECT_TRUE(is_invalid_cdb_field(out(cdb16(0x8a, 0xe0, 0, 1), blocks(1, 1)), 1));
}

TEST_F(Write, IsCachedWithoutFua) {
    EXPECT_TRUE(is_good(out(cdb10(0x2a, 0, 0, 1), blocks(1, 0x66))));
    device.lose_power();
    EXPECT_TRUE(medium_is(0, 1, 0));
}

TEST_F(Write, WithFuaSurvivesALossOfPower) {
    EXPECT_TRUE(is_good(out(cdb10(0x2a, 0x08, 0, 1), blocks(1, 0x66))));
    device.lose_power();
    EXPECT_TRUE(medium_is(0, 1, 0x66));
}

TEST_F(Write, WithoutWriteCacheSurvivesALossOfPower) {
    options.write_cache = false;
    restart();
    for (const Bytes& cdb : every_write(3, 1)) {
        fill_medium(3, 1, 0);
        EXPECT_TRUE(is_good(out(cdb, blocks(1, 0x77))));
        device.lose_power();
        EXPECT_TRUE(medium_is(3, 1, 0x77)) << unsigned{cdb[0]};
    }
}

TEST_F(Write, StillRunningWhenTheCacheIsSwitchedOffIsDurableWhenItEnds) {
    device.suspends = true;
    Exchange exchange(cdb10(0x2a, 0, 0, 1), blocks(1, 0x78));
    auto task = unit->execute(queue, exchange.command);
    std::optional<lunkit::test::detail::Nothing> ended;
    lunkit::test::detail::drive(std::move(task), ended, [] {});
    ASSERT_FALSE(ended);
    switch_write_cache(false);
    queue.run_all();
    ASSERT_TRUE(ended);
    EXPECT_TRUE(is_good(reply_of(exchange)));
    device.lose_power();
    EXPECT_TRUE(medium_is(0, 1, 0x78));
}

TEST_F(Write, StoresOnlyWhatTheCdbAsksForOfALongerBuffer) {
    EXPECT_TRUE(is_good(out(cdb10(0x2a, 0, 0, 1), blocks(2, 0x88))));
    EXPECT_TRUE(medium_is(0, 1, 0x88));
    EXPECT_TRUE(medium_is(1, 1, 0));
}

TEST_F(Write, StoresTheBlocksThatAShorterBufferHolds) {
    EXPECT_TRUE(is_good(out(cdb10(0x2a, 0, 0, 2), blocks(1, 0x99))));
    EXPECT_TRUE(medium_is(0, 1, 0x99));
    EXPECT_TRUE(medium_is(1, 1, 0));
}

TEST_F(Write, RefusesABufferThatEndsInsideABlock) {
    EXPECT_TRUE(is_check(out(cdb10(0x2a, 0, 0, 1), Bytes(200, 0x99)), 0x5, 0x0e03));
    EXPECT_TRUE(is_check(out(cdb10(0x2a, 0, 0, 2), Bytes(kBlock + 1, 0x99)), 0x5, 0x0e03));
    EXPECT_TRUE(medium_is(0, 2, 0));
}

TEST_F(Write, WithoutABufferStoresNothing) {
    EXPECT_TRUE(is_good(run(cdb10(0x2a, 0, 0, 1))));
    EXPECT_TRUE(device.requests.empty());
}

TEST_F(Write, ToAReadOnlyDeviceIsRefused) {
    device.properties.read_only = true;
    restart();
    for (const Bytes& cdb : every_write(0, 1)) {
        EXPECT_TRUE(is_check(out(cdb, blocks(1, 1)), 0x7, 0x2700)) << unsigned{cdb[0]};
    }
    EXPECT_TRUE(device.requests.empty());
}

TEST_F(Write, SaysThatThereIsNoSpace) {
    device.fail_next(Kind::kWrite, Error{ENOSPC});
    EXPECT_TRUE(is_check(out(cdb10(0x2a, 0, 0, 1), blocks(1, 1)), 0x7, 0x2707));
}

TEST_F(Write, HandsTheReplayFlagOn) {
    Exchange exchange(cdb10(0x2a, 0, 0, 1), blocks(1, 1));
    exchange.command.replay = true;
    run_task(queue, unit->execute(queue, exchange.command));
    EXPECT_EQ(device.requests.at(0).flags, LUNKIT_IO_REPLAY);
}

}  // namespace
}  // namespace lunkit::scsi::test

// SPDX-License-Identifier: Apache-2.0
#include "rod_token_fixture.hpp"

namespace lunkit::scsi::test {
namespace {

using namespace std::chrono_literals;

constexpr unsigned kUnsupportedType = 0x2301;
constexpr unsigned kUnknown = 0x2304;
constexpr unsigned kExpired = 0x2307;
constexpr unsigned kCancelled = 0x2308;
constexpr unsigned kDeleted = 0x2309;
constexpr unsigned kInvalidLength = 0x230a;

class WriteUsingToken : public RodTokenTest {
  protected:
    Bytes status(std::uint32_t list_id = 2) { return information(list_id).data; }
    std::uint64_t transfer_count() { return number_at(status(), 16); }
};

TEST_F(WriteUsingToken, WritesWhatTheTokenStandsFor) {
    number_medium();
    const Bytes source = joined({medium(10, 5), medium(100, 7)});
    const Bytes token = make_token({{10, 5}, {100, 7}});
    EXPECT_TRUE(is_good(write_using(token, {{500, 3}, {600, 9}})));
    EXPECT_EQ(joined({medium(500, 3), medium(600, 9)}), source);
    EXPECT_TRUE(is_good(write_using(token, {{700, 12}})));
    EXPECT_EQ(medium(700, 12), source);
}

TEST_F(WriteUsingToken, BeginsAtTheOffset) {
    number_medium();
    const Bytes token = make_token({{10, 5}, {100, 7}});
    EXPECT_TRUE(is_good(write_using(token, {{500, 3}}, 4)));
    EXPECT_EQ(medium(500, 3), joined({medium(14, 1), medium(100, 2)}));
    EXPECT_TRUE(is_good(write_using(token, {{500, 1}}, 11)));
    EXPECT_EQ(medium(500, 1), medium(106, 1));
    EXPECT_TRUE(is_invalid_list_field(write_using(token, {{500, 1}}, 12), 8));
    EXPECT_TRUE(is_invalid_list_field(write_using(token, {{500, 1}}, ~std::uint64_t{0}), 8));
}

TEST_F(WriteUsingToken, WritesAsMuchAsThereIs) {
    fill_medium(10, 5, 0x11);
    const Bytes token = make_token({{10, 5}});
    EXPECT_TRUE(is_good(write_using(token, {{500, 3}, {600, 9}})));
    EXPECT_TRUE(medium_is(600, 2, 0x11) && medium_is(602, 7, 0));
    EXPECT_EQ(status().at(5), 0x03);
    EXPECT_EQ(transfer_count(), 5U);
}

TEST_F(WriteUsingToken, TellsHowItEnded) {
    const Bytes token = make_token({{10, 5}});
    EXPECT_TRUE(is_good(write_using(token, {{500, 5}})));
    const Bytes expected{0, 0, 0, 32,   0x11, 0x01, 0, 0, 0xff, 0xff, 0xff, 0xfe,
                         0, 0, 0, 0xf1, 0,    0,    0, 0, 0,    0,    0,    5,
                         0, 0, 0, 0,    0,    0,    0, 0, 0,    0,    0,    0};
    EXPECT_EQ(status(), expected);
}

TEST_F(WriteUsingToken, CopiesInPieces) {
    device.properties.max_transfer = 4 * kBlock;
    restart();
    number_medium();
    const Bytes token = make_token({{10, 17}});
    EXPECT_TRUE(is_good(write_using(token, {{500, 17}})));
    EXPECT_EQ(medium(500, 17), medium(10, 17));
    EXPECT_EQ(device.count(Kind::kWrite), 5U);
}

TEST_F(WriteUsingToken, OfNothingIsGood) {
    EXPECT_TRUE(is_good(run(copy_out_cdb(0x11, 0, 1))));
    EXPECT_TRUE(is_good(write_using(make_token({{10, 5}}), {{kBlocks, 0}})));
    EXPECT_TRUE(is_good(write_using(zero_token(), {{kBlocks, 0}})));
    EXPECT_TRUE(device.requests.empty());
}

TEST_F(WriteUsingToken, ChecksTheLengths) {
    const Bytes whole = write_list(zero_token(), {{0, 1}});
    for (const std::size_t length : {1U, 15U, 16U, 527U, 535U, 536U, 551U}) {
        const Bytes cut{whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length)};
        EXPECT_TRUE(is_check(write_list_as(cut, 2), 0x5, 0x1a00)) << length;
    }
    EXPECT_TRUE(is_check(out(copy_out_cdb(0x11, 600, 1), whole), 0x5, 0x0e03));
    Bytes short_data = whole;
    put_be16(short_data, 549);
    EXPECT_TRUE(is_invalid_list_field(write_list_as(short_data, 2), 0));
    Bytes short_ranges = whole;
    put_be16(std::span(short_ranges).subspan(534), 15);
    EXPECT_TRUE(is_invalid_list_field(write_list_as(short_ranges, 2), 534));
}

TEST_F(WriteUsingToken, ChecksTheRanges) {
    const Bytes token = make_token({{10, 5}});
    EXPECT_TRUE(is_check(write_using(token, {{500, 1}, {kBlocks - 1, 2}}), 0x5, 0x2100));
    EXPECT_TRUE(is_invalid_list_field(write_using(token, {{500, 3}, {502, 1}}), 536 + 16));
    std::vector<Range> many;
    for (std::uint32_t i = 0; i < 65; ++i) {
        many.emplace_back(500 + 2 * i, 1);
    }
    EXPECT_TRUE(is_check(write_using(token, many), 0x5, 0x2608));
    EXPECT_TRUE(device.requests.empty());
}

TEST_F(WriteUsingToken, DoesNotWriteWhatTheTokenStandsFor) {
    const Bytes token = make_token({{10, 5}, {100, 7}});
    EXPECT_TRUE(is_invalid_list_field(write_using(token, {{500, 1}, {106, 2}}), 536));
    EXPECT_TRUE(device.requests.empty());
    EXPECT_TRUE(is_good(write_using(token, {{15, 85}})));  // what lies between is free
}

TEST_F(WriteUsingToken, KnowsItsOwnTokensOnly) {
    const Bytes token = make_token({{10, 5}});
    for (const std::size_t at : {8U, 15U, 16U, 56U, 63U, 100U, 200U, 256U, 300U, 511U}) {
        Bytes other = token;
        other[at] ^= 0x01;
        EXPECT_TRUE(is_check(write_using(other, {{500, 1}}), 0x5, kUnknown)) << at;
    }
    restart();  // another unit, or the same after the daemon began anew
    EXPECT_TRUE(is_check(write_using(token, {{500, 1}}), 0x5, kUnknown));
    EXPECT_TRUE(device.requests.empty());
}

TEST_F(WriteUsingToken, ChecksTheTokensTypeAndLength) {
    Bytes token = make_token({{10, 5}});
    token[3] = 0x02;
    EXPECT_TRUE(is_check(write_using(token, {{500, 1}}), 0x5, kUnsupportedType));
    token[7] = 0xf7;
    EXPECT_TRUE(is_check(write_using(token, {{500, 1}}), 0x5, kInvalidLength));
    EXPECT_TRUE(is_check(write_using(Bytes(512), {{500, 1}}), 0x5, kInvalidLength));
}

TEST_F(WriteUsingToken, IsCancelledByEveryCommandThatChangesTheBlocks) {
    Bytes unmap(24);
    unmap[1] = 22;
    unmap[3] = 16;
    unmap[15] = 14;  // LBA
    unmap[19] = 1;
    Bytes compare_and_write = cdb16(0x89, 0, 14, 0);
    compare_and_write[13] = 1;
    const Bytes copy_list = list_of({{.from = 200, .to = 14}});
    const Bytes overlapping = list_of({{.from = 13, .to = 14, .blocks = 2}});
    const Bytes zeros = write_list(zero_token(), {{14, 1}});
    const std::vector<std::pair<Bytes, Bytes>> commands{
        {cdb10(0x2a, 0, 14, 1), blocks(1, 1)},
        {cdb10(0x2e, 0, 14, 1), blocks(1, 1)},
        {cdb10(0x41, 0, 14, 1), blocks(1, 1)},
        {cdb16(0x93, 0x01, 14, 1), {}},
        {cdb10(0x42, 0, 0, 24), unmap},
        {compare_and_write, blocks(2, 0)},
        {copy_out_cdb(0x00, copy_list.size()), copy_list},
        {copy_out_cdb(0x00, overlapping.size()), overlapping},
        {copy_out_cdb(0x11, zeros.size(), 9), zeros}};
    for (const auto& [cdb, data] : commands) {
        fill_medium(14, 1, 0);
        const Bytes token = make_token({{100, 7}, {10, 5}});
        EXPECT_TRUE(is_good(out(cdb, data))) << unsigned{cdb[0]};
        EXPECT_TRUE(is_check(write_using(token, {{500, 1}}), 0x5, kCancelled)) << unsigned{cdb[0]};
    }
}

TEST_F(WriteUsingToken, IsNotCancelledByWhatChangesOtherBlocks) {
    const Bytes token = make_token({{100, 7}, {10, 5}});
    EXPECT_TRUE(is_good(write_blocks_of(15, 85, 1)));
    EXPECT_TRUE(is_good(write_blocks_of(9, 1, 1)));
    EXPECT_TRUE(is_good(write_blocks_of(107, 1, 1)));
    EXPECT_TRUE(is_good(write_using(token, {{500, 12}})));
}

TEST_F(WriteUsingToken, IsCancelledWhenTheBlocksAreGone) {
    const Bytes token = make_token({{kBlocks - 1, 1}});
    device.resize_to((kBlocks - 1) * kBlock);
    unit->capacity_changed();
    EXPECT_TRUE(is_check(run({0, 0, 0, 0, 0, 0}), 0x6, 0x2a09));
    EXPECT_TRUE(is_check(write_using(token, {{500, 1}}), 0x5, kCancelled));
}

TEST_F(WriteUsingToken, StopsWhenTheBlocksChangeMeanwhile) {
    device.properties.max_transfer = 4 * kBlock;
    restart();
    fill_medium(10, 16, 0x11);
    const Bytes token = make_token({{10, 16}});
    const Bytes list = write_list(token, {{500, 16}});
    device.suspends = true;
    Exchange using_token(copy_out_cdb(0x11, list.size(), 2), list);
    Exchange writing(cdb10(0x2a, 0, 25, 1), blocks(1, 0x99));
    const auto start = [&](Exchange& exchange) -> Detached {
        co_await unit->execute(queue, exchange.command);
    };
    start(using_token);
    while (device.count(Kind::kWrite) == 0) {
        ASSERT_TRUE(queue.run_one());
    }
    start(writing);
    queue.run_all();
    EXPECT_TRUE(is_check(reply_of(using_token), 0x5, kCancelled));
    EXPECT_TRUE(medium_is(500, 4, 0x11) && medium_is(504, 12, 0));
    device.suspends = false;
    EXPECT_EQ(status().at(5), 0x02);
    EXPECT_EQ(transfer_count(), 4U);
}

TEST_F(WriteUsingToken, ExpiresWhenNobodyUsesIt) {
    const Bytes token = make_token({{10, 5}}, 30);
    wait(30s);
    EXPECT_TRUE(is_good(write_using(token, {{500, 1}})));
    wait(30s);
    EXPECT_TRUE(is_good(write_using(token, {{500, 1}})));
    wait(31s);
    EXPECT_TRUE(is_check(write_using(token, {{500, 1}}), 0x5, kExpired));
}

TEST_F(WriteUsingToken, ExpiresAfterTheDefaultTimeout) {
    const Bytes token = make_token({{10, 5}});
    wait(61s);
    EXPECT_TRUE(is_check(write_using(token, {{500, 1}}), 0x5, kExpired));
}

TEST_F(WriteUsingToken, DeletesTheTokenWhenAsked) {
    const Bytes token = make_token({{10, 5}});
    EXPECT_TRUE(is_good(write_using(token, {{500, 1}}, 0, true)));
    EXPECT_TRUE(is_check(write_using(token, {{500, 1}}), 0x5, kDeleted));
}

TEST_F(WriteUsingToken, GivesUpTheTokenUnusedLongestWhenThereAreTooMany) {
    const Bytes first = make_token({{10, 5}});
    const Bytes second = make_token({{10, 5}});
    for (int i = 0; i < 62; ++i) {
        (void)make_token({{10, 5}});
    }
    wait(1s);
    EXPECT_TRUE(is_good(write_using(first, {{500, 1}})));
    (void)make_token({{10, 5}});
    EXPECT_TRUE(is_good(write_using(first, {{500, 1}})));
    EXPECT_TRUE(is_check(write_using(second, {{500, 1}}), 0x5, kUnknown));
}

TEST_F(WriteUsingToken, WritesZeros) {
    fill_medium(0, 32, 0x11);
    EXPECT_TRUE(is_good(write_using(zero_token(), {{3, 2}, {10, 4}}, 99)));
    EXPECT_TRUE(medium_is(3, 2, 0) && medium_is(10, 4, 0) && medium_is(5, 5, 0x11));
    EXPECT_EQ(device.requests, (std::vector<MemoryDevice::Request>{
                                   {Kind::kWriteZeroes, 3 * kBlock, 2 * kBlock, 0},
                                   {Kind::kWriteZeroes, 10 * kBlock, 4 * kBlock, 0}}));
    EXPECT_EQ(transfer_count(), 6U);
}

TEST_F(WriteUsingToken, WritesZerosToADeviceThatCannotZero) {
    device.properties.max_write_zeroes = 4 * kBlock;
    restart();
    fill_medium(0, 32, 0x11);
    device.fail_next(Kind::kWriteZeroes, Error{EOPNOTSUPP});
    EXPECT_TRUE(is_good(write_using(zero_token(), {{3, 10}})));
    EXPECT_TRUE(medium_is(3, 10, 0) && medium_is(13, 1, 0x11));
    EXPECT_EQ(device.count(Kind::kWriteZeroes), 3U);
    EXPECT_EQ(device.count(Kind::kWrite), 1U);
}

TEST_F(WriteUsingToken, TellsWhyItFailed) {
    const Bytes token = make_token({{10, 5}});
    device.fail_next(Kind::kWrite, Error{ENOSPC});
    const Reply failed = write_using(token, {{500, 5}});
    EXPECT_TRUE(is_check(failed, 0x7, 0x2707));
    const Bytes told = status();
    EXPECT_EQ(told.at(5), 0x02);
    EXPECT_EQ(told.at(14), failed.sense.size());
    EXPECT_EQ((Bytes{told.begin() + 32, told.begin() + 32 + 18}), failed.sense);
    device.fail_next(Kind::kRead, Error{EIO});
    EXPECT_TRUE(is_check(write_using(token, {{500, 5}}), 0x3, 0x1100));
    device.fail_next(Kind::kWriteZeroes, Error{EIO});
    EXPECT_TRUE(is_check(write_using(zero_token(), {{500, 5}}), 0x3, 0x0c00));
}

TEST_F(WriteUsingToken, IsDurableWithoutWriteCache) {
    fill_medium(10, 5, 0x11);
    options.write_cache = false;
    restart();
    EXPECT_TRUE(is_good(write_blocks_of(10, 5, 0x11)));
    EXPECT_TRUE(is_good(write_using(make_token({{10, 5}}), {{500, 5}})));
    EXPECT_TRUE(device.is_durable());
    device.lose_power();
    EXPECT_TRUE(medium_is(500, 5, 0x11));
}

TEST_F(WriteUsingToken, WorksWithBlocksOf4096Bytes) {
    options.block_size = 4096;
    restart();
    number_medium();
    const Bytes source = medium(8, 16);
    EXPECT_TRUE(is_good(write_using(make_token({{1, 2}}), {{254, 2}})));
    EXPECT_EQ(medium(254 * 8, 16), source);
}

TEST_F(WriteUsingToken, IsRefusedWhenWriteProtected) {
    const Bytes list = write_list(zero_token(), {{0, 1}});
    device.properties.read_only = true;
    restart();
    EXPECT_TRUE(is_check(write_list_as(list, 2), 0x7, 0x2700));
}

}  // namespace
}  // namespace lunkit::scsi::test

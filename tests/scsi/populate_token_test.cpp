// SPDX-License-Identifier: Apache-2.0
#include "rod_token_fixture.hpp"

namespace lunkit::scsi::test {
namespace {

using namespace std::chrono_literals;

class PopulateToken : public RodTokenTest {};

TEST_F(PopulateToken, MakesATokenThatSaysWhatItIs) {
    const Bytes token = make_token({{10, 5}, {100, 7}});
    EXPECT_EQ(get_be32(token), 0x00800001U);
    EXPECT_EQ(get_be16(std::span(token).subspan(6)), 0x01f8);
    EXPECT_EQ(token[16], 0xe4);  // creator
    const NaaIdentifier naa = own_naa();
    EXPECT_TRUE(std::ranges::equal(naa, std::span(token).subspan(24, naa.size())));
    EXPECT_EQ(number_at(token, 56), 12 * kBlock);
    EXPECT_EQ(get_be32(std::span(token).subspan(96)), kBlock);
    EXPECT_TRUE(device.requests.empty());  // nothing is copied
}

TEST_F(PopulateToken, MakesTokensThatNobodyGuesses) {
    // SPC-4 5.17.6.5.1: at least 256 random bits.
    const Bytes first = make_token({{10, 5}});
    const Bytes second = make_token({{10, 5}});
    std::size_t same = 0;
    for (std::size_t i = 256; i < 512; ++i) {
        same += first[i] == second[i] ? 1U : 0U;
    }
    EXPECT_LT(same, 32U);
    EXPECT_NE(number_at(first, 8), number_at(second, 8));
}

TEST_F(PopulateToken, IsReportedByItsListIdentifier) {
    EXPECT_TRUE(is_good(populate({{10, 5}}, 0x12345678)));
    EXPECT_TRUE(is_invalid_cdb_field(information(0x78), 2));
    const Bytes header{0, 0, 2,    34, 0x10, 0x01, 0, 0, 0xff, 0xff, 0xff, 0xfe, 0,
                       0, 0, 0xf1, 0,  0,    0,    0, 0, 0,    0,    5,    0,    0,
                       0, 0, 0,    0,  0,    0,    0, 0, 2,    2,    0,    0};
    const Reply reply = information(0x12345678);
    ASSERT_EQ(reply.data.size(), 38U + 512);
    EXPECT_EQ((Bytes{reply.data.begin(), reply.data.begin() + 38}), header);
    EXPECT_EQ(token_of(information(0x12345678)), token_of(reply));
}

TEST_F(PopulateToken, OfNothingIsGood) {
    EXPECT_TRUE(is_good(run(copy_out_cdb(0x10, 0, 1))));
    EXPECT_TRUE(is_invalid_cdb_field(information(), 2));
    EXPECT_TRUE(is_good(populate({{kBlocks, 0}})));
    EXPECT_EQ(number_at(token_of(information()), 56), 0U);
}

TEST_F(PopulateToken, ChecksTheLengths) {
    const Bytes whole = populate_list({{0, 1}});
    for (std::size_t length = 1; length < whole.size(); ++length) {
        const Bytes cut{whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length)};
        EXPECT_TRUE(is_check(populate_by(cut), 0x5, 0x1a00)) << length;
    }
    EXPECT_TRUE(is_check(out(copy_out_cdb(0x10, 33, 1), whole), 0x5, 0x0e03));
    EXPECT_TRUE(is_check(run(copy_out_cdb(0x10, 0xffffffff, 1)), 0x5, 0x0e03));
    Bytes short_data = whole;
    put_be16(short_data, 29);
    EXPECT_TRUE(is_invalid_list_field(populate_by(short_data), 0));
    Bytes short_ranges = whole;
    put_be16(std::span(short_ranges).subspan(14), 15);
    EXPECT_TRUE(is_invalid_list_field(populate_by(short_ranges), 14));
}

TEST_F(PopulateToken, IgnoresIncompleteDescriptors) {
    Bytes bytes = populate_list({{0, 1}, {5, 1}});
    put_be16(std::span(bytes).subspan(14), 31);
    EXPECT_TRUE(is_good(populate_by(bytes)));
    EXPECT_EQ(number_at(token_of(information()), 56), kBlock);
    put_be16(std::span(bytes).subspan(14), 0xffff);
    bytes.resize(16 + 16 + 15);
    EXPECT_TRUE(is_good(populate_by(bytes)));
    EXPECT_EQ(number_at(token_of(information()), 56), kBlock);
}

TEST_F(PopulateToken, ChecksTheRanges) {
    EXPECT_TRUE(is_good(populate({{kBlocks - 1, 1}})));
    (void)information();
    EXPECT_TRUE(is_check(populate({{kBlocks - 1, 2}}), 0x5, 0x2100));
    EXPECT_TRUE(is_check(populate({{~std::uint64_t{0}, 2}}), 0x5, 0x2100));
    EXPECT_TRUE(is_invalid_list_field(populate({{0, 4}, {10, 1}, {3, 1}}), 16 + 32));
    std::vector<Range> many;
    for (std::uint32_t i = 0; i < 64; ++i) {
        many.emplace_back(2 * i, 1);
    }
    EXPECT_TRUE(is_good(populate(many)));
    (void)information();
    many.emplace_back(1000, 1);
    EXPECT_TRUE(is_check(populate(many), 0x5, 0x2608));
}

TEST_F(PopulateToken, TakesAsManyBlocksAsItPromises) {
    constexpr std::uint32_t kMost = (256U << 20U) / 4096;
    options.block_size = 4096;
    device.properties.size = std::uint64_t{1} << 40U;  // only asked, never read
    restart();
    EXPECT_TRUE(is_good(populate({{0, kMost}})));
    (void)information();
    EXPECT_TRUE(is_invalid_list_field(populate({{0, 1}, {1, kMost}}), 16 + 16 + 8));
    EXPECT_TRUE(is_invalid_list_field(populate({{0, 0x0fffffff}}), 16 + 8));
}

TEST_F(PopulateToken, TakesPointInTimeCopiesOnly) {
    for (const std::uint32_t type : {0x00800000U, 0x00800001U, 0x0080ffffU}) {
        Bytes bytes = populate_list({{0, 1}});
        bytes[2] = 0x02;
        put_be32(std::span(bytes).subspan(8), type);
        EXPECT_TRUE(is_good(populate_by(bytes)));
        EXPECT_EQ(number_at(token_of(information()), 0) >> 32U, 0x00800001U);
    }
    for (const std::uint32_t type : {0U, 0x00010000U, 0x00800002U, 0xffff0001U}) {
        Bytes bytes = populate_list({{0, 1}});
        put_be32(std::span(bytes).subspan(8), type);
        EXPECT_TRUE(is_good(populate_by(bytes)));  // RTV = 0
        (void)information();
        bytes[2] = 0x02;
        EXPECT_TRUE(is_invalid_list_field(populate_by(bytes), 8));
    }
}

TEST_F(PopulateToken, ChecksTheInactivityTimeout) {
    EXPECT_TRUE(is_good(populate_by(populate_list({{0, 1}}, 600))));
    (void)information();
    EXPECT_TRUE(is_invalid_list_field(populate_by(populate_list({{0, 1}}, 601)), 4));
}

TEST_F(PopulateToken, DoesNotReplaceATokenThatNobodyHasGot) {
    // Two initiators with one list identifier: the first must not get the token of the second.
    EXPECT_TRUE(is_good(populate({{0, 1}})));
    EXPECT_TRUE(is_check(populate({{5, 1}}), 0x5, 0x0016));
    EXPECT_TRUE(is_check(write_list_as(write_list(zero_token(), {{5, 1}}), 1), 0x5, 0x0016));
    EXPECT_EQ(number_at(information().data, 16), 1U);
    EXPECT_TRUE(is_good(populate({{5, 1}})));
    wait(6s);
    EXPECT_TRUE(is_good(populate({{5, 1}})));
}

TEST_F(PopulateToken, KeepsATokenThatWasNotToldWhole) {
    EXPECT_TRUE(is_good(populate({{0, 1}})));
    EXPECT_TRUE(is_good(receive(0x07, 1, 38 + 511)));
    EXPECT_TRUE(is_check(populate({{5, 1}}), 0x5, 0x0016));
}

TEST_F(PopulateToken, WorksOnAWriteProtectedUnit) {
    device.properties.read_only = true;
    restart();
    EXPECT_TRUE(is_good(populate({{0, 1}})));
}

TEST_F(PopulateToken, IsRefusedWhenTheUnitIsStopped) {
    EXPECT_TRUE(is_good(run({0x1b, 0, 0, 0, 0, 0})));
    EXPECT_TRUE(is_check(populate({{0, 1}}), 0x2, 0x0402));
}

TEST_F(PopulateToken, WaitsForWritesThatRun) {
    device.suspends = true;
    Exchange writing(cdb10(0x2a, 0, 10, 1), blocks(1, 0x99));
    const Bytes list = populate_list({{10, 1}});
    Exchange populating(copy_out_cdb(0x10, list.size(), 1), list);
    std::string order;
    const auto start = [&](Exchange& exchange, char letter) -> Detached {
        co_await unit->execute(queue, exchange.command);
        order += letter;
    };
    start(writing, 'w');
    start(populating, 'p');
    EXPECT_TRUE(is_check(populate({{50, 1}}), 0x5, 0x0016));  // the identifier is in use
    EXPECT_EQ(information().data.at(5), 0x11);
    EXPECT_EQ(number_at(information().data, 28), 0U);
    queue.run_all();
    EXPECT_EQ(order, "wp");
    device.suspends = false;
    EXPECT_TRUE(is_good(write_using(token_of(information()), {{100, 1}})));
    EXPECT_TRUE(medium_is(100, 1, 0x99));
}

}  // namespace
}  // namespace lunkit::scsi::test

// SPDX-License-Identifier: Apache-2.0
#include "copy_fixture.hpp"

namespace lunkit::scsi::test {
namespace {

using namespace std::chrono_literals;

class ReceiveCopyResults : public CopyTest {
  protected:
    static constexpr std::uint8_t kStatus = 0x00;
    static constexpr std::uint8_t kOperatingParameters = 0x03;
    static constexpr std::uint8_t kFailureDetails = 0x04;
    static constexpr std::uint8_t kStatusLid4 = 0x05;

    Reply copy_as(std::uint8_t list_id, const Segment& one, std::uint8_t list_id_usage = 0) {
        return extended_copy(list(cscd(own_naa()), segment(one), list_id, list_id_usage));
    }
    Reply copy_lid4(std::uint32_t list_id, const Segment& one) {
        const Bytes bytes = list4(cscd(own_naa()), segment(one), list_id);
        return out(copy_out_cdb(0x01, bytes.size()), bytes);
    }
};

TEST_F(ReceiveCopyResults, TellsTheLimits) {
    const Reply reply = receive(kOperatingParameters, 0);
    EXPECT_TRUE(is_good(reply));
    const Bytes expected{0,    0,  0,    42,   1,    0,   0, 0,              // available, SNLID
                         0,    16, 0,    64,                                 // descriptors
                         0,    0,  0x09, 0x00,                               // descriptor list
                         0x01, 0,  0,    0,                                  // segment
                         0,    0,  0,    0,    0,    0,   0, 0, 0, 0, 0, 0,  // inline, held, stream
                         0,    0,  0,    8,    8,    0,   0, 0,  // copies, granularities
                         0,    0,  0,    2,    0x02, 0xe4};
    EXPECT_EQ(reply.data, expected);
}

TEST_F(ReceiveCopyResults, AreCutToTheAllocationLength) {
    for (const std::uint32_t length : {0U, 3U, 4U, 20U}) {
        const Reply reply = receive(kOperatingParameters, 0, length);
        EXPECT_TRUE(is_good(reply));
        EXPECT_EQ(reply.data.size(), length);
        EXPECT_EQ(reply.buffer.at(length), Exchange::kUntouched);
    }
}

TEST_F(ReceiveCopyResults, KnowNoCopyThatNeverWas) {
    // libiscsi ReceiveCopyResults.CopyStatus.
    EXPECT_TRUE(is_invalid_cdb_field(receive_lid1(kStatus, 1), 2));
    EXPECT_TRUE(is_invalid_cdb_field(receive_lid1(kFailureDetails, 1), 2));
    EXPECT_TRUE(is_invalid_cdb_field(receive(kStatusLid4, 1), 2));
}

TEST_F(ReceiveCopyResults, TellOnceHowACopyEnded) {
    EXPECT_TRUE(is_good(copy_as(1, {.from = 0, .to = 100, .blocks = 3})));
    EXPECT_TRUE(is_invalid_cdb_field(receive_lid1(kStatus, 2), 2));
    EXPECT_EQ(receive_lid1(kStatus, 1).data, (Bytes{0, 0, 0, 8, 1, 0, 1, 0, 0, 0, 0x06, 0x00}));
    EXPECT_TRUE(is_invalid_cdb_field(receive_lid1(kStatus, 1), 2));
}

TEST_F(ReceiveCopyResults, TellOfACopyThatFailed) {
    const Reply failed = copy_as(7, {.from = kBlocks});
    EXPECT_TRUE(is_check(failed, 0xa, 0x0000));
    EXPECT_EQ(receive_lid1(kStatus, 7).data, (Bytes{0, 0, 0, 8, 2, 0, 1, 0, 0, 0, 0, 0}));
    const Bytes details = receive_lid1(kFailureDetails, 7).data;
    ASSERT_EQ(details.size(), 60U + failed.sense.size());
    EXPECT_EQ(get_be32(details), details.size() - 4);
    EXPECT_EQ(details[56], 0x02);
    EXPECT_EQ(get_be16(std::span(details).subspan(58)), failed.sense.size());
    EXPECT_EQ((Bytes{details.begin() + 60, details.end()}), failed.sense);
    EXPECT_TRUE(is_invalid_cdb_field(receive_lid1(kFailureDetails, 7), 2));
}

TEST_F(ReceiveCopyResults, HaveNoDetailsOfASuccess) {
    EXPECT_TRUE(is_good(copy_as(7, {})));
    EXPECT_EQ(receive_lid1(kFailureDetails, 7).data, Bytes(4, 0));
}

TEST_F(ReceiveCopyResults, AreDiscardedWhenTheIdentifierIsUsedAgain) {
    EXPECT_TRUE(is_check(copy_as(7, {.from = kBlocks}), 0xa, 0x0000));
    EXPECT_TRUE(is_good(copy_as(7, {})));
    EXPECT_EQ(receive_lid1(kStatus, 7).data.at(4), 1);
    EXPECT_TRUE(is_invalid_cdb_field(receive_lid1(kStatus, 7), 2));
}

TEST_F(ReceiveCopyResults, AreDiscardedAfterSomeTime) {
    // An initiator that logs in anew must not find what it did before (libiscsi runs
    // ReceiveCopyResults.CopyStatus after copies with the same list identifier).
    EXPECT_TRUE(is_good(copy_as(7, {})));
    wait(5s);
    EXPECT_TRUE(is_good(receive_lid1(kFailureDetails, 7)));
    wait(1s);
    EXPECT_TRUE(is_invalid_cdb_field(receive_lid1(kStatus, 7), 2));
}

TEST_F(ReceiveCopyResults, AreNotKeptWithoutAnIdentifier) {
    EXPECT_TRUE(is_good(copy_as(0, {}, 3)));
    EXPECT_TRUE(is_invalid_cdb_field(receive_lid1(kStatus, 0), 2));
}

TEST_F(ReceiveCopyResults, KeepTheLatest) {
    for (unsigned list_id = 0; list_id < 256; ++list_id) {
        EXPECT_TRUE(is_good(copy_as(static_cast<std::uint8_t>(list_id), {})));
    }
    for (unsigned list_id = 240; list_id < 256; ++list_id) {
        EXPECT_TRUE(is_good(receive_lid1(kStatus, static_cast<std::uint8_t>(list_id))));
    }
    EXPECT_TRUE(is_invalid_cdb_field(receive_lid1(kStatus, 239), 2));
}

TEST_F(ReceiveCopyResults, TellOfACopyThatRuns) {
    device.suspends = true;
    const Bytes bytes = list_of({{.from = 0, .to = 1}, {.from = 2, .to = 3}});
    Exchange exchange(copy_out_cdb(0, bytes.size()), bytes);
    const auto start = [&]() -> Detached { co_await unit->execute(queue, exchange.command); };
    start();
    while (device.count(Kind::kRead) < 2) {
        ASSERT_TRUE(queue.run_one());
    }
    EXPECT_EQ(receive_lid1(kStatus, 1).data, (Bytes{0, 0, 0, 8, 0, 0, 2, 0, 0, 0, 0x02, 0x00}));
    EXPECT_TRUE(is_invalid_cdb_field(receive_lid1(kFailureDetails, 1), 2));
    EXPECT_EQ(receive(kStatusLid4, 1).data.at(5), 0x11);
    queue.run_all();
    EXPECT_EQ(receive_lid1(kStatus, 1).data.at(4), 1);
}

TEST_F(ReceiveCopyResults, TellHowACopyOfLid4Ended) {
    EXPECT_TRUE(is_good(copy_lid4(0x12345678, {.from = 0, .to = 100, .blocks = 3})));
    EXPECT_TRUE(is_invalid_cdb_field(receive(kStatusLid4, 0x78), 2));
    const Bytes expected{0, 0, 0, 28, 0x01, 0x01, 0, 1, 0xff, 0xff, 0xff, 0xfe, 0, 0, 0, 0xf1,
                         0, 0, 0, 0,  0,    0,    0, 3, 0,    1,    0,    0,    0, 0, 0, 0};
    EXPECT_EQ(receive(kStatusLid4, 0x12345678).data, expected);
    EXPECT_EQ(receive(kStatusLid4, 0x12345678).data, expected);
}

TEST_F(ReceiveCopyResults, TellWhyACopyOfLid4Failed) {
    const Reply failed = copy_lid4(5, {.from = kBlocks});
    const Bytes status = receive(kStatusLid4, 5).data;
    ASSERT_EQ(status.size(), 32U + 20);  // padded to a multiple of four
    EXPECT_EQ(status[5], 0x02);
    EXPECT_EQ(status[12], 0x02);
    EXPECT_EQ(status[13], 20);
    EXPECT_EQ(status[14], failed.sense.size());
    EXPECT_EQ((Bytes{status.begin() + 32, status.begin() + 50}), failed.sense);
}

}  // namespace
}  // namespace lunkit::scsi::test

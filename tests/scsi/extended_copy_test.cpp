// SPDX-License-Identifier: Apache-2.0
#include <numeric>

#include "copy_fixture.hpp"
#include "scsi/copy_peers.hpp"

namespace lunkit::scsi::test {
namespace {

class ExtendedCopy : public CopyTest {
  protected:
    /// A list whose one CSCD descriptor is this.
    Reply copy_with(const Bytes& cscds, const Segment& one = {.from = 0, .to = 100}) {
        return extended_copy(list(cscds, segment(one)));
    }
};

TEST_F(ExtendedCopy, CopiesBlocks) {
    number_medium();
    const Bytes source = medium(10, 20);
    EXPECT_TRUE(is_good(copy({{.from = 10, .to = 500, .blocks = 20}})));
    EXPECT_EQ(medium(500, 20), source);
    EXPECT_EQ(medium(10, 20), source);
}

TEST_F(ExtendedCopy, TakesTheListOfLid4) {
    number_medium();
    const Bytes source = medium(10, 20);
    const Bytes bytes =
        list4(cscd(own_naa()), segment({.from = 10, .to = 500, .blocks = 20}), 0x12345678);
    EXPECT_TRUE(is_good(out(copy_out_cdb(0x01, bytes.size()), bytes)));
    EXPECT_EQ(medium(500, 20), source);
}

TEST_F(ExtendedCopy, ProcessesSegmentsInOrder) {
    fill_medium(0, 1, 0x11);
    EXPECT_TRUE(is_good(copy({{.from = 0, .to = 1}, {.from = 1, .to = 2}, {.from = 2, .to = 3}})));
    EXPECT_TRUE(medium_is(0, 4, 0x11));
}

TEST_F(ExtendedCopy, CopiesInPiecesOfOneMebibyte) {
    device.resize_to(std::uint64_t{16} << 20U);
    restart();
    EXPECT_TRUE(is_good(copy({{.from = 0, .to = 8192, .blocks = 5000}})));
    std::uint64_t written = 0;
    for (const auto& request : device.requests) {
        EXPECT_LE(request.length, std::uint64_t{1} << 20U);
        written += request.kind == Kind::kWrite ? request.length : 0;
    }
    EXPECT_EQ(written, 5000 * kBlock);
    EXPECT_EQ(device.count(Kind::kWrite), 3U);
}

TEST_F(ExtendedCopy, LetsOthersHaveTheirTurnBetweenPieces) {
    device.resize_to(std::uint64_t{16} << 20U);
    restart();
    const Bytes parameters = list_of({{.from = 0, .to = 8192, .blocks = 5000}});
    Exchange exchange(copy_out_cdb(0x00, parameters.size()), parameters);
    ASSERT_TRUE(initiators.run_in_background(unit->execute(queue, exchange.command)));
    EXPECT_EQ(queue.run_all(), 2U) << "three pieces";
    EXPECT_EQ(exchange.command.status, StatusCode::kGood);
}

TEST_F(ExtendedCopy, CopiesNoMoreAtATimeThanTheDeviceTakes) {
    device.properties.max_transfer = 8 * kBlock;
    restart();
    EXPECT_TRUE(is_good(copy({{.from = 0, .to = 100, .blocks = 20}})));
    EXPECT_EQ(device.count(Kind::kWrite), 3U);
}

TEST_F(ExtendedCopy, MovesOverlappingBlocksAsIfReadFirst) {
    device.properties.max_transfer = 4 * kBlock;  // several pieces
    restart();
    for (const std::uint64_t to : {101U, 103U, 110U, 99U, 97U, 90U, 100U}) {
        number_medium();
        const Bytes source = medium(100, 17);
        EXPECT_TRUE(is_good(copy({{.from = 100, .to = to, .blocks = 17}})));
        EXPECT_EQ(medium(to, 17), source) << to;
    }
}

TEST_F(ExtendedCopy, OntoItselfUndoesNoWriteMadeMeanwhile) {
    device.suspends = true;
    fill_medium(100, 8, 0x11);
    const Bytes bytes = list_of({{.from = 100, .to = 100, .blocks = 8}});
    Exchange copying(copy_out_cdb(0, bytes.size()), bytes);
    Exchange writing(cdb10(0x2a, 0, 103, 1), blocks(1, 0x99));
    const auto start = [&](Exchange& exchange) -> Detached {
        co_await unit->execute(queue, exchange.command);
    };
    start(copying);
    start(writing);
    queue.run_all();
    EXPECT_TRUE(is_good(reply_of(copying)));
    EXPECT_TRUE(is_good(reply_of(writing)));
    EXPECT_TRUE(medium_is(103, 1, 0x99));
}

TEST_F(ExtendedCopy, WorksWithBlocksOf4096Bytes) {
    options.block_size = 4096;
    restart();
    fill_medium(0, 8, 0x33);
    EXPECT_TRUE(is_good(copy_with(cscd(own_naa(), 4096), {.from = 0, .to = 255, .blocks = 1})));
    EXPECT_TRUE(medium_is(kBlocks - 8, 8, 0x33));
    EXPECT_TRUE(is_aborted(copy_with(cscd(own_naa(), 4096), {.from = 0, .to = 255, .blocks = 2}),
                           0x0000, 0, 20, true));
}

TEST_F(ExtendedCopy, OfNothingIsGood) {
    EXPECT_TRUE(is_good(out(copy_out_cdb(0x00, 0), {})));
    EXPECT_TRUE(is_good(copy({})));
    EXPECT_TRUE(is_good(extended_copy(list({}, {}))));
    EXPECT_TRUE(is_good(copy({{.from = kBlocks, .to = kBlocks, .blocks = 0}})));
    EXPECT_TRUE(device.requests.empty());
}

TEST_F(ExtendedCopy, RefusesLengthsThatCutTheList) {
    const Bytes whole = list_of({{}});
    for (std::size_t length = 1; length < whole.size(); ++length) {
        const Bytes cut{whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length)};
        EXPECT_TRUE(is_check(extended_copy(cut), 0x5, 0x1a00)) << length;
    }
    EXPECT_TRUE(device.requests.empty());
}

TEST_F(ExtendedCopy, RefusesLengthsThatCutTheListOfLid4) {
    const Bytes whole = list4(cscd(own_naa()), segment({}));
    for (std::size_t length = 1; length < whole.size(); ++length) {
        const Bytes cut{whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length)};
        EXPECT_TRUE(is_check(out(copy_out_cdb(0x01, length), cut), 0x5, 0x1a00)) << length;
    }
}

TEST_F(ExtendedCopy, RefusesABufferShorterThanTheParameterList) {
    const Bytes bytes = list_of({{}});
    EXPECT_TRUE(is_check(out(copy_out_cdb(0, bytes.size() + 1), bytes), 0x5, 0x0e03));
    EXPECT_TRUE(is_check(run(copy_out_cdb(0, 0xffffffff)), 0x5, 0x0e03));
}

TEST_F(ExtendedCopy, RefusesHostileLengths) {
    for (const std::size_t at : {8U, 12U}) {
        Bytes bytes = list_of({{}});
        put_be32(std::span(bytes).subspan(at), 0xffffffff);
        EXPECT_TRUE(is_check(extended_copy(bytes), 0x5, at == 8 ? 0x1a00 : 0x260b));
    }
    Bytes bytes = list_of({{}});
    put_be16(std::span(bytes).subspan(2), 0xffff);
    EXPECT_TRUE(is_check(extended_copy(bytes), 0x5, 0x1a00));
    EXPECT_TRUE(device.requests.empty());
}

TEST_F(ExtendedCopy, TakesAsManyDescriptorsAsItPromises) {
    const auto cscds = [&](std::size_t count) {
        return joined(std::vector<Bytes>(count, cscd(own_naa())));
    };
    const auto segments = [&](std::size_t count) {
        return joined(std::vector<Bytes>(count, segment({.from = 0, .to = 1})));
    };
    EXPECT_TRUE(is_good(extended_copy(list(cscds(16), segments(64)))));
    EXPECT_TRUE(is_check(extended_copy(list(cscds(17), segments(1))), 0x5, 0x2606));
    EXPECT_TRUE(is_check(extended_copy(list(cscds(1), segments(65))), 0x5, 0x2608));
    EXPECT_TRUE(is_check(extended_copy(list(cscds(17), segments(65))), 0x5, 0x1a00));
}

TEST_F(ExtendedCopy, TakesSegmentsAsLongAsItPromises) {
    device.resize_to(std::uint64_t{64} << 20U);
    restart();
    EXPECT_TRUE(is_good(copy({{.from = 0, .to = 32768, .blocks = 32768}})));
    EXPECT_TRUE(is_invalid_list_field(copy({{}, {.from = 0, .to = 32768, .blocks = 32769}}),
                                      kHeader + 32 + 28 + 10));
}

TEST_F(ExtendedCopy, RefusesInlineData) {
    Bytes bytes = list_of({{}});
    bytes[15] = 1;
    bytes.push_back(0);
    EXPECT_TRUE(is_check(extended_copy(bytes), 0x5, 0x260b));
}

TEST_F(ExtendedCopy, RefusesDescriptorTypesThatItDoesNotHave) {
    for (const std::uint8_t type : Bytes{0x00, 0x02, 0xe0, 0xe3, 0xe5, 0xea, 0xfe, 0xff}) {
        Bytes other = cscd(own_naa());
        other[0] = type;
        EXPECT_TRUE(is_check(copy_with(other), 0x5, 0x2607)) << unsigned{type};
    }
    for (const std::uint8_t type : Bytes{0x00, 0x01, 0x03, 0x0a, 0x0d, 0xbe, 0xe4}) {
        Bytes other = segment({});
        other[0] = type;
        EXPECT_TRUE(is_check(extended_copy(list(cscd(own_naa()), other)), 0x5, 0x2609))
            << unsigned{type};
        other.resize(20);
        EXPECT_TRUE(is_check(extended_copy(list(cscd(own_naa()), other)), 0x5, 0x2609));
    }
}

TEST_F(ExtendedCopy, ChecksTheWholeListBeforeItCopies) {
    Bytes bad = segment({});
    bad[0] = 0x03;
    const Bytes segments = joined({segment({.from = 0, .to = 1}), bad});
    EXPECT_TRUE(is_check(extended_copy(list(cscd(own_naa()), segments)), 0x5, 0x2609));
    EXPECT_TRUE(device.requests.empty());
}

TEST_F(ExtendedCopy, RefusesADescriptorOfAnotherLength) {
    Bytes other = segment({});
    other[3] = 23;
    EXPECT_TRUE(
        is_invalid_list_field(extended_copy(list(cscd(own_naa()), other)), kHeader + 32 + 2));
    Bytes cut = cscd(own_naa());
    cut.resize(31);
    EXPECT_TRUE(is_check(extended_copy(list(cut, segment({}))), 0x5, 0x1a00));
    Bytes long_name = cscd(own_naa());
    long_name[7] = 21;
    EXPECT_TRUE(is_invalid_list_field(copy_with(long_name), kHeader + 7));
}

TEST_F(ExtendedCopy, ChecksTheListIdentifier) {
    const Bytes segments = segment({.from = 0, .to = 1});
    EXPECT_TRUE(is_good(extended_copy(list(cscd(own_naa()), segments, 9, 2))));
    EXPECT_TRUE(is_good(extended_copy(list(cscd(own_naa()), segments, 0, 3))));
    EXPECT_TRUE(is_invalid_list_field(extended_copy(list(cscd(own_naa()), segments, 9, 3)), 0));
    EXPECT_TRUE(is_invalid_list_field(extended_copy(list(cscd(own_naa()), segments, 9, 1)), 1));
}

TEST_F(ExtendedCopy, ChecksTheHeaderOfLid4) {
    const Bytes good = list4(cscd(own_naa()), segment({.from = 0, .to = 1}));
    const auto with = [&](std::size_t at, std::uint8_t value) {
        Bytes bytes = good;
        bytes[at] = value;
        return out(copy_out_cdb(0x01, bytes.size()), bytes);
    };
    EXPECT_TRUE(is_invalid_list_field(with(0, 0x02), 0));
    EXPECT_TRUE(is_invalid_list_field(with(3, 0x40), 2));
    EXPECT_TRUE(is_invalid_list_field(with(15, 0x02), 15));  // G_SENSE
    EXPECT_TRUE(is_invalid_list_field(with(16, 0xfe), 16));
    EXPECT_TRUE(is_invalid_list_field(with(1, 0x18), 20));
    EXPECT_TRUE(is_good(with(15, 0x01)));  // IMMED: done in the foreground nevertheless
}

TEST_F(ExtendedCopy, IgnoresTheLuIdTypeAndTheInitiatorPort) {
    // libiscsi ExtendedCopy.ValidTgtDescr: SPC-4 6.4.5.6 says so.
    Bytes named = cscd(own_naa());
    named[1] = 0xc0;
    named[2] = named[3] = 0xff;
    EXPECT_TRUE(is_good(copy_with(named)));
}

TEST_F(ExtendedCopy, KnowsNoDescriptorBehindTheList) {
    // libiscsi ExtendedCopy.ValidSegDescr.
    EXPECT_TRUE(is_aborted(copy({{.destination_id = 1}}), 0x0804, 0, 6, true));
    EXPECT_TRUE(is_aborted(copy({{.source_id = 0xffff}}), 0x0804, 0, 4, true));
}

TEST_F(ExtendedCopy, ReachesNoUnitButThis) {
    const Segment from_other{.from = 0, .to = 100, .source_id = 1};
    const Segment to_other{.from = 0, .to = 100, .destination_id = 1};
    const Segment other_to_other{.from = 0, .to = 1, .source_id = 1, .destination_id = 1};
    const Bytes both = joined({cscd(own_naa()), cscd(other_naa())});
    EXPECT_TRUE(is_aborted(copy_with(both, from_other), 0x0d02, 0, kHeader + 32));
    EXPECT_TRUE(is_aborted(copy_with(both, to_other), 0x0d02, 0, kHeader + 32));
    EXPECT_TRUE(is_aborted(copy_with(both, other_to_other), 0x0d02, 0, kHeader + 32));
    EXPECT_TRUE(device.requests.empty());
}

TEST_F(ExtendedCopy, SaysOfAnotherUnitTheSameWhateverIsAskedOfIt) {
    // Whether a unit exists is not for everybody to know: type, block length and range of a unit
    // that is not reachable are not looked at.
    Bytes odd = cscd(other_naa(), 520);
    odd[1] = 0x05;
    const Reply plain = copy_with(cscd(other_naa()));
    const Reply strange =
        copy_with(odd, {.from = ~std::uint64_t{0}, .to = ~std::uint64_t{0}, .blocks = 9});
    EXPECT_TRUE(is_aborted(plain, 0x0d02, 0, kHeader));
    EXPECT_EQ(plain.sense, strange.sense);
}

TEST_F(ExtendedCopy, ReachesAUnitByItsNaaDesignatorOnly) {
    for (const auto& [at, value] : std::vector<std::pair<std::size_t, std::uint8_t>>{
             {4, 2}, {5, 1}, {5, 0x13}, {7, 8}, {7, 0}, {8, 0x61}, {23, 0xff}}) {
        Bytes other = cscd(own_naa());
        other[at] = value;
        EXPECT_TRUE(is_aborted(copy_with(other), 0x0d02, 0, kHeader)) << at;
    }
}

TEST_F(ExtendedCopy, IsNotReachableWithoutAnIdentifier) {
    const Bytes named = cscd(own_naa());
    initiators.answer.serial = "";
    EXPECT_TRUE(is_aborted(copy_with(named), 0x0d02, 0, kHeader));
    EXPECT_TRUE(is_aborted(copy_with(cscd(NaaIdentifier{})), 0x0d02, 0, kHeader));
}

TEST_F(ExtendedCopy, ComparesTheDescriptorWithTheUnit) {
    Bytes tape = cscd(own_naa());
    tape[1] = 0x01;
    EXPECT_TRUE(is_aborted(copy_with(tape), 0x0d03, 0, kHeader));
    EXPECT_TRUE(is_aborted(copy_with(cscd(own_naa(), 4096)), 0x2600, 0, kHeader + 29));
    EXPECT_TRUE(is_good(copy_with(cscd(own_naa(), 0))));
}

TEST_F(ExtendedCopy, StaysWithinTheCapacity) {
    // libiscsi ExtendedCopy.ValidSegDescr takes 00/00, 08/04 and 0D/02.
    EXPECT_TRUE(is_good(copy({{.from = kBlocks - 1, .to = 0}, {.from = 0, .to = kBlocks - 1}})));
    EXPECT_TRUE(is_aborted(copy({{.from = kBlocks - 1, .blocks = 2}}), 0x0000, 0, 12, true));
    EXPECT_TRUE(is_aborted(copy({{.to = kBlocks - 1, .blocks = 2}}), 0x0000, 0, 20, true));
    EXPECT_TRUE(is_aborted(copy({{.from = ~std::uint64_t{0}}}), 0x0000, 0, 12, true));
    EXPECT_TRUE(is_aborted(copy({{.to = ~std::uint64_t{0} - 5}}), 0x0000, 0, 20, true));
}

TEST_F(ExtendedCopy, KeepsWhatTheSegmentsBeforeAFailureDid) {
    fill_medium(0, 1, 0x11);
    EXPECT_TRUE(is_aborted(copy({{.from = 0, .to = 1}, {.from = kBlocks}, {.from = 0, .to = 3}}),
                           0x0000, 1, 12, true));
    EXPECT_TRUE(medium_is(1, 1, 0x11) && medium_is(3, 1, 0));
}

TEST_F(ExtendedCopy, TellsHowMuchOfTheSegmentIsMissing) {
    device.properties.max_transfer = 4 * kBlock;
    restart();
    const Bytes bytes = list_of({{.from = 0, .to = 100, .blocks = 17}});
    Exchange exchange(copy_out_cdb(0, bytes.size()), bytes);
    device.suspends = true;
    const auto start = [&]() -> Detached { co_await unit->execute(queue, exchange.command); };
    start();
    while (device.count(Kind::kWrite) < 2) {
        ASSERT_TRUE(queue.run_one());
    }
    device.fail_next(Kind::kRead, Error{EIO});
    queue.run_all();
    const Reply reply = reply_of(exchange);
    EXPECT_TRUE(is_check(reply, 0xa, 0x0d01));
    EXPECT_EQ(reply.information(), 17U - 8);
}

TEST_F(ExtendedCopy, TellsNoResidualWhenNothingWasWritten) {
    device.fail_next(Kind::kWrite, Error{EIO});
    EXPECT_EQ(copy({{.from = 0, .to = 100, .blocks = 17}}).information(), std::nullopt);
}

TEST_F(ExtendedCopy, ForwardsWhyTheDestinationFailed) {
    device.fail_next(Kind::kWrite, Error{ENOSPC});
    const Reply reply = copy({{.from = 0, .to = 100}});
    EXPECT_TRUE(is_check(reply, 0xa, 0x0d01));
    ASSERT_EQ(reply.sense.size(), 37U);
    EXPECT_EQ(reply.sense[9], 18);     // where
    EXPECT_EQ(reply.sense[18], 0x02);  // CHECK CONDITION
    EXPECT_EQ(reply.sense[19 + 2], 0x07);
    EXPECT_EQ(get_be16(std::span(reply.sense).subspan(19 + 12)), 0x2707);
}

TEST_F(ExtendedCopy, ForwardsWhyTheSourceFailed) {
    Error error{EIO};
    error.offset = 3 * kBlock;
    device.fail_next(Kind::kRead, error);
    const Reply reply = copy({{.from = 7, .to = 100, .blocks = 5}});
    EXPECT_TRUE(is_check(reply, 0xa, 0x0d01));
    ASSERT_EQ(reply.sense.size(), 37U);
    EXPECT_EQ(reply.sense[8], 18);
    EXPECT_EQ(reply.sense[19 + 2], 0x03);
    EXPECT_EQ(get_be32(std::span(reply.sense).subspan(19 + 3)), 10U);
}

TEST_F(ExtendedCopy, IsDurableWithoutWriteCache) {
    options.write_cache = false;
    restart();
    EXPECT_TRUE(is_good(out(cdb10(0x2a, 0, 0, 1), blocks(1, 0x44))));
    EXPECT_TRUE(is_good(copy({{.from = 0, .to = 100}})));
    device.lose_power();
    EXPECT_TRUE(medium_is(100, 1, 0x44));
}

TEST_F(ExtendedCopy, IsDurableWhenTheWriteCacheIsSwitchedOffMeanwhile) {
    device.suspends = true;
    fill_medium(0, 1, 0x44);
    const Bytes bytes = list_of({{.from = 0, .to = 100}});
    Exchange exchange(copy_out_cdb(0, bytes.size()), bytes);
    const auto start = [&]() -> Detached { co_await unit->execute(queue, exchange.command); };
    start();
    while (device.count(Kind::kWrite) == 0) {
        ASSERT_TRUE(queue.run_one());
    }
    switch_write_cache(false);
    queue.run_all();
    EXPECT_TRUE(is_good(reply_of(exchange)));
    EXPECT_TRUE(device.is_durable());
}

TEST_F(ExtendedCopy, IsRefusedWhenWriteProtected) {
    device.properties.read_only = true;
    restart();
    EXPECT_TRUE(is_check(copy({{}}), 0x7, 0x2700));
}

TEST_F(ExtendedCopy, IsRefusedWhenTheUnitIsStopped) {
    EXPECT_TRUE(is_good(run({0x1b, 0, 0, 0, 0, 0})));
    EXPECT_TRUE(is_check(copy({{}}), 0x2, 0x0402));
}

TEST_F(ExtendedCopy, ComesBehindAUnitAttention) {
    unit->capacity_changed();
    EXPECT_TRUE(is_check(copy({{}}), 0x6, 0x2a09));
    EXPECT_TRUE(is_good(copy({{}})));
}

TEST_F(ExtendedCopy, RunsEightAtATimeAndTellsTheNinthToComeBack) {
    device.suspends = true;
    std::vector<std::unique_ptr<Exchange>> exchanges;
    const auto start = [&](Exchange& exchange) -> Detached {
        co_await unit->execute(queue, exchange.command);
    };
    const Bytes bytes = list_of({{.from = 0, .to = 100}});
    for (int i = 0; i < 9; ++i) {
        exchanges.push_back(std::make_unique<Exchange>(copy_out_cdb(0, bytes.size()), bytes));
        start(*exchanges.back());
    }
    EXPECT_EQ(exchanges.back()->command.status, StatusCode::kBusy);
    queue.run_all();
    EXPECT_TRUE(is_good(reply_of(*exchanges.front())));
    EXPECT_TRUE(is_good(copy({{}})));
}

TEST_F(ExtendedCopy, IsNotBegunAnewWhenItReadsWhatItWrites) {
    // After a take-over the source of the second run would be what the first one has left.
    fill_medium(0, 4, 0x11);
    const auto replay = [&](const Bytes& bytes) {
        Exchange exchange(copy_out_cdb(0, bytes.size()), bytes);
        exchange.command.replay = true;
        run_task(queue, unit->execute(queue, exchange.command));
        return reply_of(exchange);
    };
    EXPECT_TRUE(is_aborted(replay(list_of({{.from = 0, .to = 2, .blocks = 4}})), 0x0000, 0));
    EXPECT_TRUE(
        is_aborted(replay(list_of({{.from = 0, .to = 8}, {.from = 9, .to = 0}})), 0x0000, 0));
    EXPECT_TRUE(device.requests.empty());
    EXPECT_TRUE(is_good(replay(list_of({{.from = 0, .to = 100, .blocks = 4}}))));
    EXPECT_EQ(device.requests.back().flags & LUNKIT_IO_REPLAY, LUNKIT_IO_REPLAY);
}

/// The blocks of a unit as a front end gives them to copies; waits for the queue before each.
class OfferedBlocks final : public BlockDevice {
  public:
    explicit OfferedBlocks(MemoryDevice& behind) : behind_(behind) {}
    LogicalUnit* unit = nullptr;  ///< nullptr: the unit has gone

    [[nodiscard]] DeviceInfo info() const override { return behind_.info(); }
    Task<Status> read(Queue& queue, const IoRequest& io) override {
        (void)co_await queue.yield();
        if (unit == nullptr) {
            co_return failure(ESHUTDOWN);
        }
        co_return co_await unit->read_for_copy(queue, io);
    }
    Task<Status> write(Queue& queue, const IoRequest& io) override {
        (void)co_await queue.yield();
        ++writes;
        if (unit == nullptr) {
            co_return failure(ESHUTDOWN);
        }
        co_return co_await unit->write_for_copy(queue, io);
    }
    Task<Status> flush(Queue& /*queue*/) override { co_return failure(EOPNOTSUPP); }
    int writes = 0;

  private:
    MemoryDevice& behind_;
};

/// Offers one unit, in the directions that a test allows, and notes what it was asked.
class FakePeers final : public CopyPeers {
  public:
    explicit FakePeers(MemoryDevice& own_device) : own(own_device) {}

    MemoryDevice device{64 * kBlock};
    std::shared_ptr<OfferedBlocks> offered = std::make_shared<OfferedBlocks>(device);
    OfferedBlocks own;
    std::uint32_t block_size = kBlock;
    NaaIdentifier naa{};
    bool may_be_source = false;
    bool may_be_destination = false;
    bool reserved = false;
    std::uint64_t asked = 0;

    Task<std::optional<CopyPeer>> find(Queue& queue, NaaIdentifier wanted, Role role) override {
        ++asked;
        (void)co_await queue.yield();
        const bool allowed = role == Role::kSource ? may_be_source : may_be_destination;
        if (!allowed || wanted != naa) {
            co_return std::nullopt;
        }
        co_return CopyPeer{offered, block_size, reserved};
    }
    BlockDevice& own_destination() override { return own; }
};

class CopyToPeer : public CopyTest {
  protected:
    CopyToPeer() {
        peers.naa = other_naa();
        options.copy_peers = &peers;
        restart();
        peers.own.unit = unit.get();
        peers.offered->unit = &other;
    }
    ~CopyToPeer() override {
        queue.run_all();
        EXPECT_EQ(peers.device.violations, 0U);
    }
    Reply from_peer(const Segment& given) {
        Segment one = given;
        one.source_id = 1;
        return extended_copy(list(both(), segment(one)));
    }
    Reply to_peer(const Segment& given) {
        Segment one = given;
        one.destination_id = 1;
        return extended_copy(list(both(), segment(one)));
    }
    Bytes both() const { return joined({cscd(own_naa()), cscd(other_naa())}); }
    /// Not within a range that the command has announced: see copy_peers.hpp.
    Reply extended_copy(const Bytes& bytes, bool replay = false) {
        Exchange exchange(copy_out_cdb(0, bytes.size()), bytes);
        exchange.command.replay = replay;
        EXPECT_FALSE(changed_range(exchange.command, kBlock, 0).has_value());
        run_task(queue, unit->execute(queue, exchange.command));
        return reply_of(exchange);
    }
    bool peer_is(std::uint64_t lba, std::uint64_t count, std::uint8_t value) {
        const auto bytes = peers.device.bytes().subspan(lba * kBlock, count * kBlock);
        return std::ranges::all_of(bytes, [value](std::byte b) { return b == std::byte{value}; });
    }
    Reply run_at_peer(Bytes cdb) {
        Exchange exchange(std::move(cdb), {});
        run_task(queue, other.execute(queue, exchange.command));
        return reply_of(exchange);
    }

    FakePeers peers{device};
    FakeInitiators other_initiators;
    LogicalUnit other{peers.device, other_initiators, LogicalUnitOptions{.block_size = kBlock}};
};

TEST_F(CopyToPeer, GoesTheAllowedWayOnly) {
    EXPECT_TRUE(is_aborted(from_peer({}), 0x0d02, 0, kHeader + 32));
    peers.may_be_source = true;
    EXPECT_TRUE(is_good(from_peer({})));
    EXPECT_TRUE(is_aborted(to_peer({}), 0x0d02, 0, kHeader + 32));
    peers.may_be_destination = true;
    EXPECT_TRUE(is_good(to_peer({})));
}

TEST_F(CopyToPeer, CopiesBothWays) {
    peers.may_be_source = peers.may_be_destination = true;
    fill_medium(0, 4, 0x55);
    EXPECT_TRUE(is_good(to_peer({.from = 0, .to = 60, .blocks = 4})));
    EXPECT_TRUE(peer_is(60, 4, 0x55));
    EXPECT_TRUE(peers.device.is_durable());
    EXPECT_TRUE(is_good(from_peer({.from = 60, .to = 500, .blocks = 4})));
    EXPECT_TRUE(medium_is(500, 4, 0x55));
    EXPECT_EQ(peers.own.writes, 1);  // in order with this unit's other commands
}

TEST_F(CopyToPeer, LeavesCopiesBetweenOthersAlone) {
    peers.may_be_source = peers.may_be_destination = true;
    const Bytes segments = segment({.from = 0, .to = 1, .source_id = 1, .destination_id = 1});
    EXPECT_TRUE(
        is_aborted(CopyTest::extended_copy(list(both(), segments)), 0x0d02, 0, kHeader + 32));
    EXPECT_EQ(peers.asked, 0U);
}

TEST_F(CopyToPeer, StaysWithinThePeersCapacityAndBlocks) {
    peers.may_be_destination = true;
    EXPECT_TRUE(is_aborted(to_peer({.from = 0, .to = 63, .blocks = 2}), 0x0000, 0, 20, true));
    peers.block_size = 4096;
    EXPECT_TRUE(is_aborted(to_peer({}), 0x0d03, 0, kHeader + 32));
    peers.block_size = kBlock;
    peers.device.properties.type = DeviceType::kCdDvd;
    EXPECT_TRUE(is_aborted(to_peer({}), 0x0d03, 0, kHeader + 32));
}

TEST_F(CopyToPeer, NeitherReadsNorWritesWhatIsReserved) {
    peers.may_be_source = peers.may_be_destination = peers.reserved = true;
    EXPECT_TRUE(is_aborted(from_peer({}), 0x0d01, 0, kHeader + 32));
    EXPECT_TRUE(is_aborted(to_peer({}), 0x0d01, 0, kHeader + 32));
    EXPECT_TRUE(peers.device.requests.empty());
    EXPECT_EQ(device.count(Kind::kWrite), 0U);
}

TEST_F(CopyToPeer, IsRefusedWhatThePeersOwnCommandsAre) {
    peers.may_be_source = peers.may_be_destination = true;
    EXPECT_TRUE(is_good(run_at_peer({0x1b, 0, 0, 0, 0, 0})));  // STOP
    EXPECT_TRUE(is_aborted(from_peer({}), 0x0d01, 0, kHeader + 32));
    EXPECT_TRUE(is_aborted(to_peer({}), 0x0d01, 0, kHeader + 32));
    EXPECT_TRUE(is_good(run_at_peer({0x1b, 0, 0, 0, 1, 0})));
    EXPECT_TRUE(is_good(from_peer({})));
    peers.device.properties.read_only = true;
    other.capacity_changed();
    EXPECT_TRUE(is_good(from_peer({})));
    EXPECT_TRUE(is_aborted(to_peer({}), 0x0d01, 0, kHeader + 32));
    EXPECT_EQ(peers.device.count(Kind::kWrite), 0U);
}

TEST_F(CopyToPeer, LeavesThePeersUnitAttentionToItsInitiators) {
    peers.may_be_destination = true;
    other.capacity_changed();
    EXPECT_TRUE(is_good(to_peer({})));
    EXPECT_TRUE(is_check(run_at_peer({0, 0, 0, 0, 0, 0}), 0x6, 0x2a09));
}

TEST_F(CopyToPeer, IsAbortedWhenThePeerGoesInTheMiddle) {
    // Two segments, so that there is a middle; the second finds nobody any more.
    peers.may_be_destination = true;
    const Bytes bytes =
        list(both(), joined({segment({.from = 0, .to = 0, .blocks = 1, .destination_id = 1}),
                             segment({.from = 1, .to = 1, .blocks = 1, .destination_id = 1})}));
    Exchange exchange(copy_out_cdb(0, bytes.size()), bytes);
    const auto start = [&]() -> Detached { co_await unit->execute(queue, exchange.command); };
    start();
    while (peers.offered->writes == 0) {
        ASSERT_TRUE(queue.run_one());
    }
    peers.offered->unit = nullptr;
    queue.run_all();
    EXPECT_TRUE(is_aborted(reply_of(exchange), 0x0d01, 1, kHeader + 32));
    EXPECT_EQ(peers.device.count(Kind::kWrite), 1U);
}

TEST_F(CopyToPeer, IsNotBegunAnewAfterATakeOver) {
    // What the peer's initiators have written since would be undone, and nobody could hold it off.
    peers.may_be_source = peers.may_be_destination = true;
    Segment one{.from = 0, .to = 1};
    one.destination_id = 1;
    EXPECT_TRUE(is_aborted(extended_copy(list(both(), segment(one)), true), 0x0000, 0));
    EXPECT_TRUE(peers.device.requests.empty());
}

TEST_F(CopyToPeer, DoesNotMixWithCopiesWithinAUnit) {
    peers.may_be_source = peers.may_be_destination = true;
    Segment one{.from = 0, .to = 1};
    one.destination_id = 1;
    const Bytes mixed = joined({segment(one), segment({.from = 0, .to = 8})});
    EXPECT_TRUE(is_check(extended_copy(list(both(), mixed)), 0x5, 0x260c));
    EXPECT_TRUE(device.requests.empty());
}

}  // namespace
}  // namespace lunkit::scsi::test

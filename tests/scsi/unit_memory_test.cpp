// SPDX-License-Identifier: Apache-2.0
// What a unit leaves to the next one: a process that ends, or dies, between any two steps.
#include "scsi/unit_memory.hpp"

#include "logical_unit_fixture.hpp"

namespace lunkit::scsi::test {
namespace {

constexpr std::uint8_t kWce = 0x04;
constexpr std::uint8_t kDSense = 0x04;
constexpr std::uint8_t kSwp = 0x08;
const Bytes kTestUnitReady{0, 0, 0, 0, 0, 0};

/// The unit of a daemon that finds medium and memory as they are at this moment.
struct Successor {
    Successor(MemoryDevice& medium, const UnitMemory& left, LogicalUnitOptions options)
        : device(medium.properties.size), memory(left) {
        device.properties = medium.properties;
        std::ranges::copy(medium.bytes(), device.bytes().begin());
        options.memory = &memory;
        unit = std::make_unique<LogicalUnit>(device, initiators, options);
    }
    Reply run(Bytes cdb, Bytes buffer = {}) {
        Exchange exchange(std::move(cdb), std::move(buffer));
        return run(exchange);
    }
    Reply run(Exchange& exchange) {
        run_task(queue, unit->execute(queue, exchange.command));
        Reply reply;
        reply.status = exchange.command.status;
        reply.sense.assign(exchange.command.sense.begin(),
                           exchange.command.sense.begin() + exchange.command.sense_length);
        reply.data = exchange.buffer();
        reply.data.resize(exchange.command.data_in_length);
        return reply;
    }
    /// Repeats a command of which the predecessor left this progress.
    Reply repeat(Bytes cdb, Bytes buffer, std::uint64_t progress) {
        Exchange exchange(std::move(cdb), std::move(buffer));
        exchange.command.replay = true;
        exchange.command.progress = &progress;
        return run(exchange);
    }
    void resume() {
        unit->resume_background(queue);
        queue.run_all();
    }
    bool medium_is(std::uint8_t value) {
        return std::ranges::all_of(device.bytes(),
                                   [value](std::byte byte) { return byte == std::byte{value}; });
    }

    FakeQueue queue;
    MemoryDevice device;
    FakeInitiators initiators;
    UnitMemory memory;
    std::unique_ptr<LogicalUnit> unit;
};

class UnitMemoryTest : public LogicalUnitTest {
  protected:
    UnitMemoryTest() {
        options.memory = &memory;
        restart();
    }
    Successor successor() { return {device, memory, options}; }

    static Bytes page(std::uint8_t code, std::size_t length) {
        Bytes bytes(length);
        bytes[0] = code;
        bytes[1] = static_cast<std::uint8_t>(length - 2);
        return bytes;
    }
    static Bytes caching(std::uint8_t flags) {
        Bytes bytes = page(0x08, 20);
        bytes[2] = flags;
        return bytes;
    }
    static Bytes control(std::uint8_t d_sense, std::uint8_t swp) {
        return {0x0a, 0x0a, static_cast<std::uint8_t>(0x02 | d_sense),
                0x10, swp,  0x40,
                0,    0,    0xff,
                0xff, 0,    0};
    }
    static Bytes list(const Bytes& one_page) {
        Bytes bytes(4);
        bytes.insert(bytes.end(), one_page.begin(), one_page.end());
        return bytes;
    }
    static Bytes mode_select(const Bytes& parameters) {
        return {0x15, 0x10, 0, 0, static_cast<std::uint8_t>(parameters.size()), 0};
    }
    Reply select(const Bytes& one_page) { return out(mode_select(list(one_page)), list(one_page)); }
    /// SANITIZE, OVERWRITE with IMMED: `passes` inverted between, of one byte.
    static Bytes overwrite_list(std::uint8_t passes, std::uint8_t value) {
        return {static_cast<std::uint8_t>(0x80 | passes), 0, 0, 1, value};
    }
    static Bytes overwrite_cdb() { return {0x48, 0x81, 0, 0, 0, 0, 0, 0, 5, 0}; }
    Reply overwrite(std::uint8_t passes, std::uint8_t value) {
        return out(overwrite_cdb(), overwrite_list(passes, value));
    }
    static Bytes format_cdb() { return {0x04, 0x10, 0, 0, 0, 0}; }
    static Bytes format_list() { return {0, 0x02, 0, 0}; }  // IMMED

    UnitMemory memory{};
};

TEST_F(UnitMemoryTest, KeepsModeParameters) {
    EXPECT_TRUE(is_good(select(caching(0))));
    EXPECT_TRUE(is_good(select(control(kDSense, kSwp))));
    Successor next = successor();
    EXPECT_FALSE(next.unit->write_cache());
    const Reply refused = next.run(cdb10(0x2a, 0, 0, 1), blocks(1, 1));
    EXPECT_TRUE(is_check(refused, 0x7, 0x2702));
    EXPECT_EQ(refused.sense.at(0), 0x72) << "descriptor format";
    const Reply sensed = next.run({0x1a, 0x08, 0x0a, 0, 255, 0}, Bytes(16));
    EXPECT_EQ(Bytes(sensed.data.begin() + 4, sensed.data.end()), control(kDSense, kSwp));
}

TEST_F(UnitMemoryTest, OverridesWhatTheFrontEndBelievesOfTheWriteCache) {
    EXPECT_TRUE(is_good(select(caching(0))));
    options.write_cache = true;  // the daemon died before it could tell
    EXPECT_FALSE(successor().unit->write_cache());
    EXPECT_TRUE(is_good(select(caching(kWce))));
    options.write_cache = false;
    EXPECT_TRUE(successor().unit->write_cache());
}

TEST_F(UnitMemoryTest, WithoutMemoryBeginsAsTheFrontEndSays) {
    options.write_cache = false;
    memory = {};
    restart();
    EXPECT_FALSE(unit->write_cache());
    options.write_cache = true;
    memory.layout = 1;  // somebody else's
    restart();
    EXPECT_TRUE(unit->write_cache());
    EXPECT_EQ(memory.layout, UnitMemory::kLayout);
}

TEST_F(UnitMemoryTest, DoesNotKeepASwitchOfTheCacheThatFailed) {
    device.fail_next(Kind::kFlush, Error{EIO});
    EXPECT_TRUE(is_check(select(caching(0)), 0x3, 0x0c00));
    EXPECT_TRUE(successor().unit->write_cache());
}

TEST_F(UnitMemoryTest, RepeatedModeSelectFlushesOnceMore) {
    EXPECT_TRUE(is_good(select(caching(0))));
    Successor next = successor();
    EXPECT_TRUE(is_good(next.repeat(mode_select(list(caching(0))), list(caching(0)), 0)));
    EXPECT_EQ(next.device.count(Kind::kFlush), 1U);
}

TEST_F(UnitMemoryTest, FlushThatFailsDoesNotSwitchOnACacheThatWasOff) {
    EXPECT_TRUE(is_good(select(caching(0))));
    Successor next = successor();
    next.device.fail_next(Kind::kFlush, Error{EIO});
    EXPECT_FALSE(run_task(next.queue, next.unit->set_write_cache(next.queue, false)));
    EXPECT_FALSE(next.unit->write_cache());
    EXPECT_FALSE(Successor(device, next.memory, options).unit->write_cache());
    next.device.fail_next(Kind::kFlush, Error{EIO});
    EXPECT_FALSE(is_good(next.repeat(mode_select(list(caching(0))), list(caching(0)), 0)));
    EXPECT_FALSE(next.unit->write_cache());
}

TEST_F(UnitMemoryTest, WhatWasAdmittedBeforeIsRepeatedWhateverCameBehindIt) {
    EXPECT_TRUE(is_good(select(control(0, kSwp))));
    EXPECT_TRUE(is_good(run({0x1b, 0, 0, 0, 0, 0})));
    Successor next = successor();
    EXPECT_TRUE(is_good(next.repeat(cdb10(0x2a, 0, 0, 1), blocks(1, 0x12), 0)));
    EXPECT_TRUE(is_check(next.run(cdb10(0x28, 0, 0, 1), Bytes(kBlock)), 0x2, 0x0402));
    EXPECT_TRUE(is_good(next.run({0x1b, 0, 0, 0, 1, 0})));
    EXPECT_TRUE(is_check(next.run(cdb10(0x2a, 0, 0, 1), blocks(1, 1)), 0x7, 0x2702));
    EXPECT_EQ(next.device.bytes()[0], std::byte{0x12});
}

TEST_F(UnitMemoryTest, KeepsAStoppedUnitStopped) {
    EXPECT_TRUE(is_good(run({0x1b, 0, 0, 0, 0, 0})));
    EXPECT_TRUE(is_check(successor().run(kTestUnitReady), 0x2, 0x0402));
    EXPECT_TRUE(is_good(run({0x1b, 0, 0, 0, 1, 0})));
    EXPECT_TRUE(is_good(successor().run(kTestUnitReady)));
}

TEST_F(UnitMemoryTest, KeepsAttentionsInTheirOrder) {
    unit->capacity_changed();
    switch_write_cache(false);
    Successor next = successor();
    EXPECT_TRUE(is_check(next.run(kTestUnitReady), 0x6, 0x2a09));
    EXPECT_TRUE(is_check(next.run(kTestUnitReady), 0x6, 0x2a01));
    EXPECT_TRUE(is_good(next.run(kTestUnitReady)));
    EXPECT_TRUE(is_good(Successor(device, next.memory, options).run(kTestUnitReady)));
}

TEST_F(UnitMemoryTest, CommandThatTookAnAttentionHasItWhenRepeated) {
    unit->capacity_changed();
    std::uint64_t progress = 0;
    Exchange exchange(kTestUnitReady, {});
    exchange.command.progress = &progress;
    run_task(queue, unit->execute(queue, exchange.command));
    Successor next = successor();
    EXPECT_TRUE(is_good(next.repeat(kTestUnitReady, {}, 0))) << "one that had taken none";
    EXPECT_TRUE(is_check(next.repeat(kTestUnitReady, {}, progress), 0x6, 0x2a09));
    EXPECT_TRUE(is_good(next.run(kTestUnitReady)));
}

// The predecessor died between the mark in the command's progress and the memory.
TEST_F(UnitMemoryTest, WhatACommandHasTakenIsNotToldToAnother) {
    unit->capacity_changed();
    device.fail_next(Kind::kFlush, Error{EIO});
    EXPECT_FALSE(run_task(queue, unit->set_write_cache(queue, false)));
    const UnitMemory before_error = memory;
    EXPECT_TRUE(is_check(run(kTestUnitReady), 0x3, 0x0c00));
    const UnitMemory before_attention = memory;

    Successor of_error(device, before_error, options);
    EXPECT_TRUE(is_check(of_error.repeat(kTestUnitReady, {}, command_progress::kDeferredError), 0x3,
                         0x0c00));
    EXPECT_TRUE(
        is_check(Successor(device, of_error.memory, options).run(kTestUnitReady), 0x6, 0x2a09));

    Successor of_attention(device, before_attention, options);
    EXPECT_TRUE(
        is_check(of_attention.repeat(kTestUnitReady, {}, command_progress::kAttention | 0x2a09U),
                 0x6, 0x2a09));
    EXPECT_TRUE(is_good(Successor(device, of_attention.memory, options).run(kTestUnitReady)));
    EXPECT_TRUE(is_good(of_attention.run(kTestUnitReady)));
}

// A handler that does not keep to its bits, with an address perhaps.
TEST_F(UnitMemoryTest, WhatAHandlerLeavesIsNoAttention) {
    for (const std::uint64_t left : {0x7f1234560000ULL | command_progress::kAttention | 0x2a09U,
                                     0x7f1234560000ULL | command_progress::kDeferredError,
                                     command_progress::kDeferredError | 1ULL, 0xffffULL}) {
        EXPECT_TRUE(is_good(successor().repeat(kTestUnitReady, {}, left))) << left;
    }
}

TEST_F(UnitMemoryTest, FlushThatNoCommandAskedForFailsTheNextCommand) {
    device.fail_next(Kind::kFlush, Error{EIO});
    EXPECT_FALSE(run_task(queue, unit->set_write_cache(queue, false)));
    unit->capacity_changed();
    Successor next = successor();
    EXPECT_TRUE(is_good(next.run({0x12, 0, 0, 0, 36, 0}, Bytes(36)))) << "INQUIRY takes nothing";
    const Reply told = next.run(cdb10(0x2a, 0, 0, 1), blocks(1, 0x12));
    EXPECT_TRUE(is_check(told, 0x3, 0x0c00));
    EXPECT_EQ(told.sense[0], 0x71);
    EXPECT_EQ(next.device.bytes()[0], std::byte{0}) << "it has not been carried out";
    EXPECT_TRUE(is_check(next.run(kTestUnitReady), 0x6, 0x2a09));
    EXPECT_TRUE(is_good(next.run(kTestUnitReady)));
    EXPECT_TRUE(is_good(Successor(device, next.memory, options).run(kTestUnitReady)));
}

TEST_F(UnitMemoryTest, CommandThatTookADeferredErrorHasItWhenRepeated) {
    device.fail_next(Kind::kFlush, Error{EIO});
    EXPECT_FALSE(run_task(queue, unit->set_write_cache(queue, false)));
    std::uint64_t progress = 0;
    Exchange exchange(kTestUnitReady, {});
    exchange.command.progress = &progress;
    run_task(queue, unit->execute(queue, exchange.command));
    const Reply again = successor().repeat(kTestUnitReady, {}, progress);
    EXPECT_TRUE(is_check(again, 0x3, 0x0c00));
    EXPECT_EQ(again.sense[0], 0x71);
}

TEST_F(UnitMemoryTest, RequestSenseGivesTheDeferredErrorInEitherFormat) {
    for (const std::uint8_t desc : Bytes{0, 1}) {
        device.fail_next(Kind::kFlush, Error{EIO});
        EXPECT_FALSE(run_task(queue, unit->set_write_cache(queue, false)));
        const Reply reply = run({0x03, desc, 0, 0, 252, 0}, Bytes(252));
        EXPECT_TRUE(is_good(reply));
        EXPECT_EQ(reply.data[0], desc == 0 ? 0x71 : 0x73);
        EXPECT_TRUE(is_good(run(kTestUnitReady)));
    }
}

// The predecessor dies after each step of the queue.
TEST_F(UnitMemoryTest, SanitizeGoesOnFromWhereverItWas) {
    for (const std::uint8_t passes : Bytes{1, 2, 3}) {
        fill_medium(0, kBlocks, 0xcc);
        ASSERT_TRUE(is_good(overwrite(passes, 0x5a)));
        std::size_t least_left = passes * kBlocks * kBlock;
        for (;;) {
            Successor next = successor();
            EXPECT_TRUE(is_check(next.run(kTestUnitReady), 0x2, 0x041b));
            next.resume();
            EXPECT_TRUE(is_good(next.run(kTestUnitReady)));
            EXPECT_TRUE(next.medium_is(0x5a));
            EXPECT_TRUE(next.device.is_durable());
            std::size_t written = 0;
            for (const MemoryDevice::Request& request : next.device.requests) {
                written += request.kind == Kind::kWrite ? request.length : 0;
            }
            EXPECT_LE(written, least_left) << "not all over again";
            least_left = written;
            EXPECT_FALSE(next.initiators.closed);
            if (!queue.run_one() || is_good(run(kTestUnitReady))) {
                break;
            }
        }
        EXPECT_LT(least_left, passes * kBlocks * kBlock);
    }
}

TEST_F(UnitMemoryTest, FormatGoesOnAfterAnOrderlyEndToo) {
    fill_medium(0, kBlocks, 0xcc);
    ASSERT_TRUE(is_good(out({0x04, 0x10, 0, 0, 0, 0}, {0, 0x8a, 0, 0, 0x20, 1, 0, 1, 0x77})));
    unit->end_background();
    queue.run_all();
    EXPECT_FALSE(medium_is(0, kBlocks, 0x77));
    Successor next = successor();
    EXPECT_TRUE(is_check(next.run(kTestUnitReady), 0x2, 0x0404));
    next.resume();
    EXPECT_TRUE(is_good(next.run(kTestUnitReady)));
    EXPECT_TRUE(next.medium_is(0x77));
}

TEST_F(UnitMemoryTest, RewriteThatWasBegunIsNotBegunByItsRepetition) {
    std::uint64_t progress = 0;
    Exchange exchange(overwrite_cdb(), overwrite_list(1, 0x11));
    exchange.command.progress = &progress;
    device.suspends = true;
    run_task(queue, unit->execute(queue, exchange.command));
    Successor next = successor();
    EXPECT_TRUE(is_good(next.repeat(overwrite_cdb(), overwrite_list(1, 0x11), progress)));
    EXPECT_TRUE(next.device.requests.empty());
    next.resume();
    EXPECT_TRUE(next.medium_is(0x11));
}

TEST_F(UnitMemoryTest, RewriteThatHadNotBegunIsBegunByItsRepetition) {
    Successor next = successor();  // died between the mark and the memory
    EXPECT_TRUE(is_good(
        next.repeat(overwrite_cdb(), overwrite_list(1, 0x11), command_progress::kRewriteBegun)));
    next.queue.run_all();
    EXPECT_TRUE(next.medium_is(0x11));
}

TEST_F(UnitMemoryTest, RepetitionsComeBeforeTheRewriteGoesOn) {
    device.suspends = true;
    ASSERT_TRUE(is_good(overwrite(1, 0x11)));
    Successor next = successor();
    EXPECT_TRUE(is_good(next.repeat(cdb10(0x28, 0, 0, 1), Bytes(kBlock), 0)));
    EXPECT_TRUE(is_check(next.repeat(format_cdb(), format_list(), 0), 0x2, 0x041b));
    EXPECT_TRUE(is_check(next.run(cdb10(0x28, 0, 0, 1), Bytes(kBlock)), 0x2, 0x041b));
    next.resume();
    EXPECT_TRUE(is_good(next.run(cdb10(0x28, 0, 0, 1), Bytes(kBlock))));
}

TEST_F(UnitMemoryTest, KeepsAMediumThatFailed) {
    device.fail_next(Kind::kWrite, Error{EIO});
    ASSERT_TRUE(is_good(overwrite(1, 0x11)));
    queue.run_all();
    Successor next = successor();
    EXPECT_TRUE(is_check(next.run(kTestUnitReady), 0x3, 0x3103));
    EXPECT_TRUE(is_check(next.run({0x48, 0x1f, 0, 0, 0, 0, 0, 0, 0, 0}), 0x5, 0x2400))
        << "restricted: there is no way out";
}

TEST_F(UnitMemoryTest, KeepsThatAFailureWasLeftBehind) {
    device.fail_next(Kind::kWrite, Error{EIO});
    ASSERT_TRUE(is_good(out({0x48, 0xa1, 0, 0, 0, 0, 0, 0, 5, 0}, overwrite_list(1, 0x11))));
    queue.run_all();
    EXPECT_TRUE(is_check(run(kTestUnitReady), 0x3, 0x3103));
    EXPECT_TRUE(is_good(run({0x48, 0x1f, 0, 0, 0, 0, 0, 0, 0, 0}))) << "EXIT FAILURE MODE";
    EXPECT_TRUE(is_good(run(kTestUnitReady)));
    EXPECT_TRUE(is_good(successor().run(kTestUnitReady)));
}

TEST_F(UnitMemoryTest, OfAnotherSizeTheMediumIsRewrittenFromTheBeginning) {
    ASSERT_TRUE(is_good(overwrite(1, 0x11)));
    queue.run_one();
    device.resize_to(2 * kBlocks * kBlock);
    Successor next = successor();
    next.resume();
    EXPECT_TRUE(next.medium_is(0x11));
}

TEST_F(UnitMemoryTest, RewriteThatMakesNoSenseLeavesAMediumThatFailed) {
    ASSERT_TRUE(is_good(overwrite(1, 0x11)));
    constexpr std::array<void (*)(UnitMemory&), 5> kSpoil{
        [](UnitMemory& left) { left.rewrite.passes = 0; },
        [](UnitMemory& left) { left.rewrite.passes = 32; },
        [](UnitMemory& left) { left.rewrite.flags = 0x80000000U; },
        [](UnitMemory& left) { left.rewrite.before = 5; },
        [](UnitMemory& left) { left.rewrite.has_pattern = 0; },  // but to be inverted
    };
    for (const auto& spoil : kSpoil) {
        UnitMemory left = memory;
        spoil(left);
        Successor next(device, left, options);
        next.resume();
        EXPECT_TRUE(is_check(next.run(kTestUnitReady), 0x3, 0x3103)) << &spoil - kSpoil.data();
        EXPECT_TRUE(next.device.requests.empty());
    }
}

// The bytes behind the memory are another's: the in-flight table's.
TEST_F(UnitMemoryTest, BlockLongerThanItHoldsIsNotKept) {
    struct {
        UnitMemory unit{};
        std::array<std::byte, 8192> behind{};
    } memory_of_two;
    constexpr std::uint32_t kLong = 8192;
    options.block_size = kLong;
    options.memory = &memory_of_two.unit;
    restart();
    ASSERT_TRUE(is_good(overwrite(1, 0x11)));
    EXPECT_TRUE(std::ranges::all_of(memory_of_two.behind,
                                    [](std::byte byte) { return byte == std::byte{0}; }));
    Successor next(device, memory_of_two.unit, options);
    next.resume();
    EXPECT_TRUE(is_check(next.run(kTestUnitReady), 0x3, 0x3103));
    queue.run_all();
    EXPECT_TRUE(medium_is(0, kBlocks, 0x11));
    options.memory = nullptr;
    restart();
}

TEST_F(UnitMemoryTest, ProgressBeyondTheEndOnlyFlushes) {
    ASSERT_TRUE(is_good(overwrite(1, 0x11)));
    UnitMemory left = memory;
    left.rewrite.done = ~std::uint64_t{0};
    Successor next(device, left, options);
    next.resume();
    EXPECT_TRUE(is_good(next.run(kTestUnitReady)));
    EXPECT_EQ(next.device.count(Kind::kFlush), 1U);
    EXPECT_EQ(next.device.count(Kind::kWrite), 0U);
}

}  // namespace
}  // namespace lunkit::scsi::test

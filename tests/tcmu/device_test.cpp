// SPDX-License-Identifier: Apache-2.0
#include "tcmu/device.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <ranges>
#include <utility>

#include "support/fake_engine_queue.hpp"
#include "support/memory_device.hpp"
#include "support/tcmu_kernel_model.hpp"
#include "support/tcmu_ring_fixture.hpp"

namespace lunkit::tcmu {
namespace {

using test::cdb_read10;
using test::cdb_test_unit_ready;
using test::cdb_write10;
using test::FakeEngineQueue;
using test::MemoryDevice;
using test::TcmuKernelModel;
using namespace std::chrono_literals;

constexpr std::uint8_t kGood = 0;
constexpr std::uint8_t kCheckCondition = 2;
constexpr std::uint64_t kSize = 1 << 20;

std::vector<std::uint8_t> cdb_inquiry(std::uint8_t length) {
    return {0x12, 0, 0, 0, length, 0};
}
std::vector<std::uint8_t> cdb_serial_page(std::uint8_t length) {
    return {0x12, 1, 0x80, 0, length, 0};
}

/// Requests wait until the test lets them go.
class ParkedDevice final : public BlockDevice {
  public:
    DeviceInfo properties{.size = kSize};

    [[nodiscard]] DeviceInfo info() const override { return properties; }
    Task<Status> read(Queue& queue, const IoRequest& /*io*/) override { return park(queue); }
    Task<Status> write(Queue& queue, const IoRequest& /*io*/) override { return park(queue); }
    Task<Status> flush(Queue& queue) override { return park(queue); }
    Task<Status> manage_zones(Queue& queue, ZoneAction /*action*/,
                              const IoRequest& /*io*/) override {
        return park(queue);
    }
    [[nodiscard]] std::size_t parked() const { return parked_.size(); }
    void release_one(FakeEngineQueue& queue) {
        queue.post(parked_.front());
        parked_.pop_front();
    }
    void release_all(FakeEngineQueue& queue) {
        while (!parked_.empty()) {
            release_one(queue);
        }
    }

  private:
    Task<Status> park(Queue& /*queue*/) {
        (void)co_await Operation([this](lunkit_completion* completion) {
            parked_.push_back(completion);
            return LUNKIT_PENDING;
        });
        co_return Status{};
    }
    std::deque<lunkit_completion*> parked_;
};

/// One device on a model of the kernel.
/// MODE SELECT(6) parameters: the caching page with this byte 2.
std::vector<std::byte> mode_list(std::uint8_t flags) {
    std::vector<std::byte> list(24);
    list[4] = std::byte{0x08};
    list[5] = std::byte{0x12};
    list[6] = std::byte{flags};
    return list;
}

struct Rig {
    explicit Rig(FakeEngineQueue& on, TcmuKernelModel::Options options = {},
                 std::unique_ptr<BlockDevice> device = nullptr, std::uint32_t slots = 64)
        : queue(on), model(options) {
        DeviceParts parts;
        parts.name = "user_0/disk";
        parts.config = "ram/x";
        parts.node = "/dev/uio0";
        parts.ring = test::served_ring(model, slots);
        remembered = &parts.ring.unit_memory();
        auto own = std::make_unique<MemoryDevice>(kSize);
        memory = own.get();
        parts.block = device ? std::move(device) : std::move(own);
        parts.unit.max_transfer = 1 << 20;
        parts.events.gone = [this] { ++gone; };
        parts.events.write_cache_changed = [this](bool on_now) { write_cache = on_now; };
        parts.events.identity = [this] {
            ++identities;
            return scsi::Identity{.serial = "0123456789"};
        };
        served = std::make_unique<Device>(std::move(parts), queue);
        served->start();
        settle();
    }
    Rig(const Rig&) = delete;
    Rig& operator=(const Rig&) = delete;
    Rig(Rig&&) = delete;
    Rig& operator=(Rig&&) = delete;
    ~Rig() {
        if (served && !quiet) {
            drain();
        }
    }

    /// The kernel tells of what it queued, and everything is done.
    void settle() {
        model.notify();
        do {
            queue.settle();
        } while (model.take_kicks() > 0);
    }
    void drain() {
        served->drain({.bound = 1s, .late = [this] { ++late; }, .quiet = [this] { quiet = true; }});
        queue.settle();
    }
    const TcmuKernelModel::Result& run(std::optional<std::uint16_t> id) {
        EXPECT_TRUE(id.has_value());
        settle();
        EXPECT_EQ(model.broken(), "");
        return model.result(*id);
    }

    FakeEngineQueue& queue;
    TcmuKernelModel model;
    MemoryDevice* memory = nullptr;
    std::unique_ptr<Device> served;
    const scsi::UnitMemory* remembered = nullptr;  // lies in the ring's memory
    int gone = 0;
    int late = 0;
    bool quiet = false;
    int identities = 0;
    std::optional<bool> write_cache;
};

class DeviceTest : public testing::Test {
  protected:
    FakeEngineQueue queue;
};

std::vector<std::byte> bytes_of(std::size_t length, std::byte value) {
    return std::vector<std::byte>(length, value);
}

TEST_F(DeviceTest, WritesAndReadsBack) {
    Rig rig(queue);
    const std::vector<std::byte> data = bytes_of(8192, std::byte{0x77});
    EXPECT_EQ(rig.run(rig.model.write(cdb_write10(16, 16), data)).status, kGood);
    const auto& result = rig.run(rig.model.read(cdb_read10(16, 16), 8192));
    EXPECT_EQ(result.status, kGood);
    EXPECT_EQ(result.data_in, data);
    EXPECT_EQ(rig.memory->bytes()[8192], std::byte{0x77});
}

TEST_F(DeviceTest, OneKickForABatch) {
    Rig rig(queue);
    for (int i = 0; i < 16; ++i) {
        (void)rig.model.read(cdb_read10(0, 1), 512);
    }
    rig.model.notify();
    queue.settle();
    EXPECT_EQ(rig.model.take_kicks(), 1U);
    EXPECT_EQ(rig.model.outstanding(), 0U);
}

TEST_F(DeviceTest, SleepsOnThePollAndWakes) {
    Rig rig(queue);
    EXPECT_EQ(queue.inner.polls(), 1U);
    EXPECT_FALSE(queue.turn());
    rig.run(rig.model.read(cdb_test_unit_ready(), 0));
    EXPECT_EQ(queue.inner.polls(), 1U);
}

TEST_F(DeviceTest, EventBetweenLookAndPollIsNotLost) {
    Rig rig(queue);
    rig.model.notify();  // nothing there yet
    queue.settle();
    EXPECT_EQ(queue.inner.polls(), 1U);
    EXPECT_EQ(rig.run(rig.model.read(cdb_test_unit_ready(), 0)).status, kGood);
}

TEST_F(DeviceTest, ShortDataInIsToldByReadLen) {
    Rig rig(queue);
    const auto& result = rig.run(rig.model.read(cdb_inquiry(255), 255));
    EXPECT_EQ(result.status, kGood);
    ASSERT_TRUE(result.read_len.has_value());
    EXPECT_LT(*result.read_len, 255U);
    EXPECT_EQ(result.data_in.size(), *result.read_len);
}

TEST_F(DeviceTest, WithoutReadLenTheRestIsZeroed) {
    Rig rig(queue, {.flags = mailbox::kOutOfOrder});
    const auto& result = rig.run(rig.model.read(cdb_inquiry(255), 255));
    ASSERT_EQ(result.data_in.size(), 255U);
    EXPECT_EQ(std::ranges::count(result.data_in, std::byte{0x5a}), 0);
    EXPECT_EQ(result.data_in.back(), std::byte{0});
}

TEST_F(DeviceTest, FullDataInNeedsNoReadLen) {
    Rig rig(queue);
    const auto& result = rig.run(rig.model.read(cdb_read10(0, 8), 4096));
    EXPECT_EQ(result.uflags, 0);
    EXPECT_EQ(result.data_in.size(), 4096U);
}

TEST_F(DeviceTest, NothingProducedLeavesNoStaleByte) {
    Rig rig(queue);
    // TEST UNIT READY with a data area: it succeeds and fills nothing; a READ_LEN of 0 means all.
    const auto& result = rig.run(rig.model.read(cdb_test_unit_ready(), 512));
    EXPECT_EQ(result.status, kGood);
    EXPECT_EQ(result.data_in, bytes_of(512, std::byte{0}));
}

TEST_F(DeviceTest, FailedReadClearsItsData) {
    Rig rig(queue);
    rig.memory->fail_next(MemoryDevice::Kind::kRead, {.code = EIO});
    EXPECT_EQ(rig.run(rig.model.read(cdb_read10(0, 8), 4096)).status, kCheckCondition);
    const auto area = rig.model.memory().subspan(4096, 4096);
    EXPECT_TRUE(std::ranges::all_of(area, [](std::byte byte) { return byte == std::byte{0}; }));
}

// An initiator may send a write opcode and ask for data: it shall not see what lies there.
TEST_F(DeviceTest, WriteOpcodeWithTheWrongDirectionLeaksNothing) {
    Rig rig(queue);
    const auto& result = rig.run(rig.model.read(cdb_write10(0, 8), 4096));
    EXPECT_EQ(result.data_in, bytes_of(1, std::byte{0}));
}

TEST_F(DeviceTest, WithoutReadLenTheWrongDirectionGetsZeros) {
    Rig rig(queue, {.flags = mailbox::kOutOfOrder});
    const auto& result = rig.run(rig.model.read(cdb_write10(0, 8), 4096));
    EXPECT_EQ(result.data_in, bytes_of(4096, std::byte{0}));
}

TEST_F(DeviceTest, BidirectionalDataInIsCleared) {
    Rig rig(queue);
    const auto id = rig.model.submit({0x53, 0, 0, 0, 0, 0, 0, 0, 1, 0},  // XDWRITEREAD(10)
                                     TcmuKernelModel::Direction::kBidirectional,
                                     bytes_of(512, std::byte{1}), 512);
    (void)rig.run(id);
    const auto in_area = rig.model.memory().subspan(8192, 512);
    EXPECT_TRUE(std::ranges::all_of(in_area, [](std::byte byte) { return byte == std::byte{0}; }));
}

TEST_F(DeviceTest, UnknownOpcodeIsAnswered) {
    Rig rig(queue);
    const auto& result = rig.run(rig.model.read({0xc1, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 0));
    EXPECT_EQ(result.status, kCheckCondition);
    EXPECT_EQ(result.sense[2] & 0x0f, 5);
}

TEST_F(DeviceTest, MoreCommandsThanSlots) {
    auto parked = std::make_unique<ParkedDevice>();
    ParkedDevice& device = *parked;
    Rig rig(queue, {}, std::move(parked), 4);
    for (int i = 0; i < 10; ++i) {
        ASSERT_TRUE(rig.model.read(cdb_read10(0, 1), 512));
    }
    rig.settle();
    EXPECT_EQ(device.parked(), 4U);
    while (rig.model.outstanding() > 0) {
        device.release_one(queue);
        queue.settle();
        (void)rig.model.take_kicks();
    }
    EXPECT_EQ(rig.model.order().size(), 10U);
}

TEST_F(DeviceTest, RunsInAnyOrderUnderLoad) {
    Rig rig(queue, {.cmdr_size = 8192 - 128});
    rig.memory->suspends = true;
    queue.inner.shuffle(4711);
    std::size_t submitted = 0;
    while (rig.model.results().size() < 1000) {
        while (submitted < 1000 && rig.model.outstanding() < 20 &&
               rig.model.read(cdb_read10(0, 8), 4096)) {
            ++submitted;
        }
        rig.model.notify();
        (void)queue.turn();
        (void)rig.model.take_kicks();
    }
    EXPECT_EQ(rig.model.broken(), "");
    EXPECT_EQ(rig.served->status().read_commands, 1000U);
    EXPECT_LT(rig.served->status().kicks, 1000U);
}

TEST_F(DeviceTest, TmrHurtsNobody) {
    Rig rig(queue);
    const auto id = rig.model.read(cdb_read10(0, 1), 512);
    ASSERT_TRUE(rig.model.submit_tmr(5, {*id}));
    EXPECT_EQ(rig.run(id).status, kGood);
    EXPECT_EQ(rig.model.tail(), rig.model.head());
}

TEST_F(DeviceTest, DrainEndsWhatRunsAndLeavesTheRest) {
    auto parked = std::make_unique<ParkedDevice>();
    ParkedDevice& device = *parked;
    Rig rig(queue, {}, std::move(parked));
    const auto running = rig.model.read(cdb_read10(0, 1), 512);
    rig.settle();
    rig.drain();
    EXPECT_FALSE(rig.quiet);
    ASSERT_TRUE(rig.model.read(cdb_read10(0, 1), 512));
    rig.model.notify();
    device.release_all(queue);
    queue.settle();
    EXPECT_TRUE(rig.quiet);
    EXPECT_EQ(rig.late, 0);
    EXPECT_EQ(rig.model.take_kicks(), 1U);
    EXPECT_EQ(rig.model.order(), std::vector<std::uint16_t>{*running});
    EXPECT_EQ(rig.model.outstanding(), 1U);
    EXPECT_EQ(queue.pollers(), 0U);
    EXPECT_EQ(queue.inner.pending(), 0U);
}

TEST_F(DeviceTest, DrainIsBounded) {
    auto parked = std::make_unique<ParkedDevice>();
    ParkedDevice& device = *parked;
    Rig rig(queue, {}, std::move(parked));
    (void)rig.model.read(cdb_read10(0, 1), 512);
    rig.settle();
    rig.drain();
    queue.inner.advance(1s);
    queue.settle();
    EXPECT_EQ(rig.late, 1);
    EXPECT_FALSE(rig.quiet);
    device.release_all(queue);
    queue.settle();
    EXPECT_TRUE(rig.quiet);
    EXPECT_EQ(rig.late, 1);
}

TEST_F(DeviceTest, DrainEndsWhatACommandLeftRunning) {
    auto parked = std::make_unique<ParkedDevice>();
    ParkedDevice& device = *parked;
    Rig rig(queue, {}, std::move(parked));
    const std::vector<std::byte> immed{std::byte{0}, std::byte{0x02}, std::byte{0}, std::byte{0}};
    const auto& format = rig.run(rig.model.write({0x04, 0x10, 0, 0, 0, 0}, immed));
    EXPECT_EQ(format.status, kGood);
    EXPECT_EQ(rig.run(rig.model.read(cdb_test_unit_ready(), 0)).status, kCheckCondition);
    EXPECT_EQ(device.parked(), 1U);
    rig.drain();
    EXPECT_FALSE(rig.quiet);
    device.release_one(queue);
    queue.settle();
    EXPECT_EQ(device.parked(), 0U);
    EXPECT_TRUE(rig.quiet);
    EXPECT_EQ(rig.late, 0);
}

TEST_F(DeviceTest, BrokenRingFailsTheDeviceUntilItIsReset) {
    Rig rig(queue);
    (void)rig.run(rig.model.read(cdb_test_unit_ready(), 0));
    (void)rig.model.read(cdb_read10(0, 1), 512);
    rig.model.memory()[128 + rig.model.tail()] = std::byte{1};  // an entry of no length
    rig.settle();
    EXPECT_EQ(rig.served->state(), core::DeviceState::kFailed);
    EXPECT_TRUE(rig.served->status().error.starts_with("ring is broken"));
    rig.model.reset_ring();
    EXPECT_EQ(rig.run(rig.model.read(cdb_test_unit_ready(), 0)).status, kGood);
    EXPECT_EQ(rig.served->state(), core::DeviceState::kRunning);
}

TEST_F(DeviceTest, MissingPageFailsOneDeviceAndNoOther) {
    Rig hurt(queue, {.blocks = 16});
    Rig other(queue);
    const auto id = hurt.model.write(cdb_write10(0, 8), bytes_of(4096, std::byte{7}));
    ASSERT_EQ(::ftruncate(hurt.model.memory_fd(), 4096), 0);  // the data area is gone
    hurt.settle();
    EXPECT_EQ(hurt.served->state(), core::DeviceState::kFailed);
    ASSERT_EQ(hurt.model.order(), std::vector<std::uint16_t>{*id});
    EXPECT_EQ(hurt.model.result(*id).status, kCheckCondition);
    EXPECT_EQ(hurt.model.result(*id).sense[2], 4);  // HARDWARE ERROR
    EXPECT_EQ(other.run(other.model.read(cdb_read10(0, 1), 512)).status, kGood);
    EXPECT_EQ(other.served->state(), core::DeviceState::kRunning);
}

TEST_F(DeviceTest, DeadNodeIsToldOnce) {
    Rig rig(queue);
    rig.model.unregister();
    queue.settle();
    EXPECT_EQ(rig.gone, 1);
    EXPECT_EQ(rig.served->state(), core::DeviceState::kFailed);
    rig.drain();
    EXPECT_TRUE(rig.quiet);
    EXPECT_EQ(rig.gone, 1);
}

TEST_F(DeviceTest, CountsWhatItDid) {
    Rig rig(queue);
    (void)rig.run(rig.model.write(cdb_write10(0, 4), bytes_of(2048, std::byte{1})));
    (void)rig.run(rig.model.read(cdb_read10(0, 8), 4096));
    (void)rig.run(rig.model.read(cdb_test_unit_ready(), 0));
    (void)rig.run(rig.model.read({0xc1, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 0));
    const core::DeviceStatus status = rig.served->status();
    EXPECT_EQ(status.write_commands, 1U);
    EXPECT_EQ(status.write_bytes, 2048U);
    EXPECT_EQ(status.read_commands, 1U);
    EXPECT_EQ(status.read_bytes, 4096U);
    EXPECT_EQ(status.other_commands, 2U);
    EXPECT_EQ(status.errors, 1U);
    EXPECT_EQ(status.error_counts, (std::map<std::string, std::uint64_t>{{"05/20/00", 1}}));
    EXPECT_EQ(status.latency[0].count, 1U);
    EXPECT_EQ(status.latency[1].count, 1U);
    EXPECT_EQ(status.latency[2].count, 2U);
    EXPECT_GT(status.latency[2].sum, 0U);
    EXPECT_EQ(status.in_flight, 0U);
    EXPECT_EQ(status.kicks, 5U);  // and one when it began
}

TEST_F(DeviceTest, CommandsCanBeWatched) {
    Rig rig(queue);
    const std::shared_ptr<core::TraceTap> trace = rig.served->trace();
    (void)rig.run(rig.model.read(cdb_read10(0, 8), 4096));
    ASSERT_TRUE(trace->start());
    (void)rig.run(rig.model.read(cdb_read10(2, 8), 4096));
    (void)rig.run(rig.model.read({0xc1, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 0));
    std::array<core::TraceRecord, 8> records;
    ASSERT_EQ(trace->take(records), 2U);
    EXPECT_EQ(records[0].kind, core::CommandClass::kRead);
    EXPECT_EQ(records[0].bytes, 4096U);
    EXPECT_EQ(records[0].cdb_length, 10U);
    EXPECT_EQ(records[0].cdb[5], 2U);
    EXPECT_EQ(records[0].error, 0U);
    EXPECT_EQ(records[1].error, core::ErrorKind::sense(5, 0x20, 0).packed());
    rig.drain();
    rig.served.reset();
    EXPECT_TRUE(trace->is_closed());
}

TEST_F(DeviceTest, IdentityIsReadOnAWorkerAndKept) {
    Rig rig(queue);
    const auto& page = rig.run(rig.model.read(cdb_serial_page(64), 64));
    ASSERT_GE(page.data_in.size(), 14U);
    EXPECT_EQ(page.data_in[4], std::byte{'0'});
    (void)rig.run(rig.model.read(cdb_serial_page(64), 64));
    EXPECT_EQ(rig.identities, 1);
}

TEST_F(DeviceTest, WriteCacheGoesOffWithAFlush) {
    Rig rig(queue);
    std::optional<Status> ended;
    rig.served->set_write_cache(false, [&ended](Status status) { ended = std::move(status); });
    queue.settle();
    ASSERT_TRUE(ended.has_value());
    EXPECT_TRUE(ended->has_value());
    EXPECT_EQ(rig.memory->count(MemoryDevice::Kind::kFlush), 1U);
    EXPECT_FALSE(rig.served->write_cache());
}

TEST_F(DeviceTest, WriteCacheStaysOnWhenTheFlushFails) {
    Rig rig(queue);
    rig.memory->fail_next(MemoryDevice::Kind::kFlush, {.code = EIO});
    std::optional<Status> ended;
    rig.served->set_write_cache(false, [&ended](Status status) { ended = std::move(status); });
    queue.settle();
    ASSERT_TRUE(ended.has_value());
    EXPECT_FALSE(ended->has_value());
    EXPECT_TRUE(rig.served->write_cache());
}

TEST_F(DeviceTest, KernelHearsOfAWriteCacheThatAPredecessorCouldNotTell) {
    TcmuKernelModel model;
    auto block = std::make_unique<MemoryDevice>(kSize);
    const MemoryDevice* const medium = block.get();
    DeviceParts parts;
    parts.ring = test::served_ring(model, 16);
    {
        // What a MODE SELECT of WCE 0 has left.
        Rig rig(queue);
        (void)rig.run(rig.model.write({0x15, 0x10, 0, 0, 24, 0}, mode_list(0)));
        EXPECT_EQ(rig.write_cache, false);
        parts.ring.unit_memory() = *rig.remembered;
    }
    std::vector<bool> told;
    parts.block = std::move(block);
    parts.unit.write_cache = true;
    parts.events.write_cache_changed = [&told](bool enabled) { told.push_back(enabled); };
    Device device(std::move(parts), queue);
    device.start();
    queue.settle();
    EXPECT_FALSE(device.write_cache());
    EXPECT_EQ(told, std::vector<bool>{false});
    EXPECT_EQ(medium->count(MemoryDevice::Kind::kFlush), 1U) << "before anybody is told";
    device.drain({.bound = 1s, .late = {}, .quiet = [] {}});
    queue.settle();
}

// Of a predecessor, without IMMED: it may take hours, and the unit says so to whoever asks.
TEST_F(DeviceTest, RewriteThatIsRepeatedSilencesNobody) {
    TcmuKernelModel model;
    const std::optional<std::uint16_t> format = model.write({0x04, 0, 0, 0, 0, 0}, {});
    auto storage = std::make_unique<ParkedDevice>();
    ParkedDevice* const parked = storage.get();
    DeviceParts parts;
    parts.ring = test::served_ring(model, 16);
    ASSERT_TRUE(parts.ring.ring().fetch()) << "by the predecessor";
    parts.block = std::move(storage);
    Device device(std::move(parts), queue);
    device.start();
    const std::optional<std::uint16_t> asked = model.read(cdb_test_unit_ready(), 0);
    const std::optional<std::uint16_t> written =
        model.write(cdb_write10(0, 1), bytes_of(512, std::byte{1}));
    model.notify();
    queue.settle();
    (void)model.take_kicks();
    for (const std::optional<std::uint16_t>& id : {asked, written}) {
        ASSERT_TRUE(id && model.results().contains(*id));
        EXPECT_EQ(model.result(*id).status, kCheckCondition);
        EXPECT_EQ(model.result(*id).sense[2] & 0x0f, 2);  // NOT READY
        EXPECT_EQ(model.result(*id).sense[12], 0x04);     // FORMAT IN PROGRESS
        EXPECT_EQ(model.result(*id).sense[13], 0x04);
    }
    EXPECT_FALSE(model.results().contains(*format));
    while (parked->parked() > 0) {
        parked->release_all(queue);
        queue.settle();
    }
    (void)model.take_kicks();
    ASSERT_TRUE(model.results().contains(*format));
    EXPECT_EQ(model.result(*format).status, kGood);
    device.drain({.bound = 1s, .late = {}, .quiet = [] {}});
    queue.settle();
}

TEST_F(DeviceTest, InitiatorsHearOfANewCapacity) {
    Rig rig(queue);
    rig.memory->resize_to(2 * kSize);
    rig.served->capacity_changed();
    const auto& result = rig.run(rig.model.read(cdb_test_unit_ready(), 0));
    EXPECT_EQ(result.status, kCheckCondition);
    EXPECT_EQ(result.sense[2] & 0x0f, 6);  // UNIT ATTENTION
    EXPECT_EQ(result.sense[12], 0x2a);     // CAPACITY DATA HAS CHANGED
}

TEST_F(DeviceTest, GarbageForAMailboxIsRefused) {
    TcmuKernelModel model;
    model.memory()[0] = std::byte{9};
    UioNode node;
    node.map = *core::MemoryMapping::of_file(model.memory_fd(), model.map_size(), "model");
    EXPECT_FALSE(ServedRing::open(std::move(node)).has_value());
}

TEST_F(DeviceTest, TmrAbortsWhatHasNotBegun) {
    auto parked = std::make_unique<ParkedDevice>();
    ParkedDevice& disk = *parked;
    Rig rig(queue, {}, std::move(parked));
    const auto stuck = rig.model.write(cdb_write10(0, 8), bytes_of(4096, std::byte{1}));
    const auto behind = rig.model.write(cdb_write10(0, 8), bytes_of(4096, std::byte{2}));
    const auto unnamed = rig.model.write(cdb_write10(0, 8), bytes_of(4096, std::byte{3}));
    rig.settle();
    ASSERT_TRUE(rig.model.submit_tmr(1, {*stuck, *behind}));
    rig.settle();
    constexpr std::uint8_t kTaskAborted = 0x40;
    EXPECT_EQ(rig.model.order(), std::vector<std::uint16_t>{*behind});
    EXPECT_EQ(rig.model.result(*behind).status, kTaskAborted);
    EXPECT_EQ(disk.parked(), 1U);
    disk.release_all(queue);
    rig.settle();
    EXPECT_EQ(rig.model.result(*stuck).status, kGood);
    disk.release_all(queue);
    rig.settle();
    EXPECT_EQ(rig.model.result(*unnamed).status, kGood);
    EXPECT_EQ(rig.model.outstanding(), 0U);
    EXPECT_EQ(rig.model.tail(), rig.model.head());
}

// A write that was acknowledged later must not be undone should the earlier one be repeated.
TEST_F(DeviceTest, OverlappingWritesRunOneAfterTheOther) {
    auto parked = std::make_unique<ParkedDevice>();
    ParkedDevice& disk = *parked;
    Rig rig(queue, {}, std::move(parked));
    (void)rig.model.write(cdb_write10(0, 16), bytes_of(8192, std::byte{1}));
    (void)rig.model.write(cdb_write10(8, 16), bytes_of(8192, std::byte{2}));  // overlaps
    (void)rig.model.write(cdb_write10(24, 8), bytes_of(4096, std::byte{3}));  // does not
    (void)rig.model.read(cdb_read10(0, 8), 4096);                             // changes nothing
    rig.settle();
    EXPECT_EQ(disk.parked(), 3U);
    disk.release_one(queue);
    rig.settle();
    EXPECT_EQ(rig.model.outstanding(), 3U);
    EXPECT_EQ(disk.parked(), 3U);  // the second write has begun
    disk.release_all(queue);
    rig.settle();
    EXPECT_EQ(rig.model.outstanding(), 0U);
}

// Nor must a write that waits be found behind the write pointer that a later command has reset.
TEST_F(DeviceTest, AZoneIsResetInItsTurn) {
    auto parked = std::make_unique<ParkedDevice>();
    ParkedDevice& disk = *parked;
    disk.properties.type = DeviceType::kZoned;
    disk.properties.zone_size = 64 << 10;
    Rig rig(queue, {}, std::move(parked));
    std::vector<std::uint8_t> reset(16);
    reset[0] = 0x94;
    reset[1] = 0x04;
    (void)rig.model.write(cdb_write10(0, 8), bytes_of(4096, std::byte{1}));
    (void)rig.model.write(cdb_write10(0, 8), bytes_of(4096, std::byte{2}));
    (void)rig.model.write(reset, {});
    (void)rig.model.write(cdb_write10(8, 8), bytes_of(4096, std::byte{3}));
    for (std::size_t left = 4; left > 0; --left) {
        rig.settle();
        EXPECT_EQ(rig.model.outstanding(), left);
        EXPECT_EQ(disk.parked(), 1U);  // one after the other
        disk.release_all(queue);
    }
    rig.settle();
    EXPECT_EQ(rig.model.outstanding(), 0U);
}

}  // namespace
}  // namespace lunkit::tcmu

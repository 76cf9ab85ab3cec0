// SPDX-License-Identifier: Apache-2.0
// Copies between two devices that live on two queues, through their rings.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>

#include "scsi/big_endian.hpp"
#include "scsi/device_identification.hpp"
#include "support/fake_engine_queue.hpp"
#include "support/memory_device.hpp"
#include "support/tcmu_kernel_model.hpp"
#include "support/tcmu_ring_fixture.hpp"
#include "tcmu/copy_directory.hpp"
#include "tcmu/device.hpp"

namespace lunkit::tcmu {
namespace {

using test::cdb_write10;
using test::FakeEngineQueue;
using test::MemoryDevice;
using test::TcmuKernelModel;
using namespace std::chrono_literals;
using Kind = MemoryDevice::Kind;

constexpr std::uint8_t kGood = 0;
constexpr std::uint64_t kSize = 1 << 20;
constexpr std::uint32_t kBlock = 512;

/// A MemoryDevice whose first write waits until the test lets it go, if it is told to.
class HoldingDevice final : public BlockDevice {
  public:
    MemoryDevice memory{kSize};
    bool holds = false;

    [[nodiscard]] bool is_holding() const { return held_ != nullptr; }
    void let_go(FakeEngineQueue& queue) { queue.post(std::exchange(held_, nullptr)); }

    [[nodiscard]] DeviceInfo info() const override { return memory.info(); }
    Task<Status> read(Queue& queue, const IoRequest& io) override { return memory.read(queue, io); }
    Task<Status> flush(Queue& queue) override { return memory.flush(queue); }
    Task<Status> write(Queue& queue, const IoRequest& io) override {
        if (std::exchange(holds, false)) {
            (void)co_await Operation([this](lunkit_completion* completion) {
                held_ = completion;
                return LUNKIT_PENDING;
            });
        }
        co_return co_await memory.write(queue, io);
    }

  private:
    lunkit_completion* held_ = nullptr;
};

/// A device with a kernel and a queue of its own.
struct End {
    End(std::string name, std::string serial_number, const std::shared_ptr<CopyDirectory>& copies)
        : serial(std::move(serial_number)) {
        DeviceParts parts;
        parts.name = "user_0/" + name;
        parts.config = "ram/x";
        parts.ring = test::served_ring(model);
        auto own = std::make_unique<HoldingDevice>();
        medium = own.get();
        memory = &medium->memory;
        parts.block = std::move(own);
        parts.unit.max_transfer = kSize;
        parts.events.identity = [this] { return scsi::Identity{.serial = serial}; };
        parts.events.reserved = [this] { return reserved; };
        parts.copies = copies;
        parts.copy_name = copy_name({.hba = 0, .device = name, .config = "ram/x"});
        device = std::make_unique<Device>(std::move(parts), queue);
        device->start();
    }
    End(const End&) = delete;
    End& operator=(const End&) = delete;
    End(End&&) = delete;
    End& operator=(End&&) = delete;
    ~End() {
        begin_drain();
        queue.settle();
        EXPECT_TRUE(quiet);
    }
    void begin_drain() {
        if (!std::exchange(drains, true)) {
            device->drain({.bound = 1s, .late = [] {}, .quiet = [this] { quiet = true; }});
        }
    }

    std::string serial;
    bool reserved = false;
    bool drains = false;
    bool quiet = false;
    FakeEngineQueue queue;
    TcmuKernelModel model;
    HoldingDevice* medium = nullptr;
    MemoryDevice* memory = nullptr;
    std::unique_ptr<Device> device;
};

class DeviceCopy : public testing::Test {
  protected:
    ~DeviceCopy() override { settle(); }

    static std::uint8_t low(std::size_t value) { return static_cast<std::uint8_t>(value); }

    /// EXTENDED COPY (LID1) of `count` segments of 8 blocks each, from the start of one to that of
    /// the other.
    static std::vector<std::uint8_t> cdb_copy(std::size_t count) {
        return {0x83,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                low(length_of(count) >> 8U),
                low(length_of(count)),
                0,
                0};
    }
    static std::size_t length_of(std::size_t count) { return 16 + 64 + 28 * count; }
    static std::vector<std::byte> copy_list(const End& from, const End& to, std::size_t count) {
        std::vector<std::uint8_t> list(length_of(count));
        list[1] = 3U << 3U;  // no list identifier
        list[3] = 64;
        list[11] = low(28 * count);
        for (std::size_t i = 0; i < 2; ++i) {
            std::uint8_t* const cscd = &list[16 + 32 * i];
            const auto naa = scsi::make_naa_identifier((i == 0 ? from : to).serial, 0x1405).value();
            cscd[0] = 0xe4;
            cscd[4] = 1;
            cscd[5] = 3;
            cscd[7] = low(naa.size());
            std::ranges::copy(naa, cscd + 8);
        }
        for (std::size_t i = 0; i < count; ++i) {
            std::uint8_t* const segment = &list[16 + 64 + 28 * i];
            segment[0] = 2;
            segment[3] = 24;
            segment[7] = 1;
            segment[11] = 8;
            segment[19] = segment[27] = low(8 * i);
        }
        std::vector<std::byte> bytes(list.size());
        std::ranges::transform(list, bytes.begin(), [](std::uint8_t b) { return std::byte{b}; });
        return bytes;
    }
    static std::optional<std::uint16_t> begin(End& at, const End& from, const End& to,
                                              std::size_t count = 1) {
        return at.model.write(cdb_copy(count), copy_list(from, to, count));
    }
    void turn() {
        for (End* end : {&a, &b}) {
            end->model.notify();
            end->queue.turn();
            end->model.take_kicks();
        }
    }
    void settle() {
        for (int i = 0; i < 200; ++i) {
            turn();
        }
    }
    /// ASC and ASCQ, or 0 when it is GOOD.
    static unsigned ending(End& at, std::optional<std::uint16_t> id) {
        const TcmuKernelModel::Result& result = at.model.result(id.value());
        return result.status == kGood
                   ? 0U
                   : unsigned{result.sense[12]} << 8U | unsigned{result.sense[13]};
    }
    unsigned run(End& at, const End& from, const End& to) {
        const auto id = begin(at, from, to);
        settle();
        return ending(at, id);
    }
    static bool is(const MemoryDevice& memory, std::uint64_t lba, std::uint64_t count, char value) {
        const auto bytes =
            const_cast<MemoryDevice&>(memory).bytes().subspan(lba * kBlock, count * kBlock);
        return std::ranges::all_of(bytes, [=](std::byte b) { return b == std::byte(value); });
    }
    void fill(End& end, char value) { std::ranges::fill(end.memory->bytes(), std::byte(value)); }

    std::shared_ptr<CopyDirectory> copies = std::make_shared<CopyDirectory>();
    End a{"a", "aaaa1111", copies};
    End b{"b", "bbbb2222", copies};
};

TEST_F(DeviceCopy, IsRefusedUnlessItIsAllowed) {
    fill(a, 'a');
    EXPECT_EQ(run(a, a, b), 0x0d02U);
    EXPECT_EQ(run(b, a, b), 0x0d02U);
    EXPECT_TRUE(b.memory->requests.empty());
}

TEST_F(DeviceCopy, GoesTheWayThatIsAllowedWhoeverIsAsked) {
    copies->allow({{"ram/a", "ram/b"}});
    fill(a, 'a');
    EXPECT_EQ(run(a, a, b), 0U);
    EXPECT_TRUE(is(*b.memory, 0, 8, 'a'));
    EXPECT_TRUE(is(*b.memory, 8, 8, 0));
    fill(a, 'A');
    EXPECT_EQ(run(b, a, b), 0U);
    EXPECT_TRUE(is(*b.memory, 0, 8, 'A'));
    EXPECT_EQ(run(a, b, a), 0x0d02U);
    EXPECT_EQ(run(b, b, a), 0x0d02U);
    EXPECT_EQ(a.memory->count(Kind::kWrite), 0U);
}

TEST_F(DeviceCopy, IsRefusedFromTheMomentThatThePairIsTakenBack) {
    copies->allow({{"ram/a", "ram/b"}});
    EXPECT_EQ(run(a, a, b), 0U);
    copies->allow({});
    EXPECT_EQ(run(a, a, b), 0x0d02U);
}

TEST_F(DeviceCopy, IsRefusedWhileAnEndIsReserved) {
    copies->allow({{"ram/a", "ram/b"}});
    b.reserved = true;
    EXPECT_EQ(run(a, a, b), 0x0d01U);
    b.reserved = false;
    a.reserved = true;
    EXPECT_EQ(run(b, a, b), 0x0d01U);
    EXPECT_EQ(b.memory->count(Kind::kWrite), 0U);
}

TEST_F(DeviceCopy, IsRefusedWhenTwoHaveTheSameName) {
    copies->allow({{"ram/a", "ram/b"}, {"ram/a", "ram/c"}});
    End clone("c", b.serial, copies);
    const auto id = begin(a, a, b);
    for (int i = 0; i < 100; ++i) {
        turn();
        clone.queue.turn();
    }
    EXPECT_EQ(ending(a, id), 0x0d02U);
    clone.begin_drain();
    clone.queue.settle();
}

TEST_F(DeviceCopy, WaitsForWritesThatTheDestinationHasTakenBefore) {
    // A successor would execute the write once more: not after the copy.
    copies->allow({{"ram/a", "ram/b"}});
    fill(a, 'a');
    b.medium->holds = true;
    const std::vector<std::byte> data(8 * kBlock, std::byte{'w'});
    (void)b.model.write(cdb_write10(0, 8), data);
    settle();
    ASSERT_TRUE(b.medium->is_holding());
    const auto id = begin(a, a, b);
    settle();
    EXPECT_EQ(b.memory->count(Kind::kWrite), 0U);
    b.medium->let_go(b.queue);
    settle();
    EXPECT_EQ(ending(a, id), 0U);
    EXPECT_TRUE(is(*b.memory, 0, 8, 'a'));
}

TEST_F(DeviceCopy, BothWaysAtOnceWaitForNobody) {
    copies->allow({{"ram/a", "ram/b"}, {"ram/b", "ram/a"}});
    a.memory->suspends = b.memory->suspends = true;
    const auto first = begin(a, a, b, 8);
    const auto second = begin(b, b, a, 8);
    const auto third = begin(a, b, a, 8);
    const auto fourth = begin(b, a, b, 8);
    settle();
    EXPECT_EQ(ending(a, first), 0U);
    EXPECT_EQ(ending(b, second), 0U);
    EXPECT_EQ(ending(a, third), 0U);
    EXPECT_EQ(ending(b, fourth), 0U);
}

TEST_F(DeviceCopy, EndsWhenTheDestinationGoesInTheMiddle) {
    copies->allow({{"ram/a", "ram/b"}});
    b.memory->suspends = true;
    const auto id = begin(a, a, b, 8);
    while (b.memory->count(Kind::kWrite) < 2) {
        turn();
    }
    b.begin_drain();
    settle();
    EXPECT_NE(ending(a, id), 0U);
    EXPECT_TRUE(b.quiet);
    EXPECT_LT(b.memory->count(Kind::kWrite), 8U);
    b.device.reset();  // nobody looks for it any more
    EXPECT_EQ(run(a, a, b), 0x0d02U);
}

}  // namespace
}  // namespace lunkit::tcmu

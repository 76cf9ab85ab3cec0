// SPDX-License-Identifier: Apache-2.0
// Each check finds the fault that it is there for, and none where there is none.
#include "cli/device_checks.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "lunkit/io_request.hpp"
#include "support/fake_queue.hpp"
#include "support/memory_device.hpp"
#include "support/run_task.hpp"

namespace lunkit::cli {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

enum class Fault : std::uint8_t {
    kNone,
    kOddMinBlock,
    kForgetsWrites,
    kLosesLastBlock,
    kIgnoresDataOffset,
    kStoresMebibyte,
    kZeroesOneBlockMore,
    kDiscardsNothing,
    kEverythingIsAHole,
    kExtentsWithoutEnd,
    kNamesNoOffset,
    kWritesInsteadOfOr,
    kCannotFlush,
    kCannotTellSpace,
    kMixesWrites,
};

/// A device in memory that does one thing wrong.
class FaultyDevice final : public BlockDevice {
  public:
    FaultyDevice(std::uint64_t size, Fault fault) : below_(size), fault_(fault) {
        below_.properties.can_tell_space = true;
    }

    [[nodiscard]] DeviceInfo info() const override {
        DeviceInfo info = below_.info();
        if (fault_ == Fault::kOddMinBlock) {
            info.min_block_size = 513;
        }
        return info;
    }
    Task<Status> read(Queue& queue, const IoRequest& io) override {
        IoRequest seen(io);
        if (fault_ == Fault::kIgnoresDataOffset) {
            seen.data_offset = 0;
        }
        co_return co_await below_.read(queue, seen);
    }
    Task<Status> write(Queue& queue, const IoRequest& io) override {
        IoRequest seen(io);
        if (fault_ == Fault::kForgetsWrites && ++writes_ % 3 == 0) {
            co_return Status();
        }
        if (fault_ == Fault::kLosesLastBlock && io.offset + io.length == below_.info().size) {
            seen.length -= 512;
            if (seen.length == 0) {
                co_return Status();
            }
        }
        if (fault_ == Fault::kStoresMebibyte) {
            seen.length = std::min(seen.length, kMiB);
        }
        if (fault_ == Fault::kMixesWrites) {
            co_return co_await write_in_halves(queue, io);
        }
        co_return co_await below_.write(queue, seen);
    }
    Task<Status> flush(Queue& queue) override {
        if (fault_ == Fault::kCannotFlush) {
            co_return failure(EIO, "no");
        }
        co_return co_await below_.flush(queue);
    }
    Task<Status> discard(Queue& queue, const IoRequest& io) override {
        if (fault_ == Fault::kDiscardsNothing) {
            co_return Status();
        }
        co_return co_await below_.discard(queue, io);
    }
    Task<Status> write_zeroes(Queue& queue, const IoRequest& io) override {
        IoRequest seen(io);
        if (fault_ == Fault::kZeroesOneBlockMore && io.range().end() < below_.info().size) {
            seen.length += 512;
        }
        co_return co_await below_.write_zeroes(queue, seen);
    }
    Task<Status> compare_and_write(Queue& queue, const IoRequest& io) override {
        Status status = co_await below_.compare_and_write(queue, io);
        if (fault_ == Fault::kNamesNoOffset && !status) {
            status.error().offset = 0;
        }
        co_return status;
    }
    Task<Status> or_write(Queue& queue, const IoRequest& io) override {
        if (fault_ == Fault::kWritesInsteadOfOr) {
            co_return co_await below_.write(queue, io);
        }
        co_return co_await below_.or_write(queue, io);
    }
    Task<Result<std::uint32_t>> extents(Queue& queue, const IoRequest& io,
                                        std::span<Extent> extents) override {
        Result<std::uint32_t> count = co_await below_.extents(queue, io, extents);
        if (fault_ == Fault::kEverythingIsAHole) {
            extents.front().flags |= LUNKIT_EXTENT_HOLE;
        }
        if (fault_ == Fault::kExtentsWithoutEnd) {
            extents.front().length += io.length;
        }
        co_return count;
    }
    Task<Result<Space>> space(Queue& queue) override {
        if (fault_ == Fault::kCannotTellSpace) {
            co_return failure(EIO, "no");
        }
        co_return co_await below_.space(queue);
    }

  private:
    // Others run between the two; every second write begins with the second.
    Task<Status> write_in_halves(Queue& queue, const IoRequest& io) {
        const std::span<std::byte> whole = below_.bytes().subspan(io.offset, io.length);
        const std::size_t half = io.length / 2 + 1;
        const bool backwards = ++writes_ % 2 == 0;
        for (const bool first : {!backwards, backwards}) {
            copy_from_iov(*io.data, io.data_offset + (first ? 0 : half),
                          first ? whole.first(half) : whole.subspan(half));
            (void)co_await queue.yield();
        }
        co_return Status();
    }

    test::MemoryDevice below_;
    const Fault fault_;
    unsigned writes_ = 0;
};

/// Whether that check finds something, after the one that writes what the others change.
bool finds(BlockDevice& device, const std::string& name) {
    test::FakeQueue queue;
    DeviceChecks checks(device, queue, 512, 1);
    bool found = false;
    for (const DeviceChecks::Check& check : DeviceChecks::all()) {
        const bool is_wanted = check.name == name;
        if (is_wanted || check.name == std::string("keeps what is written")) {
            const bool failed = !test::run_task(queue, (checks.*check.run)());
            found = found || (failed && is_wanted);
        }
    }
    return found;
}

struct Planted {
    Fault fault;
    const char* found_by;
};
class DeviceChecksFind : public testing::TestWithParam<Planted> {};

TEST_P(DeviceChecksFind, WhatIsPlanted) {
    FaultyDevice device(3 * kMiB, GetParam().fault);
    EXPECT_TRUE(finds(device, GetParam().found_by));
}

INSTANTIATE_TEST_SUITE_P(Faults, DeviceChecksFind,
                         testing::Values(Planted{Fault::kOddMinBlock, "tells what it is"},
                                         Planted{Fault::kForgetsWrites, "keeps what is written"},
                                         Planted{Fault::kForgetsWrites, "survives random requests"},
                                         Planted{Fault::kForgetsWrites, "serves many at once"},
                                         Planted{Fault::kLosesLastBlock, "reaches both ends"},
                                         Planted{Fault::kIgnoresDataOffset, "takes data in pieces"},
                                         Planted{Fault::kStoresMebibyte, "takes long transfers"},
                                         Planted{Fault::kZeroesOneBlockMore, "writes zeroes"},
                                         Planted{Fault::kDiscardsNothing, "discards"},
                                         Planted{Fault::kEverythingIsAHole, "tells extents"},
                                         Planted{Fault::kExtentsWithoutEnd, "tells extents"},
                                         Planted{Fault::kNamesNoOffset, "compares and writes"},
                                         Planted{Fault::kWritesInsteadOfOr, "sets bits"},
                                         Planted{Fault::kCannotFlush, "makes durable"},
                                         Planted{Fault::kCannotTellSpace, "tells its space"},
                                         Planted{Fault::kMixesWrites,
                                                 "serves overlapping writes"}));

TEST(DeviceChecks, FindNothingWrongWithAGoodDevice) {
    for (const std::uint64_t size : {2 * std::uint64_t{512}, 7 * std::uint64_t{512}, kMiB}) {
        FaultyDevice device(size, Fault::kNone);
        for (const DeviceChecks::Check& check : DeviceChecks::all()) {
            EXPECT_FALSE(finds(device, check.name)) << size << ": " << check.name;
        }
    }
}

TEST(DeviceChecks, LeaveOutWhatTheDeviceDoesNotOffer) {
    test::MemoryDevice device(kMiB);
    device.properties.can_discard = false;
    device.properties.discard_zeroes = false;
    device.properties.can_extents = false;
    test::FakeQueue queue;
    DeviceChecks checks(device, queue, 512, 1);
    std::set<std::string> left_out;
    for (const DeviceChecks::Check& check : DeviceChecks::all()) {
        const Verdict verdict = test::run_task(queue, (checks.*check.run)());
        ASSERT_TRUE(verdict) << check.name << ": " << verdict.error().what;
        if (!verdict->empty()) {
            left_out.insert(check.name);
        }
    }
    EXPECT_EQ(left_out, (std::set<std::string>{"discards", "tells extents", "tells its space"}));
}

TEST(DeviceChecks, SayWhereContentsDiffer) {
    FaultyDevice device(kMiB, Fault::kNone);
    test::FakeQueue queue;
    DeviceChecks checks(device, queue, 512, 1);
    ASSERT_TRUE(test::run_task(queue, (checks.*DeviceChecks::all()[1].run)()));
    std::vector<std::byte> byte(512, std::byte{0});
    const SingleData data(byte);
    ASSERT_TRUE(test::run_task(queue, device.write(queue, IoRequest(1024, data))));
    const Verdict verdict = test::run_task(queue, checks.holds_contents(device));
    ASSERT_FALSE(verdict);
    EXPECT_TRUE(verdict.error().what.starts_with("byte 1024 is 0x00, was written as 0x"))
        << verdict.error().what;
}

}  // namespace
}  // namespace lunkit::cli

// SPDX-License-Identifier: Apache-2.0
// Transfers and data syncs: the same on every engine.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "engines.hpp"
#include "lunkit/unique_fd.hpp"

namespace lunkit::core {
namespace {

/// A file without a name; tmpfs knows no NOWAIT, so there io_uring needs its workers.
UniqueFd make_file(bool on_tmpfs) {
    if (on_tmpfs) {
        return UniqueFd(::memfd_create("transfer_test", MFD_CLOEXEC));
    }
    const std::filesystem::path folder = std::filesystem::temp_directory_path();
    UniqueFd fd(::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    return fd ? std::move(fd) : make_file(true);
}

FileTransfer reading(int fd, std::uint64_t offset, std::span<const iovec> iov) {
    return {.fd = fd, .is_write = false, .offset = offset, .iov = iov};
}
FileTransfer writing(int fd, std::uint64_t offset, std::span<const iovec> iov) {
    return {.fd = fd, .is_write = true, .offset = offset, .iov = iov};
}

class EveryTransfer : public OnEveryEngine {
  protected:
    Outcome move(const FileTransfer& what) { return run(move_one(*queue_, what)); }

    static Task<Outcome> move_one(EngineQueue& queue, FileTransfer what) {
        const Outcome outcome = co_await transfer(queue, what);
        co_return outcome;
    }
    std::int64_t sync(int fd) { return run(sync_one(*queue_, fd)); }

    static Task<std::int64_t> sync_one(EngineQueue& queue, int fd) {
        const Outcome outcome = co_await data_sync(queue, fd);
        co_return outcome.result;
    }
};
LUNKIT_ON_EVERY_ENGINE(EveryTransfer);

TEST_P(EveryTransfer, WhatWasWrittenIsReadBackInOtherPieces) {
    for (const bool on_tmpfs : {true, false}) {
        const UniqueFd fd = make_file(on_tmpfs);
        std::string first = "abcdef";
        std::string second = "ghij";
        const std::array<iovec, 2> out{iovec{first.data(), 6}, iovec{second.data(), 4}};
        EXPECT_EQ(move(writing(fd.get(), 4096, out)).result, 10);
        std::string text(7, '?');
        const std::array<iovec, 2> in{iovec{text.data(), 3}, iovec{text.data() + 3, 4}};
        EXPECT_EQ(move(reading(fd.get(), 4098, in)).result, 7);
        EXPECT_EQ(text, "cdefghi");
    }
}

TEST_P(EveryTransfer, ReadAcrossTheEndIsShortAndBehindItEmpty) {
    const UniqueFd fd = make_file(false);
    ASSERT_EQ(::pwrite(fd.get(), "abcd", 4, 0), 4);
    std::array<char, 16> buffer{};
    const iovec iov{buffer.data(), buffer.size()};
    EXPECT_EQ(move(reading(fd.get(), 1, {&iov, 1})).result, 3);
    EXPECT_EQ(move(reading(fd.get(), 4, {&iov, 1})).result, 0);
}

TEST_P(EveryTransfer, ErrorIsTheOutcome) {
    std::array<char, 16> buffer{};
    const iovec iov{buffer.data(), buffer.size()};
    const UniqueFd read_only(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    EXPECT_EQ(move(writing(read_only.get(), 0, {&iov, 1})).result, -EBADF);
    const Outcome outcome = move(reading(-1, 0, {&iov, 1}));
    EXPECT_EQ(outcome.result, -EBADF);
    EXPECT_EQ(outcome.error_offset, LUNKIT_NO_OFFSET);
}

TEST_P(EveryTransfer, OffsetThatMeansTheFilesOwnPositionIsRefused) {
    const UniqueFd fd = make_file(false);
    std::array<char, 4> buffer{'a', 'b', 'c', 'd'};
    const iovec iov{buffer.data(), buffer.size()};
    EXPECT_EQ(move(writing(fd.get(), UINT64_MAX, {&iov, 1})).result, -EINVAL);
    EXPECT_EQ(::lseek(fd.get(), 0, SEEK_END), 0) << "nothing was written";
}

TEST_P(EveryTransfer, UnknownFlagIsRefusedByTheKernel) {
    const UniqueFd fd = make_file(false);
    std::array<char, 4> buffer{};
    const iovec iov{buffer.data(), buffer.size()};
    FileTransfer what = reading(fd.get(), 0, {&iov, 1});
    what.rw_flags = 1 << 30;
    EXPECT_EQ(move(what).result, -EOPNOTSUPP);
}

TEST_P(EveryTransfer, WriteThroughFlagIsAccepted) {
    const UniqueFd fd = make_file(false);
    std::array<char, 4> buffer{'a', 'b', 'c', 'd'};
    const iovec iov{buffer.data(), buffer.size()};
    FileTransfer what = writing(fd.get(), 0, {&iov, 1});
    what.rw_flags = RWF_DSYNC;
    EXPECT_EQ(move(what).result, 4);
}

TEST_P(EveryTransfer, MorePiecesThanOneCallTakesAreShort) {
    const UniqueFd fd = make_file(true);
    std::string text(IOV_MAX + 10, 'x');
    std::vector<iovec> iov;
    for (char& character : text) {
        iov.push_back({&character, 1});
    }
    EXPECT_EQ(move(writing(fd.get(), 0, iov)).result, IOV_MAX);
}

TEST_P(EveryTransfer, DataSyncTellsSuccessAndFailure) {
    const UniqueFd fd = make_file(false);
    ASSERT_EQ(::pwrite(fd.get(), "abcd", 4, 0), 4);
    EXPECT_EQ(sync(fd.get()), 0);
    EXPECT_EQ(sync(-1), -EBADF);
}

/// One of many: writes its number all over its block, reads it back.
Task<bool> write_and_verify(EngineQueue& queue, int fd, std::uint64_t number, const void* lane) {
    constexpr std::size_t kBlock = 512;
    std::array<std::uint64_t, kBlock / 8> block{};
    block.fill(number);
    const iovec iov{block.data(), kBlock};
    FileTransfer write = writing(fd, number * kBlock, {&iov, 1});
    write.lane = lane;
    const Outcome written = co_await transfer(queue, write);
    block.fill(0);
    FileTransfer read = reading(fd, number * kBlock, {&iov, 1});
    read.lane = lane;
    read.direct = number % 2 == 0;
    const Outcome got = co_await transfer(queue, read);
    for (const std::uint64_t word : block) {
        if (word != number) {
            co_return false;
        }
    }
    co_return written.result == kBlock&& got.result == kBlock;
}

struct Tally {
    int left;
    int good = 0;
};

Detached count_one(EngineQueue& queue, Task<bool> task, Tally& tally) {
    const bool good = co_await task;
    tally.good += good ? 1 : 0;
    if (--tally.left == 0) {
        queue.stop();
    }
}

TEST_P(EveryTransfer, FarMoreThanTheRingHoldsAreInFlight) {
    constexpr int kTransfers = 1500;
    const std::array<char, 3> lanes{};
    const UniqueFd fd = make_file(true);
    Tally tally{kTransfers};
    for (int i = 0; i < kTransfers; ++i) {
        const void* lane = &lanes[static_cast<std::size_t>(i) % lanes.size()];
        count_one(*queue_, write_and_verify(*queue_, fd.get(), static_cast<std::uint64_t>(i), lane),
                  tally);
    }
    queue_->run();
    EXPECT_EQ(tally.good, kTransfers);
}

TEST_P(EveryTransfer, QueueThatGoesWaitsForTransfersInFlight) {
    const UniqueFd fd = make_file(true);
    std::vector<char> text(1 << 20, 'x');
    const iovec iov{text.data(), text.size()};
    Counted completion;
    Counted start([&] {
        ASSERT_EQ(queue_->submit_transfer(writing(fd.get(), 0, {&iov, 1}), &completion),
                  LUNKIT_PENDING);
        queue_->stop();
    });
    queue_->post(&start);
    queue_->run();
    const int calls = completion.calls;  // it may have ended before run() did
    queue_.reset();
    EXPECT_EQ(completion.calls, calls);
    EXPECT_EQ(::lseek(fd.get(), 0, SEEK_END), 1 << 20);
}

}  // namespace
}  // namespace lunkit::core

// SPDX-License-Identifier: Apache-2.0
// What only the io_uring engine does: lanes in front of the ring.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "core/driver_command.hpp"
#include "engines.hpp"
#include "lunkit/unique_fd.hpp"

namespace lunkit::core {
namespace {

/// Reads of an empty pipe stay in flight until somebody writes. (io_uring reads a pipe with an
/// offset, which preadv2 refuses: hence this engine only.)
class UringLanes : public ::testing::Test {
  protected:
    void SetUp() override {
        auto made = UringQueue::create(pool_, 0us);
        if (!made) {
            GTEST_SKIP() << made.error().what;
        }
        queue_ = std::move(*made);
        std::array<int, 2> ends{};
        ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
        reader_.reset(ends[0]);
        writer_.reset(ends[1]);
    }

    struct Read {
        UniqueFd fd;
        char byte = 0;
        iovec iov{};
        Counted completion;
    };
    /// Starts `count` reads of the pipe, each with a descriptor of its own.
    void start_reads(std::size_t count, bool direct) {
        left_ = count;
        reads_ = std::vector<Read>(count);
        for (Read& read : reads_) {
            read.fd.reset(::dup(reader_.get()));
            read.iov = {&read.byte, 1};
            read.completion.then = [this] {
                if (--left_ == 0) {
                    queue_->stop();
                }
            };
            const FileTransfer what{
                .fd = read.fd.get(), .iov = {&read.iov, 1}, .lane = &reads_, .direct = direct};
            ASSERT_EQ(queue_->submit_transfer(what, &read.completion), LUNKIT_PENDING);
        }
        // The kernel has seen what the queue gave it, once the loop has slept.
        Counted timer([this] { queue_->stop(); });
        ASSERT_EQ(queue_->submit_timer(1'000'000, &timer), LUNKIT_PENDING);
        queue_->run();
        ASSERT_EQ(left_, count);
    }
    void fill_pipe() {
        const std::string bytes(reads_.size(), 'x');
        ASSERT_EQ(::write(writer_.get(), bytes.data(), bytes.size()),
                  static_cast<ssize_t>(bytes.size()));
    }

    WorkerPool pool_;
    UniqueFd reader_;
    UniqueFd writer_;
    std::vector<Read> reads_;
    std::size_t left_ = 0;
    std::unique_ptr<EngineQueue> queue_;
};

TEST_F(UringLanes, KeepBufferedTransfersBeyondSixteenAwayFromTheRing) {
    start_reads(17, false);
    reads_[15].fd.reset();  // the kernel holds the file already
    reads_[16].fd.reset();  // still waits in its lane, and will find its descriptor closed
    fill_pipe();
    queue_->run();
    EXPECT_EQ(reads_[15].completion.result, 1);
    EXPECT_EQ(reads_[16].completion.result, -EBADF);
}

TEST_F(UringLanes, LetMoreDirectTransfersOntoTheRing) {
    start_reads(128, true);
    reads_[127].fd.reset();
    fill_pipe();
    queue_->run();
    EXPECT_EQ(reads_[127].completion.result, 1);
}

TEST_F(UringLanes, StuckOneLeavesTheOthersAlone) {
    start_reads(300, false);
    const UniqueFd file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    std::array<char, 4> magic{};
    const iovec iov{magic.data(), magic.size()};
    const FileTransfer what{.fd = file.get(), .iov = {&iov, 1}, .lane = &file};
    Counted read([this] { queue_->stop(); });
    ASSERT_EQ(queue_->submit_transfer(what, &read), LUNKIT_PENDING);
    queue_->run();
    EXPECT_EQ(read.result, 4);
    EXPECT_EQ(left_, 300U);
    fill_pipe();
    queue_->run();
    for (const Read& each : reads_) {
        EXPECT_EQ(each.completion.calls, 1);
        EXPECT_EQ(each.completion.result, 1);
    }
}

TEST(UringQueue, SubmitsAndWaitsWithOneSystemCall) {
    WorkerPool pool;
    auto made = UringQueue::create(pool, 0us);
    if (!made) {
        GTEST_SKIP() << made.error().what;
    }
    EngineQueue& queue = **made;
    const UniqueFd file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    const auto task = [](EngineQueue& on, int fd, int reads) -> Task<void> {
        std::array<char, 4> magic{};
        const iovec iov{magic.data(), magic.size()};
        for (int i = 0; i < reads; ++i) {
            const FileTransfer what{.fd = fd, .iov = {&iov, 1}};
            const Outcome outcome = co_await transfer(on, what);
            EXPECT_EQ(outcome.result, 4);
        }
    };
    test::run_task(queue, task(queue, file.get(), 1));
    const EngineStats before = queue.stats();
    test::run_task(queue, task(queue, file.get(), 100));
    EXPECT_LE(queue.stats().system_calls - before.system_calls, 102U);
    EXPECT_GE(queue.stats().system_calls - before.system_calls, 100U);
}

/// Runs `call` on a thread that can have no other thread made: that of a user with too many.
void run_without_new_threads(const std::function<void()>& call) {
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_NPROC, &before), 0);
    std::thread thread([&] {
        constexpr uid_t kNobody = 65534;
        const rlimit none{0, before.rlim_max};
        if (::geteuid() == 0) {  // root has no limit; the call is this thread's alone
            ASSERT_EQ(::syscall(SYS_setresuid, kNobody, kNobody, kNobody), 0);
        }
        ASSERT_EQ(::setrlimit(RLIMIT_NPROC, &none), 0);
        call();
    });
    thread.join();
    EXPECT_EQ(::setrlimit(RLIMIT_NPROC, &before), 0);
}

// A failed fdatasync would be the end of the file, and this one has not even begun.
TEST(UringQueue, WhatTheKernelHasNoThreadForIsDoneByAWorker) {
    const UniqueFd file(::open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    ASSERT_TRUE(file);
    run_without_new_threads([&] {
        WorkerPool pool;
        auto made = UringQueue::create(pool, 0us);
        if (!made) {
            GTEST_SKIP() << made.error().what;
        }
        const auto task = [](EngineQueue& queue, int fd) -> Task<void> {
            std::array<char, 4> bytes{'a', 'b', 'c', 'd'};
            const iovec iov{bytes.data(), bytes.size()};
            const FileTransfer what{
                .fd = fd, .is_write = true, .rw_flags = RWF_DSYNC, .offset = 2, .iov = {&iov, 1}};
            const Outcome written = co_await transfer(queue, what);
            EXPECT_EQ(written.result, 4);
            const Outcome synced = co_await data_sync(queue, fd);
            EXPECT_EQ(synced.result, 0);
            const Outcome refused = co_await data_sync(queue, -1);
            EXPECT_EQ(refused.result, -EBADF);
        };
        test::run_task(**made, task(**made, file.get()));
    });
    std::array<char, 8> bytes{};
    EXPECT_EQ(::pread(file.get(), bytes.data(), bytes.size(), 0), 6);
    EXPECT_EQ(std::string(bytes.data() + 2, 4), "abcd");
}

// No driver of a container takes commands: that they arrive is shown by who refuses them.
TEST(UringCommand, CompletesWithTheDriversAnswer) {
    WorkerPool pool;
    auto queue = UringQueue::create(pool, 0us);
    if (!queue) {
        GTEST_SKIP() << queue.error().what;
    }
    const UniqueFd file(::memfd_create("no driver", MFD_CLOEXEC));
    Counted completion([&] { (*queue)->stop(); });
    const DriverCommand command{.fd = file.get(), .op = 1, .payload = {}};
    ASSERT_EQ((*queue)->submit_command(command, &completion), LUNKIT_PENDING);
    (*queue)->run();
    EXPECT_EQ(completion.calls, 1);
    EXPECT_EQ(completion.result, -EOPNOTSUPP);
}

TEST(UringCommand, ThreadsHaveNone) {
    WorkerPool pool;
    const auto queue = make_queue(EngineChoice::kThreads, pool, 0us);
    ASSERT_TRUE(queue);
    Counted completion;
    EXPECT_EQ((*queue)->submit_command({}, &completion), -EOPNOTSUPP);
}

TEST(UringCommand, LongOneWaitsForItsAnswer) {
    const UniqueFd file(::memfd_create("no driver", MFD_CLOEXEC));
    const std::array<std::byte, 32> payload{};
    const auto answer = run_driver_command(file.get(), 1, payload);
    if (!answer && (answer.error().code == EPERM || answer.error().code == ENOSYS)) {
        GTEST_SKIP() << answer.error().what;
    }
    ASSERT_TRUE(answer) << answer.error().what;
    EXPECT_EQ(*answer, -EOPNOTSUPP);
    const std::array<std::byte, kLongPayload + 1> too_long{};
    EXPECT_EQ(run_driver_command(file.get(), 1, too_long).error().code, EINVAL);
}

}  // namespace
}  // namespace lunkit::core

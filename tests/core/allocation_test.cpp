// SPDX-License-Identifier: Apache-2.0
// The engines in the steady state allocate nothing.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include <array>
#include <cstddef>

#include "engines.hpp"
#include "lunkit/unique_fd.hpp"
#include "support/counted_new.hpp"

namespace lunkit::core {
namespace {

class SteadyState : public ::testing::TestWithParam<Engine> {};
LUNKIT_ON_EVERY_ENGINE(SteadyState);

struct Progress {
    int left = 0;
};

Detached one_of_each(EngineQueue& queue, int file, int ready_fd, std::uint64_t offset,
                     Progress& progress) {
    std::array<char, 512> block{};
    const iovec iov{block.data(), block.size()};
    const FileTransfer write{
        .fd = file, .is_write = true, .offset = offset, .iov = {&iov, 1}, .lane = &progress};
    co_await transfer(queue, write);
    co_await data_sync(queue, file);
    co_await queue.poll(ready_fd, POLLIN);
    co_await queue.sleep(std::chrono::microseconds(1));
    co_await queue.offload(&queue, [] { return std::int64_t{0}; });
    if (--progress.left == 0) {
        queue.stop();
    }
}

void serve_a_batch(EngineQueue& queue, int file, int ready_fd) {
    constexpr int kRequests = 20;
    Progress progress{kRequests};
    for (std::uint64_t i = 0; i < kRequests; ++i) {
        one_of_each(queue, file, ready_fd, i * 512, progress);
    }
    queue.run();
}

TEST_P(SteadyState, AllocatesNothing) {
#if defined(__SANITIZE_ADDRESS__)
    GTEST_SKIP() << "under ASan each coroutine frame comes from the heap";
#endif
    const Engine& engine = GetParam();
    WorkerPool pool(1);  // its threads are made in the first batch, not later
    auto made = engine.choice == EngineChoice::kThreads
                    ? ThreadsQueue::create(pool, 0us)
                    : UringQueue::create(pool, 0us, engine.options);
    if (!made) {
        GTEST_SKIP() << made.error().what;
    }
    const UniqueFd file(::memfd_create("allocation_test", MFD_CLOEXEC));
    const UniqueFd ready(::eventfd(1, EFD_CLOEXEC));
    // The first batches allocate, and a later one may where more happens to be in flight at once.
    int without = 0;
    for (int batches = 0; without < 10 && batches < 200; ++batches) {
        const std::size_t before = test::allocations.load();
        serve_a_batch(**made, file.get(), ready.get());
        without = test::allocations.load() == before ? without + 1 : 0;
    }
    EXPECT_EQ(without, 10) << "batches in a row";
}

}  // namespace
}  // namespace lunkit::core

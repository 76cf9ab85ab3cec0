// SPDX-License-Identifier: Apache-2.0
// Filters allocate nothing in the steady state.
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <memory>
#include <utility>

#include "core/threads_queue.hpp"
#include "core/worker_pool.hpp"
#include "filters/filter_stack.hpp"
#include "support/counted_new.hpp"
#include "support/memory_device.hpp"

namespace lunkit::filters {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): 5ms

Detached read_block(core::EngineQueue& queue, BlockDevice& device, int& left, int& failures) {
    std::array<std::byte, 512> block{};
    const SingleData data(block);
    const IoRequest io(0, data);
    const Status status = co_await device.read(queue, io);
    failures += status ? 0 : 1;
    if (--left == 0) {
        queue.stop();
    }
}

TEST(Filters, AllocateNothing) {
#if defined(__SANITIZE_ADDRESS__)
    GTEST_SKIP() << "under ASan each coroutine frame comes from the heap";
#endif
    core::WorkerPool pool(1);
    const auto queue = core::ThreadsQueue::create(pool, 0us);
    ASSERT_TRUE(queue);
    auto memory = std::make_unique<test::MemoryDevice>(1 << 20);
    test::MemoryDevice& storage = *memory;
    auto config = FilterConfig::parse(
        "d;filter.offset=4096;filter.delay.read=10us;filter.throttle.iops=100000;"
        "filter.error.op=write;filter.error.file=/nowhere");
    ASSERT_TRUE(config);
    const auto device =
        FilterStack(*std::move(config), {}).put_in_front_of(std::move(memory), 512, 0);
    ASSERT_TRUE(device);
    int failures = 0;
    int without = 0;
    for (int batches = 0; without < 10 && batches < 200; ++batches) {
        storage.requests.clear();
        const std::size_t before = test::allocations.load();
        int left = 20;
        for (int i = 0; i < 20; ++i) {
            read_block(**queue, **device, left, failures);
        }
        (*queue)->run();
        without = test::allocations.load() == before ? without + 1 : 0;
    }
    EXPECT_EQ(without, 10) << "batches in a row";
    EXPECT_EQ(failures, 0);
}

}  // namespace
}  // namespace lunkit::filters

// SPDX-License-Identifier: Apache-2.0
// READ and WRITE allocate nothing in the steady state.
#include "logical_unit_fixture.hpp"
#include "support/counted_new.hpp"

namespace lunkit::scsi::test {
namespace {

/// Whether frames go to the heap each time: so with AddressSanitizer.
bool frames_are_pooled() {
    FramePool::local().release(FramePool::local().allocate(64), 64);
    const std::size_t before = lunkit::test::allocations;
    FramePool::local().release(FramePool::local().allocate(64), 64);
    return lunkit::test::allocations == before;
}

class Allocation : public LogicalUnitTest {
  protected:
    std::size_t during(Bytes cdb, std::uint32_t count) {
        Exchange exchange(std::move(cdb), blocks(count, 0x11));
        device.requests.reserve(16);
        run_task(queue, unit->execute(queue, exchange.command));
        const std::size_t before = lunkit::test::allocations;
        run_task(queue, unit->execute(queue, exchange.command));
        const std::size_t made = lunkit::test::allocations - before;
        EXPECT_TRUE(is_good(reply_of(exchange)));
        return made;
    }
};

TEST_F(Allocation, ReadMakesNone) {
    if (!frames_are_pooled()) {
        GTEST_SKIP() << "frames are not pooled in this build";
    }
    EXPECT_EQ(during(cdb10(0x28, 0, 0, 8), 8), 0U);
    EXPECT_EQ(during(cdb16(0x88, 0, 0, 8), 8), 0U);
}

TEST_F(Allocation, WriteMakesNone) {
    if (!frames_are_pooled()) {
        GTEST_SKIP() << "frames are not pooled in this build";
    }
    options.write_cache = false;  // durable: the fake keeps no list of what is not
    restart();
    EXPECT_EQ(during(cdb10(0x2a, 0, 0, 8), 8), 0U);
    EXPECT_EQ(during(cdb16(0x8a, 0, 0, 8), 8), 0U);
}

}  // namespace
}  // namespace lunkit::scsi::test

// SPDX-License-Identifier: Apache-2.0
#include "filters/delay.hpp"

#include "filter_rig.hpp"

namespace lunkit::filters {

class Delay : public FilterRig {
  protected:
    DelayFilter device_{memory(), {.read = 5ms, .write = 700ms, .flush = 3s}, world()};
};

TEST_F(Delay, EachKindOfRequestBeginsSoMuchLater) {
    ASSERT_TRUE(read(device_));
    EXPECT_EQ(5ms, queue_.now());
    ASSERT_TRUE(write(device_));
    EXPECT_EQ(705ms, queue_.now());
    ASSERT_TRUE(run(device_.flush(queue_)));
    EXPECT_EQ(3705ms, queue_.now());
    ASSERT_TRUE(run(device_.discard(queue_, IoRequest(0, 512))));
    EXPECT_EQ(4405ms, queue_.now());
    ASSERT_TRUE(run(device_.write_zeroes(queue_, IoRequest(0, 512))));
    EXPECT_EQ(5105ms, queue_.now());
}

TEST_F(Delay, RequestsDoNotWaitForEachOther) {
    StartedRead one(512);
    StartedRead two(512);
    one.start(queue_, device_);
    two.start(queue_, device_);
    EXPECT_EQ(0U, memory_.count(Kind::kRead)) << "it waits in front of the device";
    queue_.advance(5ms);
    queue_.run_all();
    EXPECT_TRUE(one.outcome && two.outcome);
}

TEST_F(Delay, TheStopOfTheDaemonEndsIt) {
    handing_over_ = true;
    ASSERT_TRUE(run(device_.flush(queue_)));
    EXPECT_EQ(0ns, queue_.now());
}

TEST_F(Delay, CompareAndWriteStaysWhole) {
    std::vector<std::byte> bytes(1024);
    bytes[512] = std::byte{7};
    const SingleData data(bytes);
    std::uint64_t progress = 0;
    IoRequest io(0, data);
    io.length = 512;
    io.progress = &progress;
    ASSERT_TRUE(run(device_.compare_and_write(queue_, io)));
    EXPECT_EQ(1U, progress);
    EXPECT_EQ(std::byte{7}, memory_.bytes()[0]);
    EXPECT_EQ(1U, memory_.count(Kind::kCompareAndWrite));
    EXPECT_EQ(0U, memory_.count(Kind::kWrite));
    const auto again = run(device_.or_write(queue_, io));
    EXPECT_TRUE(again);
    EXPECT_EQ(1U, memory_.count(Kind::kOrWrite));
}

TEST_F(Delay, FlagsPassThrough) {
    ASSERT_TRUE(write(device_, 512, 512, LUNKIT_IO_FUA));
    EXPECT_EQ(LUNKIT_IO_FUA, memory_.requests.back().flags);
    ASSERT_TRUE(run(device_.write_zeroes(queue_, IoRequest(0, 512, LUNKIT_IO_MAY_UNMAP))));
    EXPECT_EQ(LUNKIT_IO_MAY_UNMAP, memory_.requests.back().flags);
}

}  // namespace lunkit::filters

// SPDX-License-Identifier: Apache-2.0
#include "filters/trace.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <string_view>

#include <gmock/gmock.h>

#include "core/log.hpp"
#include "filter_rig.hpp"

namespace lunkit::filters {

using ::testing::ElementsAre;

namespace {

std::vector<std::string> kept;  // NOLINT: a sink has no context

void keep(core::LogLevel level, const core::LogSubject& subject, std::string_view message) {
    EXPECT_EQ(core::LogLevel::kInfo, level);
    kept.push_back(fmt::format("{}: {}", subject.device, message));
}

}  // namespace

class Trace : public FilterRig {
  protected:
    Trace() {
        kept.clear();
        core::set_log_sink(&keep);
        Surroundings around = world();
        around.label = [] { return std::string("disk1"); };
        device_ = std::make_unique<TraceFilter>(memory(), std::move(around));
    }
    ~Trace() override { core::set_log_sink(nullptr); }
    std::unique_ptr<BlockDevice> device_;
};

TEST_F(Trace, ALineForEachRequest) {
    ASSERT_TRUE(read(*device_, 4096, 1024));
    ASSERT_TRUE(write(*device_, 512, 512, LUNKIT_IO_FUA));
    ASSERT_TRUE(run(device_->flush(queue_)));
    ASSERT_TRUE(run(device_->discard(queue_, IoRequest(0, 512, LUNKIT_IO_ANCHOR))));
    ASSERT_TRUE(run(device_->write_zeroes(
        queue_, IoRequest(0, 512, LUNKIT_IO_MAY_UNMAP | LUNKIT_IO_NO_FALLBACK))));
    EXPECT_THAT(kept,
                ElementsAre("disk1: read 1024 bytes at 4096, 0 us",
                            "disk1: write 512 bytes at 512 fua, 0 us", "disk1: flush, 0 us",
                            "disk1: discard 512 bytes at 0 anchor, 0 us",
                            "disk1: write_zeroes 512 bytes at 0 may-unmap no-fallback, 0 us"));
}

TEST_F(Trace, OthersToo) {
    std::vector<std::byte> bytes(1024);
    const SingleData data(bytes);
    IoRequest io(0, data);
    io.length = 512;
    std::vector<Extent> extents(1);
    ASSERT_TRUE(run(device_->compare_and_write(queue_, io)));
    ASSERT_TRUE(run(device_->or_write(queue_, io)));
    ASSERT_TRUE(test::run_task(queue_, device_->extents(queue_, io, extents)));
    ASSERT_TRUE(test::run_task(queue_, device_->space(queue_)));
    ASSERT_TRUE(run(device_->manage_zones(queue_, ZoneAction::kReset, io)));
    EXPECT_THAT(kept, ElementsAre("disk1: compare_and_write 512 bytes at 0, 0 us",
                                  "disk1: or_write 512 bytes at 0, 0 us",
                                  "disk1: extents 512 bytes at 0, 0 us", "disk1: space, 0 us",
                                  "disk1: reset_zones 512 bytes at 0, 0 us"));
}

TEST_F(Trace, TellsErrors) {
    memory_.fail_next(Kind::kRead, Error{ENOSPC});
    EXPECT_EQ(ENOSPC, read(*device_).error().code);
    EXPECT_EQ(EOPNOTSUPP, device_->resize(4096).error().code);
    EXPECT_EQ(EOPNOTSUPP, device_->set_write_cache(false).error().code);
    EXPECT_THAT(kept,
                ElementsAre("disk1: read 512 bytes at 0: No space left on device, 0 us",
                            "disk1: resize to 4096 bytes: Operation not supported, 0 us",
                            "disk1: switch the write cache off: Operation not supported, 0 us"));
}

TEST_F(Trace, TellsTheTimeItTookBelow) {
    memory_.suspends = true;
    queue_.advance(1s);
    StartedRead one(512);
    one.start(queue_, *device_);
    EXPECT_TRUE(kept.empty()) << "it has not ended";
    queue_.advance(2ms);
    queue_.run_all();
    EXPECT_THAT(kept, ElementsAre("disk1: read 512 bytes at 0, 2000 us"));
}

}  // namespace lunkit::filters

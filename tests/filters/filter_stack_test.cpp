// SPDX-License-Identifier: Apache-2.0
#include "filters/filter_stack.hpp"

#include <cerrno>

#include "filter_rig.hpp"

namespace lunkit::filters {

class Stack : public FilterRig {
  protected:
    FilterStack stack(const std::string& config) {
        auto parsed = FilterConfig::parse(config);
        EXPECT_TRUE(parsed) << (parsed ? "" : parsed.error().what);
        return FilterStack(*std::move(parsed), world());
    }
};

TEST_F(Stack, WithoutFiltersTheDeviceIsTheHandlersOwn) {
    const auto device = stack("d").put_in_front_of(memory(), 512, 0);
    ASSERT_TRUE(device);
    EXPECT_EQ(&memory_, device->get());
}

TEST_F(Stack, TheFirstNamedIsNearestToTheHandler) {
    // What fails above the delay does not wait; what fails below it does.
    const auto error_on_top =
        stack("d;filter.delay.read=5ms;filter.error.rate=100%").put_in_front_of(memory(), 512, 0);
    EXPECT_EQ(EIO, read(**error_on_top).error().code);
    EXPECT_EQ(0ns, queue_.now());
    const auto delay_on_top =
        stack("d;filter.error.rate=100%;filter.delay.read=5ms")
            .put_in_front_of(std::make_unique<test::MemoryDevice>(kSize), 512, 0);
    EXPECT_EQ(EIO, read(**delay_on_top).error().code);
    EXPECT_EQ(5ms, queue_.now());
}

TEST_F(Stack, WhatTheDeviceIsPassesThrough) {
    memory_.properties.read_only = true;
    memory_.properties.write_cache = false;
    memory_.properties.parallel = true;
    const auto device = stack("d;filter.delay.read=5ms;filter.error.rate=1%;filter.throttle.iops=5")
                            .put_in_front_of(memory(), 512, 0);
    const DeviceInfo info = (*device)->info();
    EXPECT_TRUE(info.read_only && !info.write_cache && info.parallel && info.can_extents);
    EXPECT_EQ(kSize, info.size);
    EXPECT_EQ(EOPNOTSUPP, (*device)->resize(2 * kSize).error().code);
    EXPECT_TRUE((*device)->set_write_cache(false));
    EXPECT_EQ("this handler cannot switch its write cache",
              (*device)->set_write_cache(true).error().what);
}

TEST_F(Stack, QuestionsPassAtOnce) {
    memory_.properties.can_tell_space = true;
    const auto device =
        stack("d;filter.delay.read=5ms;filter.delay.write=5ms;filter.error.rate=100%")
            .put_in_front_of(memory(), 512, 0);
    std::vector<Extent> extents(1);
    EXPECT_TRUE(test::run_task(queue_, (*device)->extents(queue_, IoRequest(0, 512), extents)));
    EXPECT_TRUE(test::run_task(queue_, (*device)->space(queue_)));
    EXPECT_EQ(0ns, queue_.now());
}

TEST_F(Stack, ThePartAsksTheHandlerForAllItHas) {
    EXPECT_EQ(4096U, stack("d;filter.delay.read=5ms").size_below(4096));
    EXPECT_EQ(0U, stack("d;filter.offset=512").size_below(4096));
}

TEST_F(Stack, ChangesOfTheSizeAreThoseOfThePart) {
    std::uint64_t told = 0;
    const FilterStack parts = stack("d;filter.offset=4096");
    const auto changed = parts.size_changed([&told](std::uint64_t size) { told = size; });
    const auto device = parts.put_in_front_of(memory(), 512, 0);
    ASSERT_TRUE(device);
    changed(2 * kSize);
    EXPECT_EQ(2 * kSize - 4096, told);
    EXPECT_EQ(told, (*device)->info().size);
    parts.size_changed({})(kSize);  // nobody to tell
    EXPECT_EQ(kSize - 4096, (*device)->info().size);
}

TEST_F(Stack, ATriggerFileThatTheDaemonMayNotLookForIsRefused) {
    file_error_ = EPERM;
    const auto device = stack("d;filter.error.file=/etc/x").put_in_front_of(memory(), 512, 0);
    ASSERT_FALSE(device);
    EXPECT_EQ(EPERM, device.error().code);
}

}  // namespace lunkit::filters

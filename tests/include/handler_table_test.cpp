// SPDX-License-Identifier: Apache-2.0
// What the C++ face puts into a handler's table for what a class overrides and says.
#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "lunkit/handler.hpp"

namespace lunkit::test {

namespace {

class Blocking : public BlockingDevice {
  public:
    static Result<std::unique_ptr<Blocking>> open(const OpenRequest& /*request*/) {
        return std::make_unique<Blocking>();
    }
    [[nodiscard]] DeviceInfo info() const override { return {.size = 4096}; }
    Status read(std::byte* /*to*/, std::uint64_t /*length*/, std::uint64_t /*offset*/) override {
        return {};
    }
    Status write(const std::byte* /*from*/, std::uint64_t /*length*/,
                 std::uint64_t /*offset*/) override {
        return {};
    }
};

class BlockingWithFlush final : public Blocking {
  public:
    static Result<std::unique_ptr<BlockingWithFlush>> open(const OpenRequest& /*request*/) {
        return std::make_unique<BlockingWithFlush>();
    }
    Status flush() override { return {}; }
};

class Discarding : public BlockDevice {
  public:
    static Result<std::unique_ptr<Discarding>> open(const OpenRequest& request) {
        return std::make_unique<Discarding>(request.config == "says so");
    }
    explicit Discarding(bool says_so) : says_so_(says_so) {}
    [[nodiscard]] DeviceInfo info() const override {
        return {.size = 4096, .can_discard = says_so_};
    }
    Task<Status> read(Queue& /*queue*/, const IoRequest& /*io*/) override { co_return Status{}; }
    Task<Status> write(Queue& /*queue*/, const IoRequest& /*io*/) override { co_return Status{}; }
    Task<Status> flush(Queue& /*queue*/) override { co_return Status{}; }
    Task<Status> discard(Queue& /*queue*/, const IoRequest& /*io*/) override { co_return Status{}; }

  private:
    bool says_so_;
};

template <typename Device>
const lunkit_handler& table_of() {
    static const lunkit_host host{};
    return *detail::HandlerTable<Device>::entry(&host, "test", "", "");
}

/// LUNKIT_DEVICE_* of the device that `config` opens.
std::uint32_t flags_of(const lunkit_handler& table, const char* config) {
    lunkit_device_info info{};
    info.struct_size = sizeof info;
    std::array<char, 64> error{};
    lunkit_open open{};
    open.struct_size = sizeof open;
    open.config = config;
    open.name = "disk";
    open.info = &info;
    open.error = error.data();
    open.error_size = error.size();
    void* device = nullptr;
    EXPECT_EQ(table.open(&open, &device), 0) << error.data();
    table.close(device);
    return info.flags;
}

}  // namespace

// The runner refuses a device with a write cache and no flush: a flush that does nothing would pass
// for one.
TEST(HandlerTable, ABlockingDeviceHasAFlushOnlyIfItHasOne) {
    EXPECT_EQ(table_of<Blocking>().flush_blocking, nullptr);
    EXPECT_NE(table_of<BlockingWithFlush>().flush_blocking, nullptr);
    EXPECT_NE(flags_of(table_of<Blocking>(), "") & LUNKIT_DEVICE_WRITE_CACHE, 0U);
}

TEST(HandlerTable, WhatIsOverriddenIsAbsentUntilTheInfoSaysSo) {
    const lunkit_handler& table = table_of<Discarding>();
    EXPECT_NE(table.discard, nullptr);
    EXPECT_NE(flags_of(table, "") & LUNKIT_DEVICE_NO_DISCARD, 0U);
    EXPECT_EQ(flags_of(table, "says so") & LUNKIT_DEVICE_NO_DISCARD, 0U);
    EXPECT_EQ(table.extents, nullptr);
}

}  // namespace lunkit::test

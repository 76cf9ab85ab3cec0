// SPDX-License-Identifier: Apache-2.0
// What the C++ face puts into a handler's table for what a class overrides and says.
#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "lunkit/handler.hpp"
#include "support/fake_queue.hpp"

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

/// Ends its reads at once, its writes later: well at the offset 0, else with that errno.
class Deferring final : public BlockDevice {
  public:
    static Result<std::unique_ptr<Deferring>> open(const OpenRequest& /*request*/) {
        return std::make_unique<Deferring>();
    }
    [[nodiscard]] DeviceInfo info() const override { return {.size = 4096}; }
    Task<Status> read(Queue& /*queue*/, const IoRequest& io) override { co_return ending(io); }
    Task<Status> write(Queue& queue, const IoRequest& io) override {
        co_await queue.yield();
        co_await queue.yield();
        co_return ending(io);
    }
    Task<Status> flush(Queue& /*queue*/) override { co_return Status{}; }

  private:
    static Status ending(const IoRequest& io) {
        return io.offset == 0 ? Status{} : failure(static_cast<int>(io.offset));
    }
};

/// A completion that counts its calls.
struct Counted : lunkit_completion {
    Counted() : lunkit_completion{} {
        done = [](lunkit_completion* completion) { ++static_cast<Counted*>(completion)->calls; };
    }
    int calls = 0;
};

template <typename Device>
const lunkit_handler& table_of() {
    static const lunkit_host host = [] {
        lunkit_host calls{};
        calls.post = [](lunkit_queue* queue, lunkit_completion* completion) {
            FakeQueue::of(queue).post(completion);
        };
        return calls;
    }();
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

TEST(HandlerTable, ARequestThatEndsAtOnceCallsNothing) {
    FakeQueue queue;
    Deferring device;
    Counted completion;
    completion.result = 1;
    const IoRequest io(0, 512);
    const IoRequest failing(EIO, 512);
    EXPECT_EQ(table_of<Deferring>().read(&device, queue.handle(), &io, &completion), LUNKIT_DONE);
    EXPECT_EQ(completion.result, 0);
    EXPECT_EQ(table_of<Deferring>().read(&device, queue.handle(), &failing, &completion), -EIO);
    EXPECT_EQ(completion.result, -EIO);
    EXPECT_EQ(completion.calls, 0);
}

// On the queue that was named, of several that the thread has.
TEST(HandlerTable, ARequestThatSuspendsCallsItsCompletionOnItsQueue) {
    FakeQueue first;
    FakeQueue second;
    Deferring device;
    Counted good;
    Counted bad;
    const auto write = table_of<Deferring>().write;
    const IoRequest io(0, 512);
    const IoRequest failing(ENOSPC, 512);
    EXPECT_EQ(write(&device, first.handle(), &io, &good), LUNKIT_PENDING);
    EXPECT_EQ(write(&device, second.handle(), &failing, &bad), LUNKIT_PENDING);
    second.run_all();
    EXPECT_EQ(good.calls, 0);
    EXPECT_EQ(bad.calls, 1);
    EXPECT_EQ(bad.result, -ENOSPC);
    first.run_all();
    EXPECT_EQ(good.calls, 1);
    EXPECT_EQ(good.result, 0);
    EXPECT_EQ(bad.calls, 1);
}

}  // namespace lunkit::test

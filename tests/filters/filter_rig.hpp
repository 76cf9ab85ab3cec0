// SPDX-License-Identifier: Apache-2.0
// FilterRig: a filter in front of a device in memory, with a queue whose time only the test moves.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "filters/surroundings.hpp"
#include "lunkit/task.hpp"
#include "support/fake_queue.hpp"
#include "support/memory_device.hpp"
#include "support/run_task.hpp"

namespace lunkit::filters {

using std::chrono::nanoseconds;
using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): 5ms

class FilterRig : public ::testing::Test {
  protected:
    using Kind = test::MemoryDevice::Kind;
    static constexpr std::uint64_t kSize = 1 << 20;

    FilterRig() : owned_(std::make_unique<test::MemoryDevice>(kSize)), memory_(*owned_) {}

    Surroundings world() {
        Surroundings world;
        world.now = [this] { return queue_.now(); };
        world.handing_over = [this] { return handing_over_; };
        world.file_exists = [this](const std::string& path) -> Result<bool> {
            looks_.push_back(path);
            if (file_error_ != 0) {
                return failure(file_error_);
            }
            return file_is_there_;
        };
        return world;
    }
    std::unique_ptr<BlockDevice> memory() { return std::move(owned_); }

    /// Runs it to its end, however long that takes.
    Status run(Task<Status> task) { return test::run_task(queue_, std::move(task)); }
    Status read(BlockDevice& device, std::uint64_t offset = 0, std::size_t length = 512) {
        std::vector<std::byte> bytes(length);
        const SingleData data(bytes);
        return run(device.read(queue_, IoRequest(offset, data)));
    }
    Status write(BlockDevice& device, std::uint64_t offset = 0, std::size_t length = 512,
                 std::uint32_t flags = 0) {
        std::vector<std::byte> bytes(length, std::byte{0x5a});
        const SingleData data(bytes);
        return run(device.write(queue_, IoRequest(offset, data, flags)));
    }
    /// When a read that begins now has ended.
    nanoseconds end_of_read(BlockDevice& device, std::size_t length = 512) {
        EXPECT_TRUE(read(device, 0, length));
        return queue_.now();
    }

    test::FakeQueue queue_;
    std::unique_ptr<test::MemoryDevice> owned_;
    test::MemoryDevice& memory_;  // valid as long as whoever owns it now
    bool handing_over_ = false;
    bool file_is_there_ = false;
    int file_error_ = 0;
    std::vector<std::string> looks_;  // for the file
};

/// A read that is on its way; `ended` once it has ended.
struct StartedRead {
    explicit StartedRead(std::size_t length) : bytes(length), data(bytes), io(0, data) {}
    std::vector<std::byte> bytes;
    SingleData data;
    IoRequest io;
    std::optional<Status> outcome;
    nanoseconds ended{-1};

    void start(test::FakeQueue& queue, BlockDevice& device) {
        drive(device.read(queue, io), *this, queue);
    }

  private:
    static Detached drive(Task<Status> task, StartedRead& self, const test::FakeQueue& queue) {
        const Task<Status> running = std::move(task);
        self.outcome = co_await running;
        self.ended = queue.now();
    }
};

}  // namespace lunkit::filters

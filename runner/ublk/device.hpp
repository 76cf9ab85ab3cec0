// SPDX-License-Identifier: Apache-2.0
// Device: serves one ublk device with one hardware queue. Each tag of the queue is a coroutine that
// fetches a request, turns it into a call of the BlockDevice, and commits what came of it while it
// fetches the next. All commits of a turn of the loop leave with the loop's one system call.
//
// The kernel copies the data of a write into the tag's buffer before the request shows, and that of
// a read out of it inside the commit; so a buffer belongs to the server from fetch to commit.
//
// Threads: the queue's, except where it says otherwise.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "core/engine_queue.hpp"
#include "core/log.hpp"
#include "core/memory_mapping.hpp"
#include "core/service.hpp"
#include "lunkit/block_device.hpp"
#include "lunkit/io_request.hpp"
#include "lunkit/result.hpp"
#include "lunkit/task.hpp"
#include "ublk/abi.hpp"
#include "ublk/char_device.hpp"

namespace lunkit::ublk {

struct DeviceParts {
    std::string name;                ///< "ublkb0"
    std::uint16_t queue_depth = 0;   ///< tags, as the kernel has it
    std::uint32_t max_io_bytes = 0;  ///< of one request, as the kernel has it
    std::uint32_t block_size = 512;
    CharDevice chars;
    std::unique_ptr<BlockDevice> block;
    /// The kernel has taken back all tags: the device may go. Called once, from the queue's loop
    /// with none of the device's frames on the stack.
    std::function<void()> ended;
};

class Device {
  public:
    /// Any thread. The buffers take no memory before they are used.
    static Result<std::unique_ptr<Device>> make(DeviceParts parts, core::EngineQueue& queue);
    Device(const Device&) = delete;
    Device& operator=(const Device&) = delete;
    Device(Device&&) = delete;
    Device& operator=(Device&&) = delete;
    /// A thread that may block (the handler's close). It was not started, or has ended.
    ~Device();

    /// Fetches all tags and gives what the kernel said of it. After an error the tags that it did
    /// take are still with it, and START_DEV would wait for the others for ever. No request shows
    /// before START_DEV.
    Task<Status> begin();
    /// The daemon stops, and the next one goes on with the device: requests that come from now on
    /// are not begun, and stay with the kernel. `rested` is called, from the queue's loop, once
    /// none runs. Not after `ended`, and `ended` is not called any more.
    void leave(std::function<void()> rested);
    /// A thread that may block: the handler's close, of a device at rest. Nothing but the
    /// destructor is called afterwards, and that when the kernel has taken back the tags, which it
    /// does when the queue's ring goes: until then it may write to their buffers.
    void close_block() { block_.reset(); }

    /// Any thread. front_end, config, node and state are the service's.
    [[nodiscard]] core::DeviceStatus status() const;

  private:
    Device(DeviceParts parts, core::EngineQueue& queue, core::MemoryMapping buffers);

    auto command(std::uint32_t op, std::uint16_t tag, std::int32_t result);
    Detached serve(std::uint16_t tag);
    void give_back(std::uint16_t tag, std::int64_t answer);
    void tell_rest();
    Task<std::int32_t> perform(std::uint16_t tag);
    Task<Status> execute(abi::IoDescriptor request, std::uint16_t tag);
    Task<Status> transfer(IoRequest io, std::uint16_t tag, bool is_write);
    void count_outcome(const abi::IoDescriptor& request, std::uint16_t tag, const Status& status);
    [[nodiscard]] std::span<std::byte> buffer(std::uint16_t tag) const;

    const std::string name_;
    const std::uint16_t queue_depth_;
    const std::uint32_t max_io_bytes_;
    const std::uint32_t block_size_;
    core::EngineQueue& queue_;
    core::MemoryMapping buffers_;
    CharDevice chars_;
    std::unique_ptr<BlockDevice> block_;
    std::function<void()> ended_;

    unsigned tags_out_ = 0;  // with the kernel or with us
    unsigned running_ = 0;   // requests
    bool leaving_ = false;
    std::function<void()> rested_;  // until it is told
    bool refused_ = false;          // the kernel did not take a tag
    core::DeviceCounters counters_;
    core::LogLimit error_limit_;
};

}  // namespace lunkit::ublk

// SPDX-License-Identifier: Apache-2.0
// HardwareQueue: serves one hardware queue of a ublk device. Each tag of the queue is a coroutine
// that fetches a request, turns it into a call of the BlockDevice, and commits what came of it
// while it fetches the next. All commits of a turn of the loop leave with the loop's one system
// call.
//
// The kernel copies the data of a write into the tag's buffer before the request shows, and that of
// a read out of it inside the commit; so a buffer belongs to the server from fetch to commit.
//
// Threads: the queue's, which fetches all its tags (the kernel takes commits from nobody else),
// except where it says otherwise.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "core/engine_queue.hpp"
#include "core/log.hpp"
#include "core/memory_mapping.hpp"
#include "core/service.hpp"
#include "core/trace.hpp"
#include "lunkit/block_device.hpp"
#include "lunkit/io_request.hpp"
#include "lunkit/result.hpp"
#include "lunkit/task.hpp"
#include "ublk/abi.hpp"
#include "ublk/char_device.hpp"

namespace lunkit::ublk {

/// What is referred to outlives the queue.
struct HardwareQueueParts {
    const std::string& device;       ///< its name
    const CharDevice& chars;         ///< of the device
    BlockDevice& block;              ///< of the device, until the queue is at rest
    core::EngineQueue& engine;       ///< where it is served
    core::TraceTap& trace;           ///< of the device
    std::uint16_t number = 0;        ///< among the queues of the device
    std::uint16_t depth = 0;         ///< tags
    std::uint32_t max_io_bytes = 0;  ///< of one request
    /// The kernel has taken back all tags. Called once, from the loop with none of the queue's
    /// frames on the stack.
    std::function<void()> ended;
};

class HardwareQueue {
  public:
    /// Any thread. The buffers take no memory before they are used.
    static Result<std::unique_ptr<HardwareQueue>> make(HardwareQueueParts parts);
    HardwareQueue(const HardwareQueue&) = delete;
    HardwareQueue& operator=(const HardwareQueue&) = delete;
    HardwareQueue(HardwareQueue&&) = delete;
    HardwareQueue& operator=(HardwareQueue&&) = delete;
    /// It was not started, or has ended.
    ~HardwareQueue();

    /// Fetches all tags and gives what the kernel said of it.
    Task<Status> fetch();
    /// When the tags of all queues of the device are fetched, and before any request shows.
    Status map();
    /// Requests that come from now on are not begun, and stay with the kernel. `rested` is called,
    /// from the loop, once none runs. Not after `ended`, and `ended` is not called any more.
    void leave(std::function<void()> rested);

    [[nodiscard]] core::EngineQueue& engine() const { return parts_.engine; }
    /// Any thread.
    [[nodiscard]] const core::DeviceCounters& counters() const { return counters_; }

  private:
    HardwareQueue(HardwareQueueParts parts, core::MemoryMapping buffers);

    auto command(std::uint32_t op, std::uint16_t tag, std::int32_t result);
    Detached serve(std::uint16_t tag);
    void give_back(std::uint16_t tag, std::int64_t answer);
    void tell_rest();
    Task<std::int32_t> perform(std::uint16_t tag);
    Task<Status> execute(abi::IoDescriptor request, std::uint16_t tag);
    Task<Status> transfer(IoRequest io, std::uint16_t tag, bool is_write);
    void note_end(const abi::IoDescriptor& request, std::uint16_t tag, const Status& status,
                  std::chrono::nanoseconds took);
    [[nodiscard]] std::span<std::byte> buffer(std::uint16_t tag) const;

    HardwareQueueParts parts_;
    core::MemoryMapping buffers_;
    DescriptorMap descriptors_;

    unsigned tags_out_ = 0;  // with the kernel or with us
    unsigned running_ = 0;   // requests
    bool leaving_ = false;
    std::function<void()> rested_;  // until it is told
    bool refused_ = false;          // the kernel did not take a tag
    core::DeviceCounters counters_;
    core::LogLimit error_limit_;
};

}  // namespace lunkit::ublk

// SPDX-License-Identifier: Apache-2.0
// Device: serves one ublk device: its hardware queues, each on a queue of ours, and the storage
// behind them. With more than one the storage is called from several threads at once.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "core/engine_queue.hpp"
#include "core/service.hpp"
#include "core/trace.hpp"
#include "lunkit/block_device.hpp"
#include "lunkit/result.hpp"
#include "lunkit/task.hpp"
#include "ublk/char_device.hpp"
#include "ublk/hardware_queue.hpp"

namespace lunkit::ublk {

struct DeviceParts {
    std::string name;                ///< "ublkb0"
    std::uint16_t queue_depth = 0;   ///< tags of a hardware queue, as the kernel has it
    std::uint32_t max_io_bytes = 0;  ///< of one request, as the kernel has it
    std::uint32_t block_size = 512;
    CharDevice chars;
    std::unique_ptr<BlockDevice> block;
    /// The kernel has taken back all tags: the device may go. Called once, from the loop of a queue
    /// with none of the device's frames on any stack.
    std::function<void()> ended;
};

class Device {
  public:
    /// Any thread. There are as many hardware queues as `queues`, of which some may be the same.
    static Result<std::unique_ptr<Device>> make(DeviceParts parts,
                                                std::span<core::EngineQueue* const> queues);
    Device(const Device&) = delete;
    Device& operator=(const Device&) = delete;
    Device(Device&&) = delete;
    Device& operator=(Device&&) = delete;
    /// A thread that may block (the handler's close). It was not started, or has ended.
    ~Device();

    /// Any thread. Fetches all tags, on all queues at about the same time, and tells from one of
    /// them what the kernel said of it. After an error the tags that it did take are still with it,
    /// and START_DEV would wait for the others for ever. No request shows before START_DEV.
    void begin(std::function<void(Status)> begun);
    /// Any thread. The daemon stops, and the next one goes on with the device: requests that come
    /// from now on are not begun, and stay with the kernel. `rested` is called, from a queue's
    /// loop, once none runs. Not after `ended`, and `ended` is not called any more.
    void leave(std::function<void()> rested);
    /// A thread that may block: the handler's close, of a device at rest. Nothing but the
    /// destructor is called afterwards, and that when the kernel has taken back the tags, which it
    /// does when the queues' rings go: until then it may write to their buffers.
    void close_block() { block_.reset(); }

    /// A worker thread, while requests go on: the size of the storage, in bytes.
    [[nodiscard]] Status resize_storage(std::uint64_t size) { return block_->resize(size); }
    /// The same thread. It may have changed by itself.
    [[nodiscard]] std::uint64_t storage_size() const { return block_->info().size; }

    /// Any thread. front_end, config, node, size and state are the service's.
    [[nodiscard]] core::DeviceStatus status() const;
    /// Any thread: where its requests can be watched.
    [[nodiscard]] const std::shared_ptr<core::TraceTap>& trace() const { return trace_; }

  private:
    explicit Device(DeviceParts parts);

    /// Calls `then` with the first error of `step` on all hardware queues, when all have done it.
    void on_all(Task<Status> (*step)(HardwareQueue&), std::function<void(Status)> then);
    void queue_ended();

    const std::string name_;
    const std::uint32_t block_size_;
    const CharDevice chars_;
    std::unique_ptr<BlockDevice> block_;
    const std::shared_ptr<core::TraceTap> trace_ = std::make_shared<core::TraceTap>();
    std::function<void()> ended_;
    std::vector<std::unique_ptr<HardwareQueue>> queues_;
    std::atomic<std::size_t> queues_out_{0};  // that have not ended
};

}  // namespace lunkit::ublk

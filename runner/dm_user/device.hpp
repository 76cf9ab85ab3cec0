// SPDX-License-Identifier: Apache-2.0
// Device: a dm-user target that is being served: its storage, and a worker with its thread for each
// open of the control node.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/memory_mapping.hpp"
#include "core/service.hpp"
#include "dm_user/channel.hpp"
#include "dm_user/serving_thread.hpp"
#include "dm_user/worker.hpp"
#include "lunkit/block_device.hpp"
#include "lunkit/queue.hpp"
#include "lunkit/result.hpp"

namespace lunkit::dm_user {

struct DeviceParts {
    std::string name;  ///< of the control node
    std::unique_ptr<BlockDevice> block;
    std::uint64_t start_sectors512 = 0;
    std::uint32_t channels = 1;
    OpenChannel open_channel;
    /// No worker is left. Called once, on the thread of the last one, which the device's end joins.
    /// What ended it, as Worker::run() says.
    std::function<void(Status why)> ended;
};

class Device {
  public:
    /// Any thread. Serves from now on. An error: a channel could not be opened; none was then.
    static Result<std::unique_ptr<Device>> start(DeviceParts parts, Queue& queue);
    Device(const Device&) = delete;
    Device& operator=(const Device&) = delete;
    Device(Device&&) = delete;
    Device& operator=(Device&&) = delete;
    /// A thread that may block (the handler's close), none of the workers'. `ended` was called, or
    /// start() has failed.
    ~Device();

    /// A thread that may block: has the workers end, each when it has answered what it read, and
    /// waits for that at most `patience`. Whether they have; else they do when they can.
    [[nodiscard]] bool stop(std::chrono::milliseconds patience);

    /// Any thread. front_end, config, node and state are the service's.
    [[nodiscard]] core::DeviceStatus status() const;
    /// Any thread: where its requests can be watched.
    [[nodiscard]] const std::shared_ptr<core::TraceTap>& trace() const { return target_.trace; }

  private:
    Device(DeviceParts parts, Queue& queue);
    struct Server {
        core::MemoryMapping room;
        std::unique_ptr<Worker> worker;
        ServingThread thread;
    };
    Status open_channels(std::uint32_t count);
    Status start_threads();
    void serve(Worker& worker);
    void worker_ended(const Status& why);

    std::unique_ptr<BlockDevice> block_;
    const Target target_;
    std::function<void(Status)> ended_;
    std::vector<Server> servers_;  // does not change once there are threads, but for their handles
    std::mutex mutex_;
    std::condition_variable changed_;
    std::size_t running_ = 0;  // workers; under mutex_
    Status why_;               // the same: the worst that a worker ended with
};

}  // namespace lunkit::dm_user

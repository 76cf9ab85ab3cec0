// SPDX-License-Identifier: Apache-2.0
#include "ublk/device.hpp"

#include <utility>

#include "core/posted_call.hpp"
#include "lunkit/try.hpp"

namespace lunkit::ublk {

namespace {

/// What the queues of a device do together: the last one to have done it goes on.
struct Together {
    std::atomic<std::size_t> left;
    std::mutex mutex;
    Status status;  // the first error; under mutex
    std::function<void(Status)> then;

    void done(Status outcome) {
        {
            const std::lock_guard lock(mutex);
            if (status && !outcome) {
                status = std::move(outcome);
            }
        }
        if (--left == 0) {
            then(status);
        }
    }
};

Task<Status> fetch(HardwareQueue& queue) {
    return queue.fetch();
}

Task<Status> map(HardwareQueue& queue) {
    co_return queue.map();
}

Detached run(Task<Status> (*step)(HardwareQueue&), HardwareQueue& queue,
             std::shared_ptr<Together> together) {
    Status status = co_await step(queue);
    together->done(std::move(status));
}

}  // namespace

Result<std::unique_ptr<Device>> Device::make(DeviceParts parts,
                                             std::span<core::EngineQueue* const> queues) {
    const std::uint16_t depth = parts.queue_depth;
    const std::uint32_t max_io_bytes = parts.max_io_bytes;
    std::unique_ptr<Device> device(new Device(std::move(parts)));
    for (core::EngineQueue* const engine : queues) {
        TRY(auto queue,
            HardwareQueue::make({.device = device->name_,
                                 .chars = device->chars_,
                                 .block = *device->block_,
                                 .engine = *engine,
                                 .trace = *device->trace_,
                                 .number = static_cast<std::uint16_t>(device->queues_.size()),
                                 .depth = depth,
                                 .max_io_bytes = max_io_bytes,
                                 .ended = [self = device.get()] { self->queue_ended(); }}));
        device->queues_.push_back(std::move(queue));
    }
    device->queues_out_ = queues.size();
    return device;
}

Device::Device(DeviceParts parts)
    : name_(std::move(parts.name)),
      block_size_(parts.block_size),
      chars_(std::move(parts.chars)),
      block_(std::move(parts.block)),
      ended_(std::move(parts.ended)) {}

Device::~Device() {
    trace_->close();
}

void Device::on_all(Task<Status> (*step)(HardwareQueue&), std::function<void(Status)> then) {
    const auto together = std::make_shared<Together>();
    together->left = queues_.size();
    together->then = std::move(then);
    for (const auto& queue : queues_) {
        core::call_on(queue->engine(),
                      [step, &queue = *queue, together] { run(step, queue, together); });
    }
}

void Device::begin(std::function<void(Status)> begun) {
    on_all(fetch, [this, begun = std::move(begun)](const Status& fetched) {
        if (!fetched) {
            begun(fetched);
            return;
        }
        on_all(map, begun);
    });
}

void Device::leave(std::function<void()> rested) {
    const auto together = std::make_shared<Together>();
    together->left = queues_.size();
    together->then = [rested = std::move(rested)](const Status&) { rested(); };
    for (const auto& queue : queues_) {
        core::call_on(queue->engine(), [&queue = *queue, together] {
            queue.leave([together] { together->done({}); });
        });
    }
}

void Device::queue_ended() {
    if (--queues_out_ == 0) {
        const std::function<void()> ended = std::move(ended_);  // the device may go inside
        ended();
    }
}

core::DeviceStatus Device::status() const {
    const DeviceInfo info = block_->info();
    core::DeviceStatus status;
    status.name = name_;
    status.block_size = block_size_;
    status.read_only = info.read_only;
    status.write_cache = info.write_cache;
    std::vector<const core::DeviceCounters*> counters;
    counters.reserve(queues_.size());
    for (const auto& queue : queues_) {
        counters.push_back(&queue->counters());
    }
    core::tell_counters(counters, status);
    return status;
}

}  // namespace lunkit::ublk

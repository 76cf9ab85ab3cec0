// SPDX-License-Identifier: Apache-2.0
#include "dm_user/device.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <utility>

#include "core/log.hpp"
#include "lunkit/try.hpp"

namespace lunkit::dm_user {

namespace {

// What a channel holds of a payload. Most requests of file systems fit; it takes no memory before
// it is used.
constexpr std::size_t kRoom = std::size_t{4} << 20U;
constexpr std::chrono::milliseconds kInterruptPause{10};

}  // namespace

Result<std::unique_ptr<Device>> Device::start(DeviceParts parts, Queue& queue) {
    const std::uint32_t channels = parts.channels;
    std::unique_ptr<Device> device(new Device(std::move(parts), queue));
    CHECK(device->open_channels(channels));
    CHECK(device->start_threads());
    return device;
}

Device::Device(DeviceParts parts, Queue& queue)
    : block_(std::move(parts.block)),
      target_{.name = std::move(parts.name),
              .block = *block_,
              .queue = queue,
              .start_sectors512 = parts.start_sectors512,
              .open_channel = std::move(parts.open_channel)},
      ended_(std::move(parts.ended)) {}

Device::~Device() {
    servers_.clear();  // joins, before the storage goes
    target_.trace->close();
}

Status Device::open_channels(std::uint32_t count) {
    servers_.resize(count);
    for (Server& server : servers_) {
        TRY(server.room, core::MemoryMapping::anonymous(kRoom));
    }
    for (Server& server : servers_) {
        TRY(auto channel, target_.open_channel());
        server.worker = std::make_unique<Worker>(target_, std::move(channel), server.room.bytes());
    }
    return {};
}

/// After an error none is left, and `ended` is not called.
Status Device::start_threads() {
    running_ = servers_.size();
    for (Server& server : servers_) {
        auto thread = ServingThread::start("lunkit-dmuser",
                                           [this, &worker = *server.worker] { serve(worker); });
        if (!thread) {
            {
                const std::lock_guard lock(mutex_);
                ended_ = nullptr;
                running_ -= static_cast<std::size_t>(&servers_.back() - &server) + 1;
            }
            (void)stop(std::chrono::hours(1));  // they have had no time to do anything
            return std::unexpected(thread.error());
        }
        server.thread = *std::move(thread);
    }
    return {};
}

void Device::serve(Worker& worker) {
    const Status why = worker.run();
    if (!why && why.error().code != ENOTBLK) {
        core::log(core::LogLevel::kError, {.device = target_.name}, "{}; a channel of it is lost",
                  why.error().what);
    }
    worker_ended(why);
}

void Device::worker_ended(const Status& why) {
    std::function<void(Status)> ended;
    Status worst;
    {
        const std::lock_guard lock(mutex_);
        // That the target has gone says more than what else happened to its channels.
        if (!why && (why_ || why.error().code == ENOTBLK)) {
            why_ = why;
        }
        if (--running_ == 0) {
            ended = std::exchange(ended_, nullptr);
            worst = why_;
        }
        changed_.notify_all();
    }
    if (ended) {
        ended(std::move(worst));
    }
}

bool Device::stop(std::chrono::milliseconds patience) {
    for (const Server& server : servers_) {
        if (server.worker) {
            server.worker->stop();
        }
    }
    const auto deadline = std::chrono::steady_clock::now() + patience;
    std::unique_lock lock(mutex_);
    while (running_ > 0 && std::chrono::steady_clock::now() < deadline) {
        lock.unlock();
        for (const Server& server : servers_) {
            server.thread.interrupt();
        }
        lock.lock();
        // Once more, should one have come before the wait that it was to end.
        changed_.wait_for(lock, kInterruptPause, [this] { return running_ == 0; });
    }
    return running_ == 0;
}

core::DeviceStatus Device::status() const {
    const DeviceInfo info = block_->info();
    core::DeviceStatus status;
    status.name = target_.name;
    status.size = info.size;
    status.block_size = 1U << abi::kSectorShift;
    status.read_only = info.read_only;
    status.write_cache = info.write_cache;
    std::vector<const core::DeviceCounters*> counters;
    counters.reserve(servers_.size());
    for (const Server& server : servers_) {
        counters.push_back(&server.worker->counters());
    }
    core::tell_counters(counters, status);
    return status;
}

}  // namespace lunkit::dm_user

// SPDX-License-Identifier: Apache-2.0
// UblkService: how a device goes, or is left to the next daemon.
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <future>
#include <utility>

#include "core/log.hpp"
#include "lunkit/try.hpp"
#include "ublk/device_name.hpp"
#include "ublk/ublk_service.hpp"

namespace lunkit::ublk {

namespace {

using core::DeviceState;
using core::LogLevel;

/// Whether the kernel thinks that it is served, and it is.
bool is_served(const abi::DeviceInfo& info) {
    return info.state == abi::kStateLive && info.ublksrv_pid > 0 &&
           (::kill(info.ublksrv_pid, 0) == 0 || errno == EPERM);
}

}  // namespace

/// Begins the end of a device; ended() goes on. Only an error is answered here.
void UblkService::take_down(const Entry& entry, bool force) {
    DeviceState before{};
    {
        const std::lock_guard lock(mutex_);
        if (entry->state == DeviceState::kDraining) {
            return;  // who asks later waits with the first; stays() looks whether with force
        }
        before = std::exchange(entry->state, DeviceState::kDraining);
    }
    stop_device(entry, before, force);
}

/// Of a device that is kDraining, and was `before`.
void UblkService::stop_device(const Entry& entry, DeviceState before, bool force) {
    const std::uint32_t dev_id = *entry->dev_id;
    if (const Status may_go = let_go(dev_id, force); !may_go) {
        stays(entry, before, may_go.error(), false);
    } else if (const Status stopped = control_->stop(dev_id); !stopped) {
        stays(entry, before, stopped.error(), true);
    }
}

/// Whether a device that is served may go. STOP_DEV fails what is not stored yet of a device that
/// can be recovered, as its server might be dead; of others it stores it first.
Status UblkService::let_go(std::uint32_t dev_id, bool force) const {
    const std::string node = block_node(dev_id);
    if (!force) {
        CHECK(world_.check_unused(node));
    }
    const Status stored = world_.write_back(node);
    if (!stored && force) {
        core::log(LogLevel::kError, {.device = block_name(dev_id)}, "{}, removing it all the same",
                  stored.error().what);
        return {};
    }
    return stored;
}

/// Tells who wanted the device to go that it does not: its users have it, or the kernel refuses.
/// Their word is not the last if somebody wants it with force meanwhile. The daemon's own stop goes
/// on with it.
void UblkService::stays(const Entry& entry, DeviceState state, const Error& why, bool by_kernel) {
    std::vector<Removed> removed;
    Resized resized;
    bool stop_now = false;
    {
        std::unique_lock lock(mutex_);
        // Another program may have ended it meanwhile: then it goes after all.
        const bool has_ended = state == DeviceState::kRunning && !entry->device;
        if (entry->force && !by_kernel && !has_ended) {
            lock.unlock();
            stop_device(entry, state, true);
            return;
        }
        entry->state = has_ended ? entry->state : state;
        entry->force = false;
        removed.swap(entry->removed);
        resized = std::exchange(entry->resized, nullptr);
        if (resized) {
            entry->wanted.size = entry->size;
            entry->handing_over->store(false);
        }
        entry->given_up = stopping_ && by_kernel;
        stop_now = stopping_ && !by_kernel;
    }
    if (by_kernel) {
        core::log(LogLevel::kError, {.device = block_name(*entry->dev_id)}, "{}", why.what);
    }
    answer(std::move(removed), std::unexpected(why));
    if (resized) {
        not_resized(entry, std::move(resized), why);
    }
    settle(entry);
    if (stop_now) {
        stop_serving(entry);
    }
    check_stopped();
}

/// The kernel has all tags back.
void UblkService::ended(const Entry& entry) {
    const std::lock_guard step(entry->step);
    std::unique_ptr<Device> device;
    bool was_asked_for = false;
    bool is_resized = false;
    Resized cancelled;
    {
        const std::lock_guard lock(mutex_);
        if (entry->left) {
            return;  // what is left of it the next daemon removes
        }
        was_asked_for = entry->state != DeviceState::kRunning;
        entry->state = DeviceState::kDraining;
        device = std::move(entry->device);
        if (entry->resized && !entry->removed.empty()) {
            cancelled = std::exchange(entry->resized, nullptr);
            entry->handing_over->store(false);
        }
        is_resized = entry->resized != nullptr;
    }
    if (cancelled) {
        cancelled(failure(ECANCELED, "the device is being removed"));
    }
    if (is_resized) {
        shrink_storage(entry, *device);
    }
    const std::string name = block_name(*entry->dev_id);
    if (!was_asked_for) {
        core::log(LogLevel::kNotice, {.device = name}, "stopped by another program");
    }
    device.reset();
    const Status removed = remove_stopped(*entry->dev_id);
    if (!removed) {
        core::log(LogLevel::kWarning, {.device = name},
                  "{}; what is left of it goes with \"lunkit ublk del {}\"", removed.error().what,
                  *entry->dev_id);
        entry->record.identity = 0;  // what is written of it stays for that
    }
    release_queues(entry->queues);
    forget(entry, removed);
}

/// The daemon stops.
void UblkService::stop_serving(const Entry& entry) {
    bool is_kept = false;
    {
        const std::lock_guard lock(mutex_);
        is_kept = entry->recoverable && entry->state == DeviceState::kRunning;
    }
    is_kept ? leave(entry) : take_down(entry, true);
}

/// Ends what runs and closes the storage; the rest stays with the kernel, which keeps it for the
/// next daemon from the moment when this process ends.
void UblkService::leave(const Entry& entry) {
    const std::lock_guard step(entry->step);
    {
        const std::lock_guard lock(mutex_);
        if (entry->state != DeviceState::kRunning) {
            return;  // it goes: somebody was faster
        }
        entry->state = DeviceState::kDraining;
    }
    entry->handing_over->store(true);
    const std::string name = block_name(*entry->dev_id);
    const auto rested = std::make_shared<std::promise<void>>();
    const std::future<void> rest = rested->get_future();
    entry->device->leave([rested] { rested->set_value(); });
    if (rest.wait_for(runtime_.settings.drain_timeout) != std::future_status::ready) {
        core::log(LogLevel::kWarning, {.device = name},
                  "requests have not ended in time; the next daemon executes them once more");
        {
            const std::lock_guard lock(mutex_);
            entry->given_up = true;
        }
        check_stopped();
        return;
    }
    {
        const std::lock_guard lock(mutex_);
        entry->left_behind = std::move(entry->device);
    }
    entry->left_behind->close_block();
    core::log(LogLevel::kInfo, {.device = name}, "left to the next daemon");
    {
        const std::lock_guard lock(mutex_);
        entry->left = true;
    }
    check_stopped();
}

/// A device that this daemon does not know.
void UblkService::remove_unknown(const Entry& entry, bool force) {
    Status removed = remove_orphan(*entry->dev_id, force);
    if (!removed && !force) {
        bool force_now = false;
        {
            const std::lock_guard lock(mutex_);
            force_now = entry->force;
            if (!force_now) {
                std::erase(entries_, entry);  // who asks from now on begins anew
            }
        }
        if (force_now) {
            removed = remove_orphan(*entry->dev_id, true);
        }
    }
    forget(entry, removed);
}

Status UblkService::remove_orphan(std::uint32_t dev_id, bool force) {
    const auto missing = [dev_id] {
        return failure(ENOENT, fmt::format("there is no ublk device {}", dev_id));
    };
    const std::vector<std::uint32_t> there = world_.find_devices();
    if (std::ranges::find(there, dev_id) == there.end()) {
        return missing();
    }
    CHECK(open_control());
    const Result<abi::DeviceInfo> info = control_->info(dev_id);
    if (!info) {
        return info.error().code == ENODEV ? missing() : std::unexpected(info.error());
    }
    if (is_served(*info)) {
        return failure(EBUSY, fmt::format("{} is not served by lunkitd, but by process {}",
                                          block_node(dev_id), info->ublksrv_pid));
    }
    return remove_unserved(dev_id, force);
}

/// Requests that wait for a server fail.
Status UblkService::remove_unserved(std::uint32_t dev_id, bool force) const {
    if (!force) {
        CHECK(world_.check_unused(block_node(dev_id)));
    }
    if (const Status stopped = control_->stop(dev_id); !stopped && stopped.error().code != ENODEV) {
        return stopped;
    }
    return remove_stopped(dev_id);
}

/// Another program may have been faster.
Status UblkService::remove_stopped(std::uint32_t dev_id) const {
    Status removed = control_->remove(dev_id);
    if (!removed && removed.error().code == ENODEV) {
        return {};
    }
    return removed;
}

}  // namespace lunkit::ublk

// SPDX-License-Identifier: Apache-2.0
// DmUserService: how a target comes to be served, and how that ends.
#include <cerrno>
#include <utility>

#include "core/dm_user_name.hpp"
#include "core/log.hpp"
#include "dm_user/dm_user_service.hpp"
#include "lunkit/try.hpp"

namespace lunkit::dm_user {

namespace {

using core::DeviceState;
using core::LogLevel;

}  // namespace

void DmUserService::bring_up(const Entry& entry) {
    const std::string& name = entry->wanted.name;
    bool is_stopping = false;
    {
        const std::lock_guard step(entry->step);
        const Result<core::FileIdentity> node = world_.find_node(name);
        if (!node) {
            if (entry->is_left) {
                core::log(LogLevel::kNotice, {.device = name},
                          "its target has gone since the last daemon");
            }
            forget(entry, std::unexpected(node.error()));
            return;
        }
        {
            const std::lock_guard lock(mutex_);
            entry->node = *node;
        }
        if (const Status made = make(entry, *node); !made) {
            if (entry->is_left) {
                keep_failed(entry, made.error());
            } else if (entry->replaces) {
                put_back(entry, made.error());
            } else {
                forget(entry, made);
            }
            return;
        }
        serving(entry);
        const std::lock_guard lock(mutex_);
        is_stopping = stopping_;
    }
    if (is_stopping) {
        take_down(entry);
    }
}

/// The node is opened last: from then on the users of the target wait for us.
Status DmUserService::make(const Entry& entry, const core::FileIdentity& node) {
    const core::NewDevice& wanted = entry->wanted;
    TRY(std::unique_ptr<BlockDevice> block, world_.open_block(open_request(entry)));
    const Status written = folder_ && !entry->is_left ? folder_->write(wanted) : Status();
    if (!written) {
        core::log(LogLevel::kWarning, {.device = wanted.name},
                  "{}; the next daemon will not serve it", written.error().what);
    }
    entry->handing_over->store(entry->is_left);  // should it not come to be served now either
    core::EngineQueue& queue = runtime_.queues.assign();
    auto device = Device::start(
        {.name = wanted.name,
         .block = std::move(block),
         .start_sectors512 = wanted.start_sectors512,
         .channels = wanted.channels,
         .open_channel = [this, name = wanted.name,
                          node] { return world_.open_channel(name, node); },
         .ended =
             [this, weak = std::weak_ptr<Served>(entry)](Status why) {
                 if (const Entry known = weak.lock()) {
                     on_worker(known, [this, known, why = std::move(why)] { ended(known, why); });
                 }
             }},
        queue);
    if (!device) {
        runtime_.queues.release(queue);
        return device.error().code == ENOTBLK ? failure(EAGAIN, device.error().what)
                                              : std::unexpected(device.error());
    }
    if (folder_ && written) {
        keep_open(wanted.name);
    }
    const std::lock_guard lock(mutex_);
    entry->device = *std::move(device);
    entry->queue = &queue;
    entry->handing_over->store(stopping_);
    return {};
}

host::OpenDevice DmUserService::open_request(const Entry& entry) const {
    const core::NewDevice& wanted = entry->wanted;
    return {.config = wanted.config,
            .name = wanted.name,
            .size = wanted.size,
            .block_size = wanted.block_size,
            .read_only = wanted.read_only,
            .take_over = entry->is_left,
            .size_changed =
                [name = wanted.name](std::uint64_t bytes) {
                    core::log(LogLevel::kNotice, {.device = name},
                              "the storage has {} bytes now; its target has the size of its table",
                              bytes);
                },
            .handing_over = [handing_over = entry->handing_over] { return handing_over->load(); }};
}

/// For the next daemon, which will serve it as well.
void DmUserService::keep_open(const std::string& name) {
    if (const Status held = world_.keeper->hold(name); !held) {
        core::log(LogLevel::kWarning, {.device = name},
                  "{}; its requests fail while no daemon runs, unless the kernel has them wait",
                  held.error().what);
    }
}

/// What is left and cannot be served now: the operator sees it and may attach it again, as the next
/// daemon does.
void DmUserService::keep_failed(const Entry& entry, const Error& why) {
    core::log(LogLevel::kError, {.device = entry->wanted.name},
              "{}; its requests fail or wait until it is attached again", why.what);
    std::vector<Added> added;
    std::vector<Removed> removed;
    {
        const std::lock_guard lock(mutex_);
        entry->state = DeviceState::kFailed;
        entry->failed = why;
        added.swap(entry->added);
        removed.swap(entry->removed);
        if (stopping_) {
            std::erase(entries_, entry);
        }
    }
    for (Added& done : added) {
        done(std::unexpected(why));
    }
    for (Removed& done : removed) {
        done(std::unexpected(why));
    }
    check_stopped();
}

/// In place of another attempt: what was left is as before, and so is its record.
void DmUserService::put_back(const Entry& entry, const Error& why) {
    const Entry left = entry->replaces;
    if (folder_) {
        if (const Status written = folder_->write(left->wanted); !written) {
            core::log(LogLevel::kWarning, {.device = left->wanted.name},
                      "{}; the next daemon will not serve it", written.error().what);
        }
    }
    std::vector<Added> added;
    {
        const std::lock_guard lock(mutex_);
        added.swap(entry->added);
        std::erase(entries_, entry);
        if (!stopping_) {
            entries_.push_back(left);
        }
    }
    for (Added& done : added) {
        done(std::unexpected(why));
    }
    check_stopped();
}

void DmUserService::serving(const Entry& entry) {
    std::vector<Added> added;
    {
        const std::lock_guard lock(mutex_);
        entry->state = DeviceState::kRunning;
        entry->replaces.reset();
        added.swap(entry->added);
    }
    core::log(LogLevel::kInfo, {.device = entry->wanted.name}, "serving {}", entry->wanted.config);
    for (Added& done : added) {
        done(core::dm_user_node(entry->wanted.name));
    }
}

/// Begins its end; ended() goes on. Only that it takes too long is answered here.
void DmUserService::take_down(const Entry& entry) {
    const std::lock_guard step(entry->step);
    Device* device = nullptr;
    {
        const std::lock_guard lock(mutex_);
        device = entry->device.get();
        if (device == nullptr) {
            return;  // it has ended by itself
        }
        entry->state = DeviceState::kDraining;
    }
    if (device->stop(runtime_.settings.drain_timeout)) {
        return;
    }
    const Error late{.code = ETIMEDOUT,
                     .what = "requests have not ended in time; it ends when they do"};
    core::log(LogLevel::kWarning, {.device = entry->wanted.name}, "{}", late.what);
    std::vector<Removed> removed;
    {
        const std::lock_guard lock(mutex_);
        removed.swap(entry->removed);
        entry->given_up = stopping_;
    }
    for (Removed& done : removed) {
        done(std::unexpected(late));
    }
    check_stopped();
}

/// None of its workers runs any more.
void DmUserService::ended(const Entry& entry, const Status& why) {
    const std::lock_guard step(entry->step);
    const std::string& name = entry->wanted.name;
    const bool has_gone = !why && why.error().code == ENOTBLK;
    std::unique_ptr<Device> device;
    bool is_detached = false;
    bool is_failed = false;
    {
        const std::lock_guard lock(mutex_);
        entry->state = DeviceState::kDraining;
        device = std::move(entry->device);
        is_detached = entry->is_detached;
        is_failed = !why && !has_gone && !is_detached;
        if (is_failed) {
            entry->is_left = true;
            entry->handing_over->store(true);
        }
    }
    device.reset();
    runtime_.queues.release(*entry->queue);
    if (has_gone) {
        core::log(LogLevel::kInfo, {.device = name}, "its target has gone");
        forget(entry, why);
    } else if (is_failed) {
        keep_failed(entry, why.error());
    } else {
        core::log(LogLevel::kInfo, {.device = name}, "{}",
                  is_detached ? "detached" : "left to the next daemon");
        forget(entry, {});
    }
}

}  // namespace lunkit::dm_user

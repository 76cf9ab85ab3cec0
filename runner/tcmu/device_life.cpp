// SPDX-License-Identifier: Apache-2.0
// TcmuService: the life of one device, from opening to closing.
#include <algorithm>
#include <cerrno>
#include <utility>

#include "core/log.hpp"
#include "core/posted_call.hpp"
#include "tcmu/tcmu_service.hpp"

namespace lunkit::tcmu {

namespace {

using Phase = ServedDevice::Phase;
using core::LogLevel;

constexpr std::chrono::milliseconds kCacheRetry{500};

}  // namespace

void TcmuService::open(const Entry& entry) {
    set_phase(entry, Phase::kOpening);
    entry->queue = assign_queue();
    const std::weak_ptr<ServedDevice> weak = entry;
    BringUpOrder order;
    order.uio = entry->uio;
    order.queue = entry->queue;
    order.tables = tables_;
    order.stays = entry->stays;
    order.copies = copies_;
    order.events.gone = [this, weak, inbox = loop_->inbox()] {
        inbox->post([this, weak] {
            if (const Entry gone = weak.lock(); gone && gone->phase != Phase::kClosing) {
                gone->gone = true;
                close(gone, {});
            }
        });
    };
    order.events.write_cache_changed = [this, weak, inbox = loop_->inbox()](bool /*enabled*/) {
        inbox->post([this, weak] {
            if (const Entry told = weak.lock()) {
                push_write_cache(told);
            }
        });
    };
    order.size_changed = [this, weak, inbox = loop_->inbox()](std::uint64_t /*bytes*/) {
        inbox->post([this, weak] {
            if (const Entry told = weak.lock()) {
                handler_says_size(told);
            }
        });
    };
    auto found = std::make_shared<Result<Survey>>(failure(EIO));
    run_step(
        entry, configfs_bound(),
        [this, name = entry->uio.name, found] { *found = survey(world_, name); },
        [this, entry, order = std::move(order), found]() mutable {
            if (!*found) {
                open_failed(entry, found->error());
                return;
            }
            order.survey = **std::move(found);
            bring_up_step(entry, std::move(order));
        },
        [this, entry] { return give_up_opening(entry); });
}

// For one that the kernel does not wait for.
void TcmuService::open_in_turn(const Entry& entry) {
    set_phase(entry, Phase::kOpening);
    take_turn(entry, [this, entry] { open(entry); });
}

void TcmuService::bring_up_step(const Entry& entry, BringUpOrder order) {
    auto result = std::make_shared<Result<BroughtUp>>(failure(EIO));
    run_step(
        entry, {.most = settings_.bring_up_timeout},
        [this, order = std::move(order), result]() mutable {
            *result = bring_up(world_, std::move(order));
        },
        [this, entry, result] {
            if (*result && (*result)->to_preset) {
                preset_step(entry, result);
            } else {
                opened(entry, std::move(*result));
            }
        },
        [this, entry] { return give_up_opening(entry); });
}

void TcmuService::preset_step(const Entry& entry,
                              const std::shared_ptr<Result<BroughtUp>>& result) {
    run_step(
        entry, configfs_bound(), [result] { preset(**result); },
        [this, entry, result] { opened(entry, std::move(*result)); },
        [this, entry] { return give_up_opening(entry); });
}

// Who deletes the device meanwhile has configfs wait for the end of its creation.
TcmuService::StepBound TcmuService::configfs_bound() const {
    return {.most = std::max(settings_.bring_up_timeout, world_.configfs_time),
            .alone = world_.configfs_time};
}

// Nobody who creates a device waits for longer; one that is enabled has time.
bool TcmuService::give_up_opening(const Entry& entry) {
    if (!entry->reply) {
        core::log(LogLevel::kWarning, {.device = entry->folder},
                  "opening takes long, still waiting");
        return false;
    }
    open_failed(entry, {.code = ETIMEDOUT, .what = "opening takes too long"});
    return true;
}

void TcmuService::opened(const Entry& entry, Result<BroughtUp> result) {
    if (!result) {
        open_failed(entry, result.error());
        return;
    }
    entry->stays->store(false);  // from here on it is closed because it is removed, or by stop()
    entry->kernel_size = result->kernel_size;
    if (!entry->device_id) {
        entry->device_id = result->probe.device_id;
    }
    {
        const std::lock_guard lock(mutex_);
        entry->device = std::move(result->device);
        entry->configfs = result->probe.configfs;
        entry->error.clear();
    }
    Device& device = *entry->device;
    const DeviceInfo info = device.block().info();
    core::log(LogLevel::kInfo, {.device = entry->folder}, "serving {} ({} bytes) at /dev/uio{}",
              entry->uio.name.config, info.size, entry->uio.minor);
    core::call_on(device.queue(), [&device, told = entry->size_came_early] {
        if (told) {
            device.capacity_changed();
        }
        device.start();
    });
    entry->size_came_early = false;
    if (entry->reply) {
        entry->add_answered = entry->reply.answer(0);
    }
    entry->tells_size = info.size != entry->kernel_size;
    became_idle(entry);
}

void TcmuService::open_failed(const Entry& entry, const Error& error) {
    entry->queue.reset();
    const bool is_news = entry->error != error.what;
    {
        const std::lock_guard lock(mutex_);
        entry->error = error.what;
    }
    if (entry->reply) {
        core::log(LogLevel::kError, {.device = entry->folder}, "{}: {}; refusing the device",
                  entry->uio.name.config, error.what);
        if (entry->reply.answer(-error.code)) {
            forget(entry, 0);
            return;
        }
        // Nobody waited: another daemon has answered, and the device stays unless it refused.
    }
    if (!is_there(world_.paths, entry->uio)) {
        forget(entry, 0);
        return;
    }
    if (is_news) {
        core::log(LogLevel::kError, {.device = entry->folder},
                  "{}: {}; not serving the device, trying again every {} s", entry->uio.name.config,
                  error.what, std::chrono::floor<std::chrono::seconds>(world_.retry_time).count());
    }
    became_idle(entry);
    if (find(entry->folder) == entry && entry->phase == Phase::kIdle) {
        retry_later(entry);
    }
}

// A device that is enabled stays with the kernel whether we serve it or not.
void TcmuService::retry_later(const Entry& entry) {
    end_step(entry);
    entry->watchdog = loop_->after(world_.retry_time, [this, entry, step = entry->step] {
        if (entry->step == step && entry->phase == Phase::kIdle && !stopping_) {
            entry->watchdog.reset();
            open_in_turn(entry);
        }
    });
}

// A change of the device has ended: its event gets the outcome.
void TcmuService::changed(const Entry& entry, const Status& status) {
    if (!status) {
        core::log(LogLevel::kError, {.device = entry->folder}, "{}, refusing the change",
                  status.error().what);
    }
    (void)entry->reply.answer(status ? 0 : -status.error().code);  // failures are logged there
    became_idle(entry);
}

void TcmuService::push_size(const Entry& entry) {
    entry->tells_size = false;
    const std::uint64_t bytes = entry->device->block().info().size;
    if (bytes == entry->kernel_size) {
        return;
    }
    set_phase(entry, Phase::kChanging);
    auto result = std::make_shared<Status>();
    run_step(
        entry, {.most = settings_.bring_up_timeout},
        [configfs = entry->configfs, bytes, result] { *result = configfs->write_size(bytes); },
        [this, entry, bytes, result] {
            if (*result) {
                core::log(LogLevel::kNotice, {.device = entry->folder},
                          "the size is {} bytes now (it was {})", bytes, entry->kernel_size);
                entry->kernel_size = bytes;
            } else {
                core::log(LogLevel::kWarning, {.device = entry->folder},
                          "{}, the kernel keeps the old size", result->error().what);
            }
            became_idle(entry);
        },
        [this, entry] {
            core::log(LogLevel::kWarning, {.device = entry->folder},
                      "the kernel does not take the new size");
            became_idle(entry);
            return true;
        });
}

void TcmuService::handler_says_size(const Entry& entry) {
    if (entry->phase == Phase::kClosing) {
        return;
    }
    if (!entry->device) {
        entry->size_came_early = true;  // opened() asks the device for it
        return;
    }
    core::call_on(entry->device->queue(),
                  [device = entry->device.get()] { device->capacity_changed(); });
    entry->tells_size = true;
    if (entry->phase == Phase::kIdle) {
        became_idle(entry);
    }
}

// MODE SELECT has changed WCE: the kernel's emulate_write_cache follows. One write at a time, of
// the value that holds then, until both are the same. The kernel may refuse for a while (another
// change of the device waits, events are blocked).
void TcmuService::push_write_cache(const Entry& entry) {
    if (!entry->device || entry->writing_cache || entry->phase == Phase::kClosing) {
        return;
    }
    const bool enabled = entry->device->write_cache();
    entry->writing_cache = enabled;
    auto result = std::make_shared<Status>();
    auto back = on_loop([this, entry, enabled, result] {
        entry->writing_cache.reset();
        if (*result && entry->device && entry->device->write_cache() != enabled) {
            push_write_cache(entry);
        } else if (!*result) {
            core::log(LogLevel::kInfo, {.device = entry->folder}, "{}, trying again",
                      result->error().what);
            (void)loop_->after(kCacheRetry, [this, entry] { push_write_cache(entry); });
        }
    });
    // Not in the line of the device's steps: a removal shall not wait for it.
    core::call_in_worker(
        runtime_.queues.workers(), &entry->writing_cache,
        [configfs = entry->configfs, enabled, result, back = std::move(back)]() mutable {
            *result =
                configfs->write(ConfigfsDevice::File::kEmulateWriteCache, enabled ? "1" : "0");
            back();
        });
}

// Drains the device and closes it on a worker; then `reply`, if any, is answered. The kernel does
// not care for the outcome, and is not kept waiting beyond the bound.
void TcmuService::close(const Entry& entry, PendingReply reply) {
    const Phase before = entry->phase;
    if (reply || entry->gone) {
        entry->stays->store(false);
    }
    if (reply) {
        entry->reply = std::move(reply);
    } else if (entry->reply && entry->reply.kind() == DeviceEvent::Kind::kReconfig) {
        (void)entry->reply.answer(-EINTR);  // nobody will know whether it was done
    }
    if (before == Phase::kClosing) {
        return;
    }
    set_phase(entry, Phase::kClosing);
    end_step(entry);
    if (before == Phase::kProbing) {
        one_probed();  // its probe will not count any more
    }
    if (!entry->device) {
        entry->queue.reset();
        closed(entry);
        return;
    }
    entry->watchdog =
        loop_->after(settings_.drain_timeout + kClosingTime, [this, entry, step = entry->step] {
            if (entry->step == step) {
                core::log(LogLevel::kWarning, {.device = entry->folder},
                          "closing takes too long, going on without");
                given_up_ = true;
                closed(entry);
            }
        });
    ++working_;
    Device* device = entry->device.get();
    Device::Drain drain{.bound = settings_.drain_timeout,
                        .late = on_loop([this, entry] {
                            core::log(LogLevel::kWarning, {.device = entry->folder},
                                      "commands still run after {} ms, going on without them",
                                      settings_.drain_timeout.count());
                            given_up_ = true;
                            closed(entry);
                        }),
                        .quiet = on_loop([this, entry] { drained(entry); })};
    core::call_on(device->queue(), [device, drain = std::move(drain)]() mutable {
        device->drain(std::move(drain));
    });
}

// Nothing of the device runs any more.
void TcmuService::drained(const Entry& entry) {
    std::shared_ptr<Device> device;
    {
        const std::lock_guard lock(mutex_);
        device = std::move(entry->device);
    }
    core::call_in_worker(
        runtime_.queues.workers(), entry.get(),
        [device = std::move(device), queue = std::move(entry->queue), back = on_loop([this, entry] {
                                                                          --working_;
                                                                          closed(entry);
                                                                      })]() mutable {
            device.reset();
            queue.reset();
            back();
        });
}

// Comes once or, when commands or the handler took too long, a second time.
void TcmuService::closed(const Entry& entry) {
    end_step(entry);
    forget(entry, 0);
}

// The device is no longer known; then whoever waits for that is answered.
void TcmuService::forget(const Entry& entry, int result) {
    {
        const std::lock_guard lock(mutex_);
        std::erase(entries_, entry);
    }
    if (tables_ && !entry->stays->load()) {
        tables_->remove(entry->uio.minor, entry->uio.node);
    }
    end_turn(entry);
    (void)entry->reply.answer(result);  // failures are logged there
    for (ServedDevice::Waiting& left : entry->waiting) {
        loop_->cancel(left.timer);
        (void)left.reply.answer(-ENODEV);
    }
    entry->waiting.clear();
    clear_stale_events();
    check_stopped();
}

void TcmuService::became_idle(const Entry& entry) {
    set_phase(entry, Phase::kIdle);
    end_turn(entry);
    handle_waiting(entry);
    if (entry->phase == Phase::kIdle && entry->device && entry->tells_size) {
        push_size(entry);
    }
    clear_stale_events();
}

}  // namespace lunkit::tcmu

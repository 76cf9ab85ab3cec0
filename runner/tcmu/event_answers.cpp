// SPDX-License-Identifier: Apache-2.0
// TcmuService: from a netlink event to its one answer.
#include <cerrno>
#include <utility>

#include "core/log.hpp"
#include "core/posted_call.hpp"
#include "tcmu/tcmu_service.hpp"

namespace lunkit::tcmu {

namespace {

using Phase = ServedDevice::Phase;
using core::LogLevel;

template <typename... Visitors>
struct Overloaded : Visitors... {
    using Visitors::operator()...;
};

}  // namespace

void TcmuService::receive_events() {
    read_events();
    clear_stale_events();
}

void TcmuService::read_events() {
    const Result<std::vector<DeviceEvent>> events = channel_->receive();
    if (!events) {
        core::log(LogLevel::kError, {}, "{}; TCMU devices can no longer be added or removed",
                  events.error().what);
        loop_->forget_descriptor();
        // What the kernel tells reaches nobody: it shall not wait for answers.
        if (const Status off = channel_->expect_answers(false); !off) {
            core::log(LogLevel::kError, {}, "{}; commands that change devices may hang",
                      off.error().what);
        }
        return;
    }
    reading_ = true;
    for (const DeviceEvent& event : *events) {
        on_event(event);
    }
    reading_ = false;
}

void TcmuService::on_event(const DeviceEvent& event) {
    const std::optional<DeviceName> name = DeviceName::parse(event.name);
    PendingReply reply;
    if (event.device_id) {
        reply = PendingReply(*channel_, event.kind, *event.device_id);
        if (const auto older = foreign_.find(*event.device_id); older != foreign_.end()) {
            // The kernel goes on only when it has its answer: somebody gave it.
            older->second.reply.forget();
            loop_->cancel(older->second.timer);
            foreign_.erase(older);
        }
    }
    if (!name) {
        core::log(LogLevel::kWarning, {}, "the kernel named a TCMU device '{}', ignoring it",
                  event.name);
        reply.forget();
        return;
    }
    const Entry entry = find(name->folder());
    // What is heard has its own answer, and what waited unheard before it has had one: another one
    // would end what comes after it.
    std::erase(scan_.enabled, entry);
    if (entry && entry->device_id == event.device_id) {
        // For the same reason: an older event of the device that waits has had its answer.
        entry->reply.forget();
        for (ServedDevice::Waiting& older : entry->waiting) {
            older.reply.forget();
        }
    }
    if (event.kind == DeviceEvent::Kind::kAdded) {
        // The kernel gives a minor number again as soon as it is free, an id long after.
        const bool is_known =
            entry && entry->uio.minor == event.minor &&
            (!entry->device_id || !event.device_id || entry->device_id == event.device_id);
        if (is_known && entry->phase != Phase::kClosing) {
            on_known_added(entry, event, std::move(reply));
        } else {
            on_added(event, *name, std::move(reply));
        }
        return;
    }
    if (!entry) {
        if (!world_.knows(name->config)) {
            on_foreign(event, std::move(reply));
        } else {
            (void)reply.answer(event.kind == DeviceEvent::Kind::kRemoved ? 0 : -ENODEV);
        }
        return;
    }
    if (event.kind == DeviceEvent::Kind::kRemoved) {
        on_removed(entry, std::move(reply));
    } else {
        on_reconfig(entry, event, std::move(reply));
    }
}

void TcmuService::on_added(const DeviceEvent& event, const DeviceName& name, PendingReply reply) {
    if (!world_.knows(name.config)) {
        on_foreign(event, std::move(reply));
        return;
    }
    if (stopping_) {
        core::log(LogLevel::kNotice, {.device = name.folder()},
                  "the daemon is stopping, refusing the device");
        (void)reply.answer(-EINTR);
        return;
    }
    if (const Entry older = find(name.folder()); older) {
        older->reply.forget();  // the kernel could make another one: somebody gave the answer
        close(older, {});  // its REMOVED was lost, or it is still closing: this is another device
        const std::lock_guard lock(mutex_);
        std::erase(entries_, older);
    }
    const Entry entry =
        add({.minor = event.minor, .name = name, .node = sysfs_inode(world_.paths, event.minor)});
    entry->device_id = event.device_id;
    entry->reply = std::move(reply);
    open(entry);
}

// The look around at start found the device before its event was read.
void TcmuService::on_known_added(const Entry& entry, const DeviceEvent& event, PendingReply reply) {
    entry->device_id = event.device_id;
    if (entry->phase == Phase::kProbing || entry->phase == Phase::kOpening) {
        entry->reply.forget();
        entry->reply = std::move(reply);
    } else if (entry->add_answered) {
        reply.forget();
    } else {
        entry->add_answered = reply.answer(entry->device ? 0 : -ENODEV);
    }
}

void TcmuService::on_removed(const Entry& entry, PendingReply reply) {
    // Whatever a worker is doing may hang on the very lock that the kernel holds: it is given up.
    close(entry, std::move(reply));
}

void TcmuService::on_reconfig(const Entry& entry, const DeviceEvent& event, PendingReply reply) {
    if (entry->phase == Phase::kClosing) {
        (void)reply.answer(-ENODEV);
        return;
    }
    const auto* cache = std::get_if<DeviceEvent::NewWriteCache>(&event.change);
    if (cache != nullptr && entry->writing_cache == cache->enabled) {
        (void)reply.answer(0);  // it is our own write that asks, and the unit is ahead of it
        return;
    }
    if (entry->phase != Phase::kIdle) {
        wait(entry, event, std::move(reply));
        return;
    }
    if (!entry->device) {
        core::log(LogLevel::kError, {.device = entry->folder},
                  "the device is not served ({}), refusing the change", entry->error);
        (void)reply.answer(-ENODEV);
        return;
    }
    const auto change_config = [&](const DeviceEvent::NewConfig& change) {
        const bool same = change.config == entry->uio.name.config;
        if (!same) {
            core::log(LogLevel::kError, {.device = entry->folder},
                      "the configuration of a device in use cannot become '{}', refusing",
                      change.config);
        }
        (void)reply.answer(same ? 0 : -EOPNOTSUPP);
    };
    const auto unknown = [&](std::monostate) {
        core::log(LogLevel::kError, {.device = entry->folder},
                  "the kernel asks for a change that is unknown here, refusing");
        (void)reply.answer(-EOPNOTSUPP);
    };
    std::visit(Overloaded{change_config, unknown,
                          [&](const DeviceEvent::NewSize& change) {
                              change_size(entry, change.bytes, std::move(reply));
                          },
                          [&](const DeviceEvent::NewWriteCache& change) {
                              change_write_cache(entry, change.enabled, std::move(reply));
                          }},
               event.change);
}

void TcmuService::change_size(const Entry& entry, std::uint64_t bytes, PendingReply reply) {
    const std::shared_ptr<Device>& device = entry->device;
    if (bytes == device->block().info().size) {
        (void)reply.answer(0);
        entry->kernel_size = bytes;
        return;
    }
    set_phase(entry, Phase::kChanging);
    entry->reply = std::move(reply);
    auto result = std::make_shared<Status>();
    run_step(
        entry, {.most = settings_.bring_up_timeout},
        [device, bytes, result] { *result = device->block().resize(bytes); },
        [this, entry, bytes, result] {
            if (*result) {
                core::log(LogLevel::kNotice, {.device = entry->folder}, "resized to {} bytes",
                          bytes);
                if (entry->reply) {
                    entry->kernel_size = bytes;
                } else {
                    entry->tells_size = true;  // the kernel was told that it failed
                }
                Device* unit = entry->device.get();
                core::call_on(unit->queue(), [unit] { unit->capacity_changed(); });
            }
            changed(entry, *result);
        },
        [entry] {
            core::log(LogLevel::kError, {.device = entry->folder},
                      "resizing takes too long, telling the kernel so");
            (void)entry->reply.answer(-ETIMEDOUT);
            return false;  // the phase lasts until the handler is back
        });
}

void TcmuService::change_write_cache(const Entry& entry, bool enabled, PendingReply reply) {
    Device* device = entry->device.get();
    if (enabled == device->write_cache()) {
        (void)reply.answer(0);
        return;
    }
    set_phase(entry, Phase::kChanging);
    entry->reply = std::move(reply);
    end_step(entry);
    entry->watchdog = loop_->after(settings_.bring_up_timeout, [entry] {
        entry->watchdog.reset();
        (void)entry->reply.answer(-ETIMEDOUT);
    });
    auto result = std::make_shared<Status>();
    auto back = on_loop([this, entry, step = entry->step, enabled, result] {
        if (entry->step != step) {
            return;  // it is being closed
        }
        end_step(entry);
        if (*result) {
            core::log(LogLevel::kNotice, {.device = entry->folder}, "the write cache is {} now",
                      enabled ? "on" : "off");
            if (!entry->reply) {
                push_write_cache(entry);  // the kernel was told that it failed
            }
        }
        changed(entry, *result);
    });
    core::call_on(device->queue(), [device, enabled, result, back = std::move(back)]() mutable {
        device->set_write_cache(enabled, [result, back = std::move(back)](Status status) mutable {
            *result = std::move(status);
            back();
        });
    });
}

// Not ours to answer. But if nobody does, the user's command would wait for ever.
void TcmuService::on_foreign(const DeviceEvent& event, PendingReply reply) {
    if (!reply || settings_.foreign_subtypes == core::ForeignSubtype::kIgnore || stopping_) {
        reply.forget();
        return;
    }
    const std::uint32_t id = *event.device_id;
    const std::uint64_t number = ++foreign_count_;
    const auto answer_late = [this, id, number, event] {
        receive_events();  // a newer event of the device would show that this one was answered
        const auto late = foreign_.find(id);
        if (late == foreign_.end() || late->second.number != number) {
            return;
        }
        const bool waited =
            late->second.reply.answer(event.kind == DeviceEvent::Kind::kRemoved ? 0 : -ENOENT);
        if (waited) {
            core::log(LogLevel::kNotice, {}, "nobody answered for '{}', told the kernel so",
                      event.name);
        }
        foreign_.erase(late);
    };
    const ControlLoop::TimerId timer = loop_->after(settings_.foreign_timeout, answer_late);
    foreign_.emplace(id, Foreign{number, std::move(reply), timer});
}

// Until what the device is doing has ended, but not for ever.
void TcmuService::wait(const Entry& entry, const DeviceEvent& event, PendingReply reply) {
    const ControlLoop::TimerId timer = loop_->after(settings_.bring_up_timeout, [entry] {
        core::log(LogLevel::kError, {.device = entry->folder},
                  "the device is busy for too long, refusing the change");
        (void)entry->waiting.front().reply.answer(-ETIMEDOUT);
        entry->waiting.pop_front();  // the first to come is the first to wait too long
    });
    entry->waiting.push_back({event, std::move(reply), timer});
}

void TcmuService::handle_waiting(const Entry& entry) {
    while (entry->phase == Phase::kIdle && !entry->waiting.empty()) {
        ServedDevice::Waiting next = std::move(entry->waiting.front());
        entry->waiting.pop_front();
        loop_->cancel(next.timer);
        on_reconfig(entry, next.event, std::move(next.reply));
    }
}

}  // namespace lunkit::tcmu

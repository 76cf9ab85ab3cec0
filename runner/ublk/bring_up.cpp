// SPDX-License-Identifier: Apache-2.0
// UblkService: how a device comes to be served.
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <future>
#include <utility>

#include "core/log.hpp"
#include "lunkit/try.hpp"
#include "ublk/device_name.hpp"
#include "ublk/parameters.hpp"
#include "ublk/ublk_service.hpp"

namespace lunkit::ublk {

namespace {

using core::DeviceState;
using core::LogLevel;

constexpr std::uint16_t kQueueDepth = 128;
constexpr std::uint32_t kMaxIoBytes = 512U << 10U;

}  // namespace

void UblkService::bring_up(const Entry& entry) {
    Asked meanwhile;
    {
        const std::lock_guard step(entry->step);
        if (const Status made = make(entry); !made) {
            undo(entry, made.error());
            return;
        }
        meanwhile = serving(entry);
    }
    catch_up(entry, meanwhile);
}

/// The steps in the kernel's order. After an error what has been made is still there; the tags are
/// with the kernel if the entry has queues.
Status UblkService::make(const Entry& entry) {
    CHECK(prepare());
    const core::NewDevice& wanted = entry->wanted;
    TRY(std::unique_ptr<BlockDevice> block,
        world_.open_block(open_request(entry, entry->take_over)));
    const DeviceInfo storage = block->info();
    CHECK(check_queues(entry, storage));
    if (const Status written = write_record(entry, storage); !written) {
        core::log(LogLevel::kWarning, {.device = wanted.config},
                  "{}; the device will end with the daemon", written.error().what);
    }

    set_size(entry, storage.size);
    abi::DeviceInfo asked{};
    asked.nr_hw_queues = static_cast<std::uint16_t>(wanted.queues);
    asked.queue_depth = kQueueDepth;
    asked.max_io_buf_bytes = kMaxIoBytes;
    asked.dev_id = wanted.number.value_or(abi::kAnyDevice);
    asked.flags = abi::kFlagCommandsAreIoctls;
    if (entry->record.identity != 0) {
        asked.flags |= abi::kFlagUserRecovery | abi::kFlagUserRecoveryReissue;
        asked.ublksrv_flags = entry->record.identity;
    }
    TRY(const abi::DeviceInfo info, control_->add(asked));
    {
        const std::lock_guard lock(mutex_);
        entry->dev_id = info.dev_id;
        entry->name->set(block_name(info.dev_id));
        entry->recoverable = is_recoverable(info);
    }
    const abi::Params params = parameters_of(storage, wanted.block_size, info.max_io_buf_bytes);
    CHECK(control_->set_params(info.dev_id, params));
    CHECK(fetch(entry, std::move(block), info));
    CHECK(control_->start(info.dev_id, ::getpid()));
    limit_silence(entry);
    entry->handing_over->store(false);
    return {};
}

Status UblkService::check_queues(const Entry& entry, const DeviceInfo& storage) {
    if (entry->wanted.queues > 1 && !storage.parallel) {
        return failure(EINVAL,
                       fmt::format("{} has to be served by one queue", entry->wanted.config));
    }
    return {};
}

host::OpenDevice UblkService::open_request(const Entry& entry, bool take_over) const {
    const core::NewDevice& wanted = entry->wanted;
    return {.config = wanted.config,
            .name = wanted.config,
            .size = wanted.size,
            .block_size = wanted.block_size,
            .read_only = wanted.read_only,
            .take_over = take_over,
            .size_changed =
                [label = host::DeviceLabel{wanted.config, entry->name}](std::uint64_t bytes) {
                    core::log(LogLevel::kWarning, {.device = label.get()},
                              "the storage has {} bytes now; its ublk device keeps its size until "
                              "\"lunkit ublk resize\"",
                              bytes);
                },
            .handing_over = [handing_over = entry->handing_over] { return handing_over->load(); },
            .late_name = entry->name};
}

/// What the next daemon has to know, before there is anything that it could find.
Status UblkService::write_record(const Entry& entry, const DeviceInfo& block) const {
    if (!folder_) {
        return {};
    }
    const core::NewDevice& wanted = entry->wanted;
    DeviceRecord record{.identity = 0,
                        .config = wanted.config,
                        .size = block.size,
                        .block_size = wanted.block_size,
                        .read_only = wanted.read_only};
    TRY(record.identity, new_identity());
    CHECK(folder_->write(record));
    entry->record = std::move(record);
    return {};
}

/// Gives the kernel all tags of a device, which it then has until they are taken back.
Status UblkService::fetch(const Entry& entry, std::unique_ptr<BlockDevice> block,
                          const abi::DeviceInfo& info) {
    DeviceParts parts;
    parts.name = block_name(info.dev_id);
    parts.queue_depth = info.queue_depth;
    parts.max_io_bytes = info.max_io_buf_bytes;
    parts.block_size = entry->wanted.block_size;
    TRY(parts.chars, world_.open_chars(info.dev_id));
    parts.block = std::move(block);
    parts.ended = [this, weak = std::weak_ptr<Served>(entry)] {
        if (const Entry known = weak.lock()) {
            trusted_->post([this, known] { on_worker(known, &UblkService::ended); });
        }
    };
    std::vector<core::EngineQueue*> queues = assign_queues(info.nr_hw_queues);
    auto made = Device::make(std::move(parts), queues);
    if (!made) {
        release_queues(queues);
        return std::unexpected(made.error());
    }
    Device& device = **made;
    {
        const std::lock_guard lock(mutex_);
        entry->device = std::move(*made);
        entry->queues = std::move(queues);
    }
    const auto begun = std::make_shared<std::promise<Status>>();
    std::future<Status> outcome = begun->get_future();
    device.begin([begun](Status status) { begun->set_value(std::move(status)); });
    return outcome.get();
}

void UblkService::limit_silence(const Entry& entry) const {
    if (const Status limited = world_.limit_silence(block_node(*entry->dev_id)); !limited) {
        core::log(LogLevel::kWarning, {.device = block_name(*entry->dev_id)},
                  "{}; should the daemon die, it may take half a minute to be noticed",
                  limited.error().what);
    }
}

/// Its caller has the step of it, as for undo(): the tags may come back at any time, and ended()
/// waits for that.
UblkService::Asked UblkService::serving(const Entry& entry) {
    Added added;
    Asked meanwhile;
    {
        const std::lock_guard lock(mutex_);
        meanwhile = {.stop = stopping_, .removal = !entry->removed.empty(), .force = entry->force};
        entry->state = DeviceState::kRunning;
        entry->recovering = false;
        entry->failed.reset();
        added = std::exchange(entry->added, nullptr);
    }
    core::log(LogLevel::kInfo, {.device = block_name(*entry->dev_id)}, "serving {}",
              entry->wanted.config);
    if (added) {
        added(block_node(*entry->dev_id));
    }
    settle(entry);
    return meanwhile;
}

/// Does what was asked for while it was brought up. Who asks later sees to it himself.
void UblkService::catch_up(const Entry& entry, Asked meanwhile) {
    if (meanwhile.removal) {
        take_down(entry, meanwhile.force);
    } else if (meanwhile.stop) {
        stop_serving(entry);
    }
}

/// Takes back what was made of it.
void UblkService::undo(const Entry& entry, const Error& why) {
    bool has_tags_out = false;
    {
        const std::lock_guard lock(mutex_);
        entry->failed = why;
        entry->recovering = false;
        has_tags_out = !entry->queues.empty();
    }
    if (has_tags_out) {
        // Brings the tags back, and with the last one ended().
        if (const Status stopped = control_->stop(*entry->dev_id); !stopped) {
            keep_failed(entry, stopped.error());
        }
        return;
    }
    if (entry->dev_id) {
        if (const Status removed = control_->remove(*entry->dev_id); !removed) {
            core::log(LogLevel::kError, {.device = block_name(*entry->dev_id)}, "{}",
                      removed.error().what);
        }
    }
    forget(entry);
}

/// A device that could not be brought up, and whose tags the kernel has: it stays until it can be
/// removed.
void UblkService::keep_failed(const Entry& entry, const Error& why) {
    Added added;
    std::vector<Removed> removed;
    std::optional<Error> failed;
    {
        const std::lock_guard lock(mutex_);
        entry->failed->what += fmt::format("; and it does not go either: {}", why.what);
        entry->state = DeviceState::kFailed;
        entry->given_up = stopping_;
        failed = entry->failed;
        added = std::exchange(entry->added, nullptr);
        removed.swap(entry->removed);
    }
    if (added) {
        added(std::unexpected(*failed));
    }
    answer(std::move(removed), std::unexpected(*failed));
    settle(entry);
    check_stopped();
}

// Workers of several devices at once.
std::vector<core::EngineQueue*> UblkService::assign_queues(std::size_t count) {
    const std::lock_guard lock(mutex_);
    std::vector<core::EngineQueue*> queues;
    while (queues.size() < count) {
        queues.push_back(&queues_->assign());
    }
    return queues;
}

void UblkService::release_queues(const std::vector<core::EngineQueue*>& queues) {
    const std::lock_guard lock(mutex_);
    for (core::EngineQueue* const queue : queues) {
        queues_->release(*queue);
    }
}

}  // namespace lunkit::ublk

// SPDX-License-Identifier: Apache-2.0
// UblkService: how a device that a predecessor left comes to be served again.
//
// The kernel's rules (Linux 6.12). START_USER_RECOVERY is refused with EBUSY
// until the server has ended and the kernel has noticed; it opens the device for fetches and
// forgets the server. END_USER_RECOVERY waits for the fetches and lets requests come. A server that
// dies after the first leaves a device of which START_USER_RECOVERY says EINVAL, and which takes
// fetches all the same; one that dies after the fetches leaves it as it was before. What must not
// be is a mapping without fetches (CharDevice::map), and fetches of a part of the tags: a queue
// submits all of them by one system call, which a signal does not divide.
//
// Several hardware queues are several system calls. Of a server that dies when it has fetched the
// tags of some and not of all, the kernel crashes at the next START_USER_RECOVERY; DEL_DEV is all
// that is left, and requests that wait fail. So those fetches are made at once, and marked beside
// the device's record for as long as they take.
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "core/log.hpp"
#include "lunkit/try.hpp"
#include "ublk/device_name.hpp"
#include "ublk/ublk_service.hpp"

namespace lunkit::ublk {

namespace {

using core::DeviceState;
using core::LogLevel;
using Clock = std::chrono::steady_clock;

// The kernel may take until a request times out (30 s where limit_silence() has failed).
constexpr std::chrono::seconds kNoticePatience{40};
constexpr std::chrono::milliseconds kNoticePause{50};

bool passes(const Error& error) {
    switch (error.code) {
        case EAGAIN:
        case EINTR:
        case ENOMEM:
        case EMFILE:
        case ENFILE:
            return true;
        default:
            return false;
    }
}

}  // namespace

/// For as long as it takes: requests of its users wait.
void UblkService::recover(const Entry& entry) {
    Asked meanwhile;
    for (;;) {
        Error why;
        {
            const std::lock_guard step(entry->step);
            const std::uint32_t dev_id = *entry->dev_id;
            if (!still_waits(entry)) {
                core::log(LogLevel::kNotice, {.device = block_name(dev_id)},
                          "it ended with the last daemon, removing what is left of it");
                forget(entry, remove_unserved(dev_id, true));
                return;
            }
            if (folder_->is_fetching(entry->record.identity)) {
                core::log(
                    LogLevel::kError, {.device = block_name(dev_id)},
                    "the last daemon died while it recovered its {} queues, which this kernel "
                    "cannot do again; removing it",
                    entry->wanted.queues);
                forget(entry, remove_unserved(dev_id, true));
                return;
            }
            const Status resumed = resume(entry);
            if (resumed) {
                meanwhile = serving(entry);
                break;
            }
            why = resumed.error();
            if (!entry->queues.empty()) {
                if (is_left_by_stop(entry, why)) {
                    return;
                }
                core::log(LogLevel::kError, {.device = block_name(dev_id)},
                          "{}; it cannot be recovered, removing it", why.what);
                undo(entry, why);
                return;
            }
            if (!still_waits(entry)) {
                continue;  // a removal that the last daemon had begun has ended meanwhile
            }
        }
        if (!try_again(entry, why)) {
            return;
        }
    }
    catch_up(entry, meanwhile);
}

/// Whether there is a block device whose requests wait for a server.
bool UblkService::still_waits(const Entry& entry) const {
    const Result<abi::DeviceInfo> info = control_->info(*entry->dev_id);
    if (!info) {
        return info.error().code != ENODEV;
    }
    return info->state != abi::kStateDead && is_recoverable(*info);
}

Status UblkService::resume(const Entry& entry) {
    CHECK(prepare());
    const std::uint32_t dev_id = *entry->dev_id;
    entry->handing_over->store(true);
    // First, as it takes longest: a handler waits until I/O of the dead daemon has ended.
    TRY(std::unique_ptr<BlockDevice> block, world_.open_block(open_request(entry, true)));
    CHECK(check_queues(entry, block->info()));
    if (block->info().size < entry->record.size) {
        return failure(EINVAL, fmt::format("the storage has {} bytes, and its device {}",
                                           block->info().size, entry->record.size));
    }
    set_size(entry, entry->record.size);
    CHECK(start_recovery(entry));
    TRY(const abi::DeviceInfo info, control_->info(dev_id));
    CHECK(fetch_marked(entry, std::move(block), info));
    CHECK(end_recovery(entry));
    limit_silence(entry);  // the last daemon may have died before it could
    entry->handing_over->store(false);
    return {};
}

Status UblkService::fetch_marked(const Entry& entry, std::unique_ptr<BlockDevice> block,
                                 const abi::DeviceInfo& info) {
    if (info.nr_hw_queues == 1) {
        return fetch(entry, std::move(block), info);
    }
    CHECK(folder_->mark_fetching(entry->record.identity));
    Status fetched = fetch(entry, std::move(block), info);
    if (fetched || entry->queues.empty()) {  // otherwise some may have been fetched
        folder_->unmark_fetching(entry->record.identity);
    }
    return fetched;
}

Status UblkService::start_recovery(const Entry& entry) {
    const auto deadline = Clock::now() + kNoticePatience;
    for (;;) {
        const Status started = control_->start_recovery(*entry->dev_id);
        if (started || started.error().code == EINVAL) {  // one that was not ended; see above
            return {};
        }
        if (started.error().code != EBUSY || Clock::now() >= deadline || !still_waits(entry) ||
            !pause(entry, kNoticePause)) {
            return started;
        }
    }
}

/// What this machine lacks for a moment is tried again; the driver's own refusal is final.
Status UblkService::end_recovery(const Entry& entry) {
    bool is_told = false;
    for (;;) {
        const Status ended = control_->end_recovery(*entry->dev_id, ::getpid());
        if (ended || !passes(ended.error())) {
            return ended;
        }
        if (!std::exchange(is_told, true)) {
            core::log(LogLevel::kWarning, {.device = block_name(*entry->dev_id)},
                      "{}; its requests wait, trying again", ended.error().what);
        }
        if (!pause(entry, kNoticePause)) {
            return ended;
        }
    }
}

/// Of a device that is fetched, and whose recovery could not be ended: when this process ends, it
/// is as it was before.
bool UblkService::is_left_by_stop(const Entry& entry, const Error& why) {
    {
        const std::lock_guard lock(mutex_);
        if (!stopping_ || !passes(why)) {
            return false;
        }
        entry->recovering = false;
        entry->left = true;
    }
    check_stopped();
    return true;
}

/// False when something is asked of the device, or of the daemon, instead.
bool UblkService::pause(const Entry& entry, std::chrono::milliseconds duration) {
    std::unique_lock lock(mutex_);
    return !changed_.wait_for(lock, duration,
                              [this, &entry] { return stopping_ || !entry->removed.empty(); });
}

/// After an attempt that failed: whether to make another, when it is time.
bool UblkService::try_again(const Entry& entry, const Error& why) {
    bool is_news = false;
    {
        const std::lock_guard lock(mutex_);
        is_news = !entry->failed || entry->failed->what != why.what;
        entry->failed = why;
        entry->state = DeviceState::kFailed;
    }
    settle(entry);
    if (pause(entry, std::chrono::milliseconds(0))) {
        if (is_news) {
            core::log(LogLevel::kError, {.device = block_name(*entry->dev_id)},
                      "{}: {}; its requests wait, trying again every {} s", entry->wanted.config,
                      why.what,
                      std::chrono::ceil<std::chrono::seconds>(world_.retry_pause).count());
        }
        if (pause(entry, world_.retry_pause)) {
            return true;
        }
    }
    bool is_stopping = false;
    bool force = false;
    {
        const std::lock_guard lock(mutex_);
        is_stopping = stopping_;
        force = entry->force;
    }
    const Status gone = is_stopping ? failure(ECANCELED, "the daemon stops")
                                    : remove_unserved(*entry->dev_id, force);
    if (gone) {
        forget(entry);
        return false;
    }
    std::vector<Removed> removed;
    {
        const std::lock_guard lock(mutex_);
        if (entry->force && !force && !is_stopping) {
            return true;  // somebody wants it with force meanwhile: the next attempt is soon over
        }
        removed.swap(entry->removed);
        entry->force = false;
        entry->left = is_stopping;
        entry->recovering = !is_stopping;
    }
    answer(std::move(removed), gone);
    check_stopped();
    return !is_stopping;
}

}  // namespace lunkit::ublk

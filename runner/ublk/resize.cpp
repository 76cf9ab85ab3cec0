// SPDX-License-Identifier: Apache-2.0
// UblkService: how a device gets another size. Kernels since 6.16 change it while the device is in
// use (UPDATE_SIZE). With others it is removed and made again with the same number, over storage
// that stays, and only if nobody uses it.
//
// The storage is never smaller than the device: it grows before it, and shrinks after it.
#include <fmt/format.h>

#include <cerrno>
#include <utility>

#include "core/log.hpp"
#include "core/posted_call.hpp"
#include "lunkit/try.hpp"
#include "ublk/device_name.hpp"
#include "ublk/ublk_service.hpp"

namespace lunkit::ublk {

namespace {

using core::DeviceState;
using core::LogLevel;

}  // namespace

void UblkService::resize_device(const std::string& name, std::uint64_t size, bool recreate,
                                Resized done) {
    const Result<std::uint32_t> dev_id = parse_device_name(name);
    if (!dev_id) {
        done(std::unexpected(dev_id.error()));
        return;
    }
    Entry entry;
    {
        const std::lock_guard lock(mutex_);
        entry = find(*dev_id);
    }
    if (!entry) {
        done(failure(ENOENT, fmt::format("lunkitd serves no ublk device {}", *dev_id)));
        return;
    }
    core::call_in_worker(runtime_.queues.workers(), entry.get(),
                         [this, entry, size, recreate, done = std::move(done)]() mutable {
                             resize(entry, size, recreate, std::move(done));
                         });
}

void UblkService::resize(const Entry& entry, std::uint64_t size, bool recreate, Resized done) {
    Status status;
    bool goes_on = false;
    {
        const std::lock_guard step(entry->step);
        status = check_resize(entry, size);
        if (status && entry->size != size) {
            if (kernel_resizes()) {
                status = update_size(entry, size);
            } else if (recreate) {
                entry->size_before = entry->size;
                status = prepare_recreation(entry, size);
                goes_on = status.has_value();
            } else {
                status = failure(
                    EOPNOTSUPP,
                    "this kernel cannot change the size of a ublk device (Linux 6.16 can); with "
                    "--recreate the device is removed and made again, if nobody uses it");
            }
        }
    }
    if (goes_on) {
        begin_recreation(entry, size, std::move(done));
    } else {
        done(std::move(status));
    }
}

Status UblkService::check_resize(const Entry& entry, std::uint64_t size) const {
    {
        const std::lock_guard lock(mutex_);
        if (stopping_) {
            return failure(ECANCELED, "the daemon stops");
        }
        if (entry->state != DeviceState::kRunning) {
            return failure(EAGAIN, "the device is not running: see \"lunkit ublk list\"");
        }
    }
    if (size == 0 || size % entry->wanted.block_size != 0) {
        return failure(EINVAL, fmt::format("{} bytes are not whole blocks of {}", size,
                                           entry->wanted.block_size));
    }
    return {};
}

bool UblkService::kernel_resizes() const {
    const Result<std::uint64_t> features = control_->features();
    return features && (*features & abi::kFlagUpdateSize) != 0;
}

Status UblkService::update_size(const Entry& entry, std::uint64_t size) {
    const std::uint64_t before = entry->size;
    if (size > before) {
        CHECK(entry->device->resize_storage(size));
        CHECK(record_size(entry, size));
        const Status grown = tell_size(entry, size);
        if (!grown) {
            CHECK(record_size(entry, before));
        }
        return grown;
    }
    CHECK(tell_size(entry, size));
    Status shrunk = record_size(entry, size);
    if (shrunk) {
        shrunk = entry->device->resize_storage(size);
    }
    if (!shrunk) {
        CHECK(tell_size(entry, before));
        CHECK(record_size(entry, before));
    }
    return shrunk;
}

/// The kernel, of a device that is served.
Status UblkService::tell_size(const Entry& entry, std::uint64_t size) {
    CHECK(control_->update_size(*entry->dev_id, size));
    set_size(entry, size);
    return {};
}

void UblkService::set_size(const Entry& entry, std::uint64_t size) {
    const std::lock_guard lock(mutex_);
    entry->size = size;
}

/// For the next daemon, and for whoever lists devices.
Status UblkService::record_size(const Entry& entry, std::uint64_t size) {
    if (entry->record.identity != 0) {
        entry->record.size = size;
        CHECK(folder_->write(entry->record));
    }
    const std::lock_guard lock(mutex_);
    entry->wanted.size = size;
    return {};
}

/// What may be refused, before anything is taken away.
Status UblkService::prepare_recreation(const Entry& entry, std::uint64_t size) const {
    CHECK(let_go(*entry->dev_id, false));
    return entry->device->resize_storage(size);
}

void UblkService::begin_recreation(const Entry& entry, std::uint64_t size, Resized done) {
    // What lives as long as the device does is kept for the one that follows.
    entry->handing_over->store(true);
    {
        const std::lock_guard lock(mutex_);
        entry->wanted.size = size;
        entry->resized = std::move(done);
    }
    take_down(entry, false);
}

/// The device has gone, for one of another size.
void UblkService::make_again(const Entry& entry, Resized resized) {
    auto next = std::make_shared<Served>();
    next->wanted = entry->wanted;
    next->wanted.number = entry->dev_id;
    next->take_over = true;
    next->added = [resized = std::move(resized)](const Result<std::string>& node) mutable {
        resized(node ? Status()
                     : failure(node.error().code,
                               fmt::format("it was removed, and could not be made again: {}",
                                           node.error().what)));
    };
    bool is_late = false;
    {
        const std::lock_guard lock(mutex_);
        is_late = stopping_;
        if (!is_late) {
            entries_.push_back(next);
        }
    }
    if (is_late) {
        next->added(failure(ECANCELED, "the daemon stops"));
        return;
    }
    on_worker(next, &UblkService::bring_up);
}

/// The device stays, with the size that it has.
void UblkService::not_resized(const Entry& entry, Resized resized, const Error& why) {
    entry->handing_over->store(false);
    const std::uint64_t size = entry->size_before;
    {
        const std::lock_guard lock(mutex_);
        entry->wanted.size = size;
    }
    if (const Status restored = entry->device->resize_storage(size); !restored) {
        core::log(LogLevel::kError, {.device = block_name(*entry->dev_id)},
                  "its storage has another size than it: {}", restored.error().what);
    }
    resized(std::unexpected(why));
}

}  // namespace lunkit::ublk

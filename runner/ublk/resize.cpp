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
    steps_.in_worker(runtime_.queues.workers(), entry.get(),
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
                status = begin_recreation(entry, size, done);
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
        stop_device(entry, DeviceState::kRunning, false);
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

/// First what may be refused, before anything is taken away. When it has begun the device is
/// kDraining, and `done` is the entry's.
Status UblkService::begin_recreation(const Entry& entry, std::uint64_t size, Resized& done) {
    CHECK(let_go(*entry->dev_id, false));
    entry->storage_before = entry->device->storage_size();
    if (size > entry->storage_before) {
        CHECK(entry->device->resize_storage(size));
    }
    {
        const std::lock_guard lock(mutex_);
        if (entry->state == DeviceState::kRunning) {
            entry->state = DeviceState::kDraining;
            entry->wanted.size = size;
            entry->resized = std::move(done);
            // What lives as long as the device does is kept for the one that follows.
            entry->handing_over->store(true);
            return {};
        }
    }
    restore_storage(entry);
    return failure(EAGAIN, "the device is being removed: see \"lunkit ublk list\"");
}

/// Behind the last request of a device. If its storage does not shrink, the device that follows
/// has the size that this one had.
void UblkService::shrink_storage(const Entry& entry, Device& device) {
    std::uint64_t size = 0;
    {
        const std::lock_guard lock(mutex_);
        size = entry->wanted.size;
    }
    if (device.storage_size() <= size) {
        return;
    }
    if (const Status shrunk = device.resize_storage(size); !shrunk) {
        const std::lock_guard lock(mutex_);
        if (!entry->resized) {
            return;  // answered, as the kernel did not know the device any more
        }
        entry->wanted.size = entry->size;
        entry->resized = [resized = std::move(entry->resized),
                          why = shrunk.error()](const Status& made) mutable {
            resized(made ? std::unexpected(why) : made);
        };
    }
}

/// Of a device that has gone: the one of another size that follows. Who has asked meanwhile for the
/// removal has that one removed, as the storage is closed for it already. With mutex_ held.
UblkService::Entry UblkService::successor(const Entry& entry) {
    auto next = std::make_shared<Served>();
    next->wanted = entry->wanted;
    next->wanted.number = entry->dev_id;
    next->take_over = true;
    next->handing_over->store(true);  // until it is made: what cannot be made again keeps its data
    next->removed.swap(entry->removed);
    next->force = entry->force;
    next->added = [resized = std::exchange(entry->resized, nullptr)](
                      const Result<std::string>& node) mutable {
        resized(node ? Status()
                     : failure(node.error().code,
                               fmt::format("it was removed, and could not be made again: {}",
                                           node.error().what)));
    };
    return next;
}

/// The device stays, with the size that it has.
void UblkService::not_resized(const Entry& entry, Resized resized, const Error& why) {
    {
        const std::lock_guard step(entry->step);
        bool is_served = false;
        {
            const std::lock_guard lock(mutex_);
            is_served = entry->device && entry->state == DeviceState::kRunning;
        }
        if (is_served) {
            restore_storage(entry);
        }
    }
    resized(std::unexpected(why));
}

/// Its caller has the step.
void UblkService::restore_storage(const Entry& entry) {
    if (entry->device->storage_size() <= entry->storage_before) {
        return;
    }
    if (const Status restored = entry->device->resize_storage(entry->storage_before); !restored) {
        core::log(LogLevel::kError, {.device = block_name(*entry->dev_id)},
                  "its storage has another size than it: {}", restored.error().what);
    }
}

}  // namespace lunkit::ublk

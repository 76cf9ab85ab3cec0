// SPDX-License-Identifier: Apache-2.0
// UblkService: which devices there are, and who is told what of them.
#include "ublk/ublk_service.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "core/log.hpp"
#include "lunkit/try.hpp"
#include "ublk/device_name.hpp"

namespace lunkit::ublk {

namespace {

using core::DeviceState;
using core::LogLevel;

Status check_wanted(const core::NewDevice& wanted) {
    CHECK(check_device_number(wanted.number.value_or(0)));
    if (wanted.queues < 1 || wanted.queues > abi::kMostQueues) {
        return failure(EINVAL, fmt::format("a ublk device has 1 to {} queues, and not {}",
                                           abi::kMostQueues, wanted.queues));
    }
    return {};
}

}  // namespace

UblkService::UblkService(core::Runtime& runtime, Surroundings world)
    : runtime_(runtime), world_(std::move(world)) {}

UblkService::~UblkService() {
    steps_.wait();
    queues_.reset();  // the rings before the buffers of devices that were left
}

void UblkService::on_worker(const Entry& entry, void (UblkService::*step)(const Entry&)) {
    steps_.in_worker(runtime_.queues.workers(), entry.get(),
                     [this, entry, step] { (this->*step)(entry); });
}

/// What every command takes, made for the first of them.
Status UblkService::open_control() {
    const std::lock_guard lock(prepare_mutex_);
    if (!control_) {
        TRY(ControlDevice control, world_.open_control());
        control_.emplace(std::move(control));
    }
    return {};
}

/// What all devices need, made for the first of them.
Status UblkService::prepare() {
    if (runtime_.settings.engine == core::EngineChoice::kThreads) {
        return failure(EOPNOTSUPP, "ublk needs io_uring, and lunkitd.conf says engine=threads");
    }
    CHECK(open_control());
    const std::lock_guard lock(prepare_mutex_);
    if (!trusted_) {
        TRY(trusted_, TrustedThread::start());
    }
    if (!queues_) {
        TRY(queues_, world_.start_queues());
    }
    return {};
}

Status UblkService::start() {
    Status found = world_.find_kernel();
    if (found) {
        go_on_with_left();
    }
    const std::lock_guard lock(mutex_);
    started_ = true;
    changed_.notify_all();
    return found;
}

void UblkService::go_on_with_left() {
    if (Result<DeviceFolder> folder = DeviceFolder::open(runtime_.settings.run_dir); folder) {
        folder_ = *std::move(folder);
        if (const Status told = find_left(); !told) {
            core::log(
                LogLevel::kError, {},
                "{}; it may be a device of the last daemon, whose requests wait: asking again "
                "every {} s",
                told.error().what,
                std::chrono::ceil<std::chrono::seconds>(world_.retry_pause).count());
            {
                const std::lock_guard lock(mutex_);
                untold_ = told.error();
            }
            steps_.in_worker(runtime_.queues.workers(), this, [this] { find_left_by_and_by(); });
        }
    } else {
        core::log(LogLevel::kWarning, {}, "{}; ublk devices will end with the daemon",
                  folder.error().what);
    }
}

/// Until the kernel has told of all devices, or the daemon stops.
void UblkService::find_left_by_and_by() {
    for (;;) {
        std::unique_lock lock(mutex_);
        if (changed_.wait_for(lock, world_.retry_pause, [this] { return stopping_; })) {
            return;
        }
        lock.unlock();
        if (find_left()) {
            lock.lock();
            untold_.reset();
            return;
        }
    }
}

/// The devices that a predecessor served, found before anybody can ask for one. An error: the
/// kernel does not tell of all; those of which it told are not found another time.
Status UblkService::find_left() {
    std::vector<DeviceRecord> records = folder_->read_all();
    {
        const std::lock_guard lock(mutex_);
        for (const Entry& entry : entries_) {
            std::erase_if(records, [&entry](const DeviceRecord& record) {
                return record.identity == entry->found;
            });
        }
    }
    const std::vector<std::uint32_t> there =
        records.empty() ? std::vector<std::uint32_t>() : world_.find_devices();
    if (!there.empty()) {
        CHECK(open_control());
    }
    Status told;
    for (const std::uint32_t dev_id : there) {
        const Result<abi::DeviceInfo> info = control_->info(dev_id);
        if (!info) {
            // EINVAL: an unprivileged device, which ours are not.
            if (info.error().code != ENODEV && info.error().code != EINVAL) {
                told = failure(info.error().code,
                               fmt::format("{}: {}", block_name(dev_id), info.error().what));
            }
            continue;
        }
        const auto record =
            std::ranges::find(records, info->ublksrv_flags, &DeviceRecord::identity);
        if (record == records.end()) {
            continue;
        }
        auto entry = std::make_shared<Served>();
        entry->wanted = {.config = record->config,
                         .number = dev_id,
                         .size = record->size,
                         .block_size = record->block_size,
                         .read_only = record->read_only,
                         .queues = info->nr_hw_queues};
        entry->record = std::move(*record);
        entry->found = entry->record.identity;
        records.erase(record);
        entry->dev_id = dev_id;
        entry->name->set(block_name(dev_id));
        entry->recoverable = is_recoverable(*info);
        entry->recovering = true;
        {
            const std::lock_guard lock(mutex_);
            entries_.push_back(entry);
        }
        on_worker(entry, &UblkService::recover);
    }
    if (told) {
        for (const DeviceRecord& record : records) {
            folder_->remove(record.identity);  // another hand has removed its device
        }
    }
    return told;
}

/// Also one that shall have the number. With mutex_ held.
UblkService::Entry UblkService::find(std::uint32_t dev_id) const {
    const auto entry = std::ranges::find_if(entries_, [dev_id](const Entry& candidate) {
        return (candidate->dev_id ? candidate->dev_id : candidate->wanted.number) == dev_id;
    });
    return entry == entries_.end() ? nullptr : *entry;
}

bool UblkService::serves_disk(const std::string& disk) {
    const Result<std::uint32_t> dev_id = parse_device_name(disk);
    if (!dev_id) {
        return false;
    }
    std::unique_lock lock(mutex_);
    const bool is_known =
        changed_.wait_for(lock, world_.start_patience, [this] { return started_ || stopping_; });
    return !is_known || find(*dev_id) != nullptr;
}

void UblkService::add_device(core::NewDevice wanted, Added done) {
    if (const Status valid = check_wanted(wanted); !valid) {
        done(std::unexpected(valid.error()));
        return;
    }
    auto entry = std::make_shared<Served>();
    entry->wanted = std::move(wanted);
    entry->added = std::move(done);
    std::optional<Error> refusal;
    {
        const std::lock_guard lock(mutex_);
        const std::optional<std::uint32_t> number = entry->wanted.number;
        const Entry known = number ? find(*number) : nullptr;
        if (stopping_) {
            refusal = Error{.code = ECANCELED, .what = "the daemon stops"};
        } else if (untold_) {
            // It might be over the storage of one that waits, or of its number.
            refusal = Error{.code = EAGAIN,
                            .what = "what the last daemon left is not known yet: " + untold_->what};
        } else if (known && (known->state == DeviceState::kOpening ||
                             known->state == DeviceState::kDraining)) {
            // What the last daemon left may turn out to be over.
            known->settled.emplace_back(
                [this, entry] { add_device(std::move(entry->wanted), std::move(entry->added)); });
            return;
        } else if (known) {
            refusal = Error{.code = EALREADY,
                            .what = fmt::format("{} is there already", block_name(*number))};
        } else {
            entries_.push_back(entry);
        }
    }
    if (refusal) {
        entry->added(std::unexpected(*std::move(refusal)));
        return;
    }
    on_worker(entry, &UblkService::bring_up);
}

void UblkService::remove_device(const std::string& name, bool force, Removed done) {
    const Result<std::uint32_t> dev_id = parse_device_name(name);
    if (!dev_id) {
        done(std::unexpected(dev_id.error()));
        return;
    }
    Entry entry;
    std::move_only_function<void()> step;  // what a worker does about it
    {
        const std::lock_guard lock(mutex_);
        entry = find(*dev_id);
        if (!entry) {
            entry = std::make_shared<Served>();
            entry->dev_id = *dev_id;
            entry->state = DeviceState::kDraining;
            entries_.push_back(entry);
            step = [this, entry, force] { remove_unknown(entry, force); };
        } else if (!entry->recovering && entry->state != DeviceState::kOpening) {
            step = [this, entry, force] { take_down(entry, force); };
        }
        if (step || entry->recovering) {
            entry->force = entry->force || force;
            entry->removed.push_back(std::exchange(done, nullptr));
            changed_.notify_all();
        }
    }
    if (done) {
        done(failure(EAGAIN, fmt::format("{} is being made", block_name(*dev_id))));
    } else if (step) {
        steps_.in_worker(runtime_.queues.workers(), entry.get(), std::move(step));
    }
}

void UblkService::answer(std::vector<Removed> removed, const Status& status) {
    for (Removed& done : removed) {
        done(status);
    }
}

/// Goes on with what waits for the device to come or to go.
void UblkService::settle(const Entry& entry) {
    std::vector<Call> calls;
    {
        const std::lock_guard lock(mutex_);
        calls.swap(entry->settled);
    }
    for (Call& call : calls) {
        call();
    }
}

/// Nothing of the device is left, or with an error: it is none of ours. Answers whoever waits.
void UblkService::forget(const Entry& entry, const Status& status) {
    if (entry->record.identity != 0) {
        folder_->remove(entry->record.identity);
    }
    Added added;
    std::vector<Removed> removed;
    Entry next;
    {
        const std::lock_guard lock(mutex_);
        std::erase(entries_, entry);
        if (entry->resized) {
            next = successor(entry);
            entries_.push_back(next);
        }
        added = std::exchange(entry->added, nullptr);
        removed.swap(entry->removed);
    }
    if (added) {
        added(
            std::unexpected(entry->failed.value_or(Error{.code = EIO, .what = "it was stopped"})));
    }
    answer(std::move(removed), status);
    if (next) {
        on_worker(next, &UblkService::bring_up);
    }
    settle(entry);
    check_stopped();
}

void UblkService::stop(std::function<void(bool)> stopped) {
    std::vector<Entry> served;
    std::vector<Entry> all;
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        stopped_ = std::move(stopped);
        all = entries_;
        for (const Entry& entry : entries_) {
            const bool is_made =
                entry->state == DeviceState::kRunning || entry->state == DeviceState::kFailed;
            if (is_made && !entry->recovering) {
                entry->given_up = false;
                served.push_back(entry);
            }
        }
        changed_.notify_all();
    }
    for (const Entry& entry : all) {
        settle(entry);
    }
    for (const Entry& entry : served) {
        on_worker(entry, &UblkService::stop_serving);
    }
    check_stopped();
}

/// Tells who waits for the stop, once every device has gone, is left, or does neither.
void UblkService::check_stopped() {
    std::function<void(bool)> stopped;
    bool clean = false;
    {
        const std::lock_guard lock(mutex_);
        const bool is_over = std::ranges::all_of(
            entries_, [](const Entry& entry) { return entry->left || entry->given_up; });
        if (!is_over) {
            return;
        }
        clean = std::ranges::none_of(entries_, [](const Entry& entry) { return entry->given_up; });
        stopped = std::exchange(stopped_, nullptr);
    }
    if (stopped) {
        stopped(clean);
    }
}

Result<std::shared_ptr<core::TraceTap>> UblkService::trace(const std::string& name) {
    const std::lock_guard lock(mutex_);
    const auto found = std::ranges::find_if(entries_, [&name](const Entry& entry) {
        return entry->device && entry->dev_id && block_name(*entry->dev_id) == name;
    });
    if (found == entries_.end()) {
        return failure(ENOENT, fmt::format("no device '{}' is served", name));
    }
    return (*found)->device->trace();
}

std::vector<core::DeviceStatus> UblkService::list() const {
    const std::lock_guard lock(mutex_);
    std::vector<core::DeviceStatus> devices;
    devices.reserve(entries_.size());
    for (const Entry& entry : entries_) {
        core::DeviceStatus status;
        if (entry->device) {
            status = entry->device->status();
            status.size = entry->size;
        } else {
            status.size = entry->wanted.size;
            status.block_size = entry->wanted.block_size;
            status.read_only = entry->wanted.read_only;
        }
        status.front_end = "ublk";
        status.config = entry->wanted.config;
        status.state = entry->state;
        if (entry->state == DeviceState::kFailed) {
            status.error = entry->failed->what;
        }
        if (entry->dev_id) {
            status.name = block_name(*entry->dev_id);
            status.node = block_node(*entry->dev_id);
        }
        devices.push_back(std::move(status));
    }
    return devices;
}

std::unique_ptr<core::Service> make_ublk_service(core::Runtime& runtime, ControlProcess control) {
    return std::make_unique<UblkService>(runtime, Surroundings::of(runtime, std::move(control)));
}

}  // namespace lunkit::ublk

// SPDX-License-Identifier: Apache-2.0
#include "ublk/ublk_service.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <future>
#include <string_view>
#include <system_error>
#include <utility>

#include "core/log.hpp"
#include "core/posted_call.hpp"
#include "lunkit/task.hpp"
#include "lunkit/try.hpp"
#include "lunkit/unique_fd.hpp"
#include "ublk/device_name.hpp"
#include "ublk/parameters.hpp"

namespace lunkit::ublk {

namespace {

using core::DeviceState;
using core::LogLevel;

constexpr std::uint16_t kQueueDepth = 128;
constexpr std::uint32_t kMaxIoBytes = 512U << 10U;

/// By their character devices, which are there from ADD_DEV to DEL_DEV.
std::vector<std::uint32_t> find_devices() {
    constexpr std::string_view kPrefix = "ublkc";
    std::vector<std::uint32_t> found;
    std::error_code error;  // a folder that cannot be read has none
    for (const auto& entry : std::filesystem::directory_iterator("/dev", error)) {
        const std::string name = entry.path().filename();
        if (!name.starts_with(kPrefix)) {
            continue;
        }
        if (const auto dev_id = parse_device_name(std::string_view(name).substr(kPrefix.size()))) {
            found.push_back(*dev_id);
        }
    }
    return found;
}

/// Whether the kernel thinks that it is served, and it is.
bool is_served(const abi::DeviceInfo& info) {
    return info.state == abi::kStateLive && info.ublksrv_pid > 0 &&
           (::kill(info.ublksrv_pid, 0) == 0 || errno == EPERM);
}

Status check_unused(const std::string& node) {
    const UniqueFd fd(::open(node.c_str(), O_RDONLY | O_EXCL | O_CLOEXEC));
    if (!fd && errno == EBUSY) {
        return failure(EBUSY,
                       fmt::format("{} is in use: it is mounted or part of another device", node));
    }
    return {};  // a node that cannot be opened is nobody's
}

// The driver looks whether a server has died when it takes back a tag that waits for requests.
// Where the server had all of them it only does so when a request times out, which is after 30 s
// unless it is told otherwise. Of a server that lives nothing is taken away then, however slow it
// is.
constexpr std::string_view kIoTimeoutMs = "1000";

Status limit_silence(std::uint32_t dev_id) {
    const std::string path = fmt::format("/sys/block/{}/queue/io_timeout", block_name(dev_id));
    const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!fd || ::write(fd.get(), kIoTimeoutMs.data(), kIoTimeoutMs.size()) < 0) {
        const int error = errno;
        return failure(error, fmt::format("{}: {}", path, std::generic_category().message(error)));
    }
    return {};
}

Detached begin(Device& device, std::shared_ptr<std::promise<Status>> begun) {
    Status status = co_await device.begin();
    begun->set_value(std::move(status));
}

}  // namespace

Surroundings Surroundings::of(core::Runtime& runtime) {
    Surroundings world;
    world.find_kernel = [] { return find_ublk(); };
    world.find_devices = [] { return ublk::find_devices(); };
    world.start_queues = [&settings = runtime.settings] { return start_device_queues(settings); };
    world.open_control = [] { return ControlDevice::open(); };
    world.open_chars = [](std::uint32_t dev_id) {
        return CharDevice::open(fmt::format("/dev/ublkc{}", dev_id));
    };
    world.open_block = [&handlers = runtime.handlers](host::OpenDevice request) {
        return handlers.open(std::move(request));
    };
    world.check_unused = [](const std::string& node) { return ublk::check_unused(node); };
    world.limit_silence = [](std::uint32_t dev_id) { return ublk::limit_silence(dev_id); };
    return world;
}

UblkService::UblkService(core::Runtime& runtime, Surroundings world)
    : runtime_(runtime), world_(std::move(world)) {}

UblkService::~UblkService() = default;

void UblkService::on_worker(const Entry& entry, void (UblkService::*step)(const Entry&)) {
    core::call_in_worker(runtime_.queues.workers(), entry.get(),
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

/// With mutex_ held.
UblkService::Entry UblkService::find(std::uint32_t dev_id) const {
    const auto entry = std::ranges::find_if(
        entries_, [dev_id](const Entry& candidate) { return candidate->dev_id == dev_id; });
    return entry == entries_.end() ? nullptr : *entry;
}

void UblkService::add_device(core::NewDevice wanted, Added done) {
    if (const Status valid = check_device_number(wanted.number.value_or(0)); !valid) {
        done(std::unexpected(valid.error()));
        return;
    }
    auto entry = std::make_shared<Served>();
    entry->wanted = std::move(wanted);
    entry->added = std::move(done);
    bool is_late = false;
    {
        const std::lock_guard lock(mutex_);
        is_late = stopping_;
        if (!is_late) {
            entries_.push_back(entry);
        }
    }
    if (is_late) {
        entry->added(failure(ECANCELED, "the daemon stops"));
        return;
    }
    on_worker(entry, &UblkService::bring_up);
}

void UblkService::bring_up(const Entry& entry) {
    std::unique_lock step(entry->step);
    const Status status = make(entry);
    if (status) {
        Added added;
        bool stop_now = false;
        {
            const std::lock_guard lock(mutex_);
            entry->state = DeviceState::kRunning;
            added = std::move(entry->added);
            stop_now = stopping_;
        }
        core::log(LogLevel::kInfo, {.device = block_name(*entry->dev_id)}, "serving {}",
                  entry->wanted.config);
        added(block_node(*entry->dev_id));
        step.unlock();
        if (stop_now) {
            take_down(entry, true);
        }
        return;
    }
    bool is_served = false;
    {
        const std::lock_guard lock(mutex_);
        entry->failed = status.error();
        is_served = entry->queue != nullptr;
    }
    if (is_served) {
        // Brings the tags back, and with the last one ended().
        if (const Status stopped = control_->stop(*entry->dev_id); !stopped) {
            step.unlock();
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
    step.unlock();
    forget(entry);
}

/// The steps in the kernel's order. After an error what has been made is still there; the tags are
/// with the kernel if the entry has a queue.
Status UblkService::make(const Entry& entry) {
    CHECK(prepare());
    const core::NewDevice& wanted = entry->wanted;
    host::OpenDevice request{.config = wanted.config,
                             .name = wanted.config,
                             .size = wanted.size,
                             .block_size = wanted.block_size,
                             .read_only = wanted.read_only,
                             .take_over = false,
                             .size_changed =
                                 [config = wanted.config](std::uint64_t bytes) {
                                     core::log(LogLevel::kWarning, {.device = config},
                                               "the storage has {} bytes now; its ublk device "
                                               "keeps its size until it is made anew",
                                               bytes);
                                 },
                             .handing_over = {}};
    TRY(std::unique_ptr<BlockDevice> block, world_.open_block(std::move(request)));

    abi::DeviceInfo asked{};
    asked.nr_hw_queues = 1;
    asked.queue_depth = kQueueDepth;
    asked.max_io_buf_bytes = kMaxIoBytes;
    asked.dev_id = wanted.number.value_or(abi::kAnyDevice);
    asked.flags = abi::kFlagCommandsAreIoctls;
    TRY(const abi::DeviceInfo info, control_->add(asked));
    {
        const std::lock_guard lock(mutex_);
        entry->dev_id = info.dev_id;
    }
    const abi::Params params =
        parameters_of(block->info(), wanted.block_size, info.max_io_buf_bytes);
    CHECK(control_->set_params(info.dev_id, params));
    TRY(DeviceParts parts, open_parts(entry, std::move(block), info));
    core::EngineQueue& queue = assign_queue();
    auto device = Device::make(std::move(parts), queue);
    if (!device) {
        release_queue(queue);
        return std::unexpected(device.error());
    }
    {
        const std::lock_guard lock(mutex_);
        entry->device = std::move(*device);
        entry->queue = &queue;
    }
    return begin_serving(entry);
}

Result<DeviceParts> UblkService::open_parts(const Entry& entry, std::unique_ptr<BlockDevice> block,
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
    return parts;
}

Status UblkService::begin_serving(const Entry& entry) {
    const auto begun = std::make_shared<std::promise<Status>>();
    std::future<Status> outcome = begun->get_future();
    core::call_on(*entry->queue, [&device = *entry->device, begun] { begin(device, begun); });
    CHECK(outcome.get());
    CHECK(control_->start(*entry->dev_id, ::getpid()));
    if (const Status limited = world_.limit_silence(*entry->dev_id); !limited) {
        core::log(LogLevel::kWarning, {.device = block_name(*entry->dev_id)},
                  "{}; should the daemon die, it may take half a minute to be noticed",
                  limited.error().what);
    }
    return {};
}

/// A device that could not be brought up, and whose tags the kernel has: it stays until it can be
/// removed.
void UblkService::keep_failed(const Entry& entry, const Error& why) {
    Added added;
    std::optional<Error> failed;
    {
        const std::lock_guard lock(mutex_);
        entry->failed->what += fmt::format("; and it does not go either: {}", why.what);
        entry->state = DeviceState::kFailed;
        entry->given_up = stopping_;
        failed = entry->failed;
        added = std::exchange(entry->added, nullptr);
    }
    added(std::unexpected(*failed));
    check_stopped();
}

void UblkService::remove_device(const std::string& name, bool force, Removed done) {
    const Result<std::uint32_t> dev_id = parse_device_name(name);
    if (!dev_id) {
        done(std::unexpected(dev_id.error()));
        return;
    }
    Entry entry;
    bool is_ours = true;
    {
        const std::lock_guard lock(mutex_);
        entry = find(*dev_id);
        if (!entry) {
            is_ours = false;
            entry = std::make_shared<Served>();
            entry->dev_id = *dev_id;
            entry->state = DeviceState::kDraining;
            entries_.push_back(entry);
        }
        if (entry->state != DeviceState::kOpening) {
            entry->removed.push_back(std::exchange(done, nullptr));
        }
    }
    if (done) {
        done(failure(EAGAIN, fmt::format("{} is being made", block_name(*dev_id))));
        return;
    }
    core::call_in_worker(runtime_.queues.workers(), entry.get(), [this, entry, force, is_ours] {
        if (is_ours) {
            take_down(entry, force);
        } else {
            forget(entry, remove_orphan(*entry->dev_id, force));
        }
    });
}

/// A device that this daemon does not serve.
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
    if (!force) {
        CHECK(world_.check_unused(block_node(dev_id)));
    }
    CHECK(control_->stop(dev_id));
    return control_->remove(dev_id);
}

/// Begins the end of a device; ended() goes on. Only an error is answered here.
void UblkService::take_down(const Entry& entry, bool force) {
    DeviceState before{};
    {
        const std::lock_guard lock(mutex_);
        if (entry->state == DeviceState::kDraining) {
            return;  // who asks later waits with the first
        }
        before = std::exchange(entry->state, DeviceState::kDraining);
    }
    const std::uint32_t dev_id = *entry->dev_id;
    if (const Status unused = force ? Status() : world_.check_unused(block_node(dev_id)); !unused) {
        stays(entry, before, unused.error(), false);
    } else if (const Status stopped = control_->stop(dev_id); !stopped) {
        stays(entry, before, stopped.error(), true);
    }
}

/// Tells who wanted the device to go that it does not: its users have it, or the kernel refuses.
/// The daemon's own stop lets no user keep it.
void UblkService::stays(const Entry& entry, DeviceState state, const Error& why, bool by_kernel) {
    std::vector<Removed> removed;
    bool stop_now = false;
    {
        const std::lock_guard lock(mutex_);
        entry->state = state;
        removed.swap(entry->removed);
        entry->given_up = stopping_ && by_kernel;
        stop_now = stopping_ && !by_kernel;
    }
    if (by_kernel) {
        core::log(LogLevel::kError, {.device = block_name(*entry->dev_id)}, "{}", why.what);
    }
    answer(std::move(removed), std::unexpected(why));
    if (stop_now) {
        take_down(entry, true);
    }
    check_stopped();
}

void UblkService::answer(std::vector<Removed> removed, const Status& status) {
    for (Removed& done : removed) {
        done(status);
    }
}

/// The kernel has all tags back.
void UblkService::ended(const Entry& entry) {
    {
        const std::lock_guard step(entry->step);
        std::unique_ptr<Device> device;
        bool was_asked_for = false;
        {
            const std::lock_guard lock(mutex_);
            was_asked_for = entry->state != DeviceState::kRunning;
            entry->state = DeviceState::kDraining;
            device = std::move(entry->device);
        }
        const std::string name = block_name(*entry->dev_id);
        if (!was_asked_for) {
            core::log(LogLevel::kNotice, {.device = name}, "stopped by another program");
        }
        device.reset();
        if (const Status removed = control_->remove(*entry->dev_id); !removed) {
            // Another program may have been faster.
            core::log(LogLevel::kInfo, {.device = name}, "{}", removed.error().what);
        }
        release_queue(*entry->queue);
    }
    forget(entry);
}

// Workers of several devices at once.
core::EngineQueue& UblkService::assign_queue() {
    const std::lock_guard lock(mutex_);
    return queues_->assign();
}

void UblkService::release_queue(core::EngineQueue& queue) {
    const std::lock_guard lock(mutex_);
    queues_->release(queue);
}

/// Nothing of the device is left, or with an error: it is none of ours. Answers whoever waits.
void UblkService::forget(const Entry& entry, const Status& status) {
    Added added;
    std::vector<Removed> removed;
    {
        const std::lock_guard lock(mutex_);
        std::erase(entries_, entry);
        added = std::exchange(entry->added, nullptr);
        removed.swap(entry->removed);
    }
    if (added) {
        added(
            std::unexpected(entry->failed.value_or(Error{.code = EIO, .what = "it was stopped"})));
    }
    answer(std::move(removed), status);
    check_stopped();
}

/// Tells who waits for the stop, once every device has gone or does not go.
void UblkService::check_stopped() {
    std::function<void(bool)> stopped;
    bool clean = false;
    {
        const std::lock_guard lock(mutex_);
        if (!std::ranges::all_of(entries_, [](const Entry& entry) { return entry->given_up; })) {
            return;
        }
        clean = entries_.empty();
        stopped = std::exchange(stopped_, nullptr);
    }
    if (stopped) {
        stopped(clean);
    }
}

void UblkService::stop(std::function<void(bool)> stopped) {
    std::vector<Entry> served;
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        stopped_ = std::move(stopped);
        for (const Entry& entry : entries_) {
            if (entry->state == DeviceState::kRunning || entry->state == DeviceState::kFailed) {
                entry->given_up = false;
                served.push_back(entry);
            }
        }
    }
    for (const Entry& entry : served) {
        core::call_in_worker(runtime_.queues.workers(), entry.get(),
                             [this, entry] { take_down(entry, true); });
    }
    check_stopped();
}

std::vector<core::DeviceStatus> UblkService::list() const {
    const std::lock_guard lock(mutex_);
    std::vector<core::DeviceStatus> devices;
    devices.reserve(entries_.size());
    for (const Entry& entry : entries_) {
        core::DeviceStatus status;
        if (entry->device) {
            status = entry->device->status();
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

std::unique_ptr<core::Service> make_ublk_service(core::Runtime& runtime) {
    return std::make_unique<UblkService>(runtime, Surroundings::of(runtime));
}

}  // namespace lunkit::ublk

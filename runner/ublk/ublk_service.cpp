// SPDX-License-Identifier: Apache-2.0
#include "ublk/ublk_service.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <future>
#include <system_error>
#include <utility>

#include "core/log.hpp"
#include "core/posted_call.hpp"
#include "lunkit/task.hpp"
#include "lunkit/try.hpp"
#include "lunkit/unique_fd.hpp"
#include "ublk/parameters.hpp"
#include "ublk/untrusted_thread.hpp"

namespace lunkit::ublk {

namespace {

using core::DeviceState;
using core::LogLevel;

constexpr std::uint16_t kQueueDepth = 128;
constexpr std::uint32_t kMaxIoBytes = 512U << 10U;

std::string block_name(std::uint32_t dev_id) {
    return fmt::format("ublkb{}", dev_id);
}

std::string block_node(std::uint32_t dev_id) {
    return "/dev/" + block_name(dev_id);
}

/// "3", "ublkb3" or "/dev/ublkb3".
std::optional<std::uint32_t> parse_name(std::string_view name) {
    for (const std::string_view prefix : {"/dev/", "ublkb"}) {
        if (name.starts_with(prefix)) {
            name.remove_prefix(prefix.size());
        }
    }
    std::uint32_t dev_id = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), dev_id);
    if (error != std::errc() || end != name.data() + name.size()) {
        return std::nullopt;
    }
    return dev_id;
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

/// What all devices need, made for the first of them.
Status UblkService::prepare() {
    const std::lock_guard lock(prepare_mutex_);
    if (runtime_.settings.engine == core::EngineChoice::kThreads) {
        return failure(EOPNOTSUPP, "ublk needs io_uring, and lunkitd.conf says engine=threads");
    }
    if (!control_) {
        TRY(ControlDevice control, world_.open_control());
        control_.emplace(std::move(control));
    }
    if (!trusted_) {
        TRY(trusted_, TrustedThread::start());
    }
    if (!queues_) {
        auto queues = core::QueueSet::start(
            core::EngineChoice::kUring, runtime_.settings.queues, runtime_.settings.spin,
            {.name = "lunkit-ublk", .prepare = give_up_administration});
        if (!queues) {
            return failure(queues.error().code,
                           fmt::format("ublk needs io_uring: {}", queues.error().what));
        }
        queues_ = std::move(*queues);
    }
    return {};
}

void UblkService::add_device(core::NewDevice wanted, Added done) {
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
            core::log(LogLevel::kError, {.device = block_name(*entry->dev_id)}, "{}",
                      stopped.error().what);
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

void UblkService::remove_device(const std::string& name, bool force, Removed done) {
    const std::optional<std::uint32_t> dev_id = parse_name(name);
    Entry found;
    std::optional<Error> error;
    {
        const std::lock_guard lock(mutex_);
        const auto entry = std::ranges::find_if(entries_, [&dev_id](const Entry& candidate) {
            return dev_id && candidate->dev_id == dev_id;
        });
        if (entry != entries_.end() && (*entry)->state != DeviceState::kOpening) {
            found = *entry;
            found->removed.push_back(std::move(done));
        } else if (entry == entries_.end()) {
            error = {.code = ENOENT, .what = fmt::format("there is no ublk device '{}'", name)};
        } else {
            error = {.code = EAGAIN, .what = fmt::format("{} is being made", name)};
        }
    }
    if (error) {
        // NOLINTNEXTLINE(bugprone-use-after-move): with an error it was not moved
        done(std::unexpected(*error));
        return;
    }
    core::call_in_worker(runtime_.queues.workers(), found.get(),
                         [this, found, force] { take_down(found, force); });
}

/// Begins the end of a device; ended() goes on. Only an error is answered here.
void UblkService::take_down(const Entry& entry, bool force) {
    {
        const std::lock_guard lock(mutex_);
        if (entry->state == DeviceState::kDraining) {
            return;  // who asks later waits with the first
        }
        entry->state = DeviceState::kDraining;
    }
    const std::uint32_t dev_id = *entry->dev_id;
    Status status = force ? Status() : world_.check_unused(block_node(dev_id));
    if (status) {
        status = control_->stop(dev_id);
    }
    if (status) {
        return;
    }
    std::vector<Removed> removed;
    std::function<void(bool)> stopped;
    {
        const std::lock_guard lock(mutex_);
        entry->state = DeviceState::kRunning;
        removed.swap(entry->removed);
        stopped = std::exchange(stopped_, nullptr);
    }
    for (Removed& done : removed) {
        done(status);
    }
    if (stopped) {  // it will not end by itself: left behind with the process
        core::log(LogLevel::kError, {.device = block_name(dev_id)}, "{}", status.error().what);
        stopped(false);
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

/// Nothing of the device is left: answers whoever waits.
void UblkService::forget(const Entry& entry) {
    Added added;
    std::vector<Removed> removed;
    std::function<void(bool)> stopped;
    {
        const std::lock_guard lock(mutex_);
        std::erase(entries_, entry);
        added = std::move(entry->added);
        removed.swap(entry->removed);
        if (entries_.empty()) {
            stopped = std::exchange(stopped_, nullptr);
        }
    }
    if (added) {
        added(
            std::unexpected(entry->failed.value_or(Error{.code = EIO, .what = "it was stopped"})));
    }
    for (Removed& done : removed) {
        done({});
    }
    if (stopped) {
        stopped(true);
    }
}

void UblkService::stop(std::function<void(bool)> stopped) {
    std::vector<Entry> running;
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        std::ranges::copy_if(entries_, std::back_inserter(running), [](const Entry& entry) {
            return entry->state == DeviceState::kRunning;
        });
        if (!entries_.empty()) {
            stopped_ = std::exchange(stopped, nullptr);
        }
    }
    for (const Entry& entry : running) {
        core::call_in_worker(runtime_.queues.workers(), entry.get(),
                             [this, entry] { take_down(entry, true); });
    }
    if (stopped) {
        stopped(true);
    }
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

// SPDX-License-Identifier: Apache-2.0
#include "tcmu/tcmu_service.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "core/log.hpp"
#include "lunkit/try.hpp"

namespace lunkit::tcmu {

namespace {

using Phase = ServedDevice::Phase;
using core::LogLevel;

}  // namespace

TcmuService::TcmuService(core::Runtime& runtime, Surroundings world)
    : runtime_(runtime), world_(std::move(world)), settings_(runtime.settings) {}

TcmuService::~TcmuService() {
    if (loop_) {
        loop_->stop();  // what it still runs uses loop_
    }
    loop_.reset();
    for (auto& [id, foreign] : foreign_) {
        foreign.reply.forget();
    }
}

Status TcmuService::start() {
    settings_ = runtime_.settings;
    copies_->allow(settings_.copy_pairs);
    CHECK(world_.ensure_kernel());
    Result<InflightFolder> folder = InflightFolder::open(
        settings_.run_dir,
        [paths = world_.paths](std::uint32_t minor) { return sysfs_inode(paths, minor); });
    if (folder) {
        tables_ = std::make_shared<const InflightFolder>(*std::move(folder));
    } else {
        core::log(LogLevel::kWarning, {}, "{}; a restart will have to reset rings",
                  folder.error().what);
    }
    TRY(channel_, world_.open_channel());
    if (const Status replies = channel_->expect_answers(true); !replies) {
        core::log(LogLevel::kWarning, {}, "{}; errors will not reach who creates a device",
                  replies.error().what);
    }
    TRY(loop_, ControlLoop::make());
    loop_->inbox()->post([this] { scan(); });
    loop_->start(channel_->fd(), [this] { receive_events(); });
    return {};
}

void TcmuService::settings_changed() {
    copies_->allow(runtime_.settings.copy_pairs);
    loop_->inbox()->post([this, fresh = runtime_.settings] { settings_ = fresh; });
}

void TcmuService::stop(std::function<void(bool)> stopped) {
    if (!loop_) {
        stopped(true);
        return;
    }
    loop_->inbox()->post([this, stopped = std::move(stopped)]() mutable {
        stopped_ = std::move(stopped);
        begin_stop();
    });
}

void TcmuService::begin_stop() {
    stopping_ = true;
    given_up_ = false;  // one of before, which took too long to close, does not count
    scan_.outstanding = 0;
    line_.clear();
    for (auto& [id, foreign] : foreign_) {
        foreign.reply.forget();
        loop_->cancel(foreign.timer);
    }
    foreign_.clear();
    const std::vector<Entry> entries = entries_;  // closing changes the list
    for (const Entry& entry : entries) {
        if (entry->device && !entry->gone && entry->phase != Phase::kClosing) {
            entry->stays->store(true);
        }
        if (!entry->device) {
            // Whoever creates it shall not wait for a successor that may never come.
            (void)entry->reply.answer(-EINTR);
        }
        close(entry, {});
    }
    (void)loop_->after(settings_.drain_timeout + kClosingTime, [this] {
        given_up_ = true;
        check_stopped();
    });
    check_stopped();
}

void TcmuService::check_stopped() {
    if (!stopping_ || !entries_.empty() || !stopped_ || (working_ > 0 && !given_up_)) {
        return;
    }
    clear_stale_events();
    // Nobody is left who would answer; else the next command of a user would wait for ever.
    if (const Status off = channel_->expect_answers(false); !off) {
        core::log(LogLevel::kWarning, {}, "{}, ignoring", off.error().what);
    }
    std::exchange(stopped_, nullptr)(working_ == 0);
}

TcmuService::Entry TcmuService::find(std::string_view folder) const {
    const auto found = std::ranges::find_if(
        entries_, [folder](const Entry& entry) { return entry->folder == folder; });
    return found == entries_.end() ? nullptr : *found;
}

TcmuService::Entry TcmuService::add(UioDevice uio) {
    auto entry = std::make_shared<ServedDevice>(std::move(uio));
    const std::lock_guard lock(mutex_);
    entries_.push_back(entry);
    return entry;
}

void TcmuService::set_phase(const Entry& entry, Phase phase) {
    const std::lock_guard lock(mutex_);
    entry->phase = phase;
}

std::vector<core::DeviceStatus> TcmuService::list() const {
    const std::lock_guard lock(mutex_);
    std::vector<core::DeviceStatus> devices;
    devices.reserve(entries_.size());
    for (const Entry& entry : entries_) {
        if (entry->device) {
            devices.push_back(entry->device->status());
            continue;
        }
        core::DeviceStatus status;
        status.front_end = "tcmu";
        status.name = entry->folder;
        status.config = entry->uio.name.config;
        status.node = fmt::format("/dev/uio{}", entry->uio.minor);
        status.error = entry->error;
        status.state = entry->phase == Phase::kClosing ? core::DeviceState::kDraining
                       : entry->error.empty()          ? core::DeviceState::kOpening
                                                       : core::DeviceState::kFailed;
        devices.push_back(std::move(status));
    }
    return devices;
}

bool TcmuService::serves_disk(const std::string& disk) {
    const std::string serial = world_.serial_of_disk(disk);
    if (serial.empty()) {
        return false;
    }
    std::vector<std::shared_ptr<const ConfigfsDevice>> served;
    {
        const std::lock_guard lock(mutex_);
        for (const Entry& entry : entries_) {
            if (entry->configfs) {
                served.push_back(entry->configfs);
            }
        }
    }
    return std::ranges::any_of(
        served, [&serial](const auto& device) { return device->serial() == serial; });
}

Result<std::shared_ptr<core::TraceTap>> TcmuService::trace(const std::string& name) {
    const std::lock_guard lock(mutex_);
    const auto found = std::ranges::find_if(
        entries_, [&name](const Entry& entry) { return entry->folder == name && entry->device; });
    if (found == entries_.end()) {
        return failure(ENOENT, fmt::format("no device '{}' is served", name));
    }
    return (*found)->device->trace();
}

std::unique_ptr<core::Service> make_tcmu_service(core::Runtime& runtime) {
    return std::make_unique<TcmuService>(runtime, Surroundings::of(runtime));
}

}  // namespace lunkit::tcmu

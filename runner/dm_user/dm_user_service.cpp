// SPDX-License-Identifier: Apache-2.0
// DmUserService: which targets there are, and who is told what of them.
#include "dm_user/dm_user_service.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <utility>

#include "core/dm_user_name.hpp"
#include "core/log.hpp"
#include "dm_user/control_node.hpp"
#include "lunkit/try.hpp"

namespace lunkit::dm_user {

namespace {

using core::DeviceState;
using core::LogLevel;

constexpr std::uint32_t kUsualChannels = 4;
constexpr std::uint32_t kMostChannels = 64;

/// What is wanted, complete, with the name of the control node.
Result<core::NewDevice> check(core::NewDevice wanted) {
    TRY(wanted.name, core::parse_dm_user_name(wanted.name));
    if (wanted.number) {
        return failure(EINVAL, "a dm-user target has a name, and no number");
    }
    if (wanted.block_size != 1U << abi::kSectorShift) {
        return failure(EINVAL, "a dm-user target has blocks of 512 bytes");
    }
    if (wanted.channels > kMostChannels) {
        return failure(EINVAL, fmt::format("{} channels are too many: {} at most", wanted.channels,
                                           kMostChannels));
    }
    wanted.channels = wanted.channels == 0 ? kUsualChannels : wanted.channels;
    return wanted;
}

bool is_same(const core::NewDevice& one, const core::NewDevice& other) {
    return one.config == other.config && one.size == other.size &&
           one.read_only == other.read_only && one.start_sectors512 == other.start_sectors512 &&
           one.channels == other.channels;
}

}  // namespace

DmUserService::DmUserService(core::Runtime& runtime, Surroundings world)
    : runtime_(runtime), world_(std::move(world)) {}

DmUserService::~DmUserService() = default;

void DmUserService::on_worker(const Entry& entry, std::move_only_function<void()> step) {
    steps_.in_worker(runtime_.queues.workers(), entry.get(), std::move(step));
}

Status DmUserService::start() {
    if (const Status found = world_.find_kernel(); !found) {
        world_.keeper->let_go_of_others({});
        return found;
    }
    std::vector<core::NewDevice> all_left;
    if (Result<TargetFolder> folder = TargetFolder::open(runtime_.settings.run_dir); folder) {
        folder_ = *std::move(folder);
        all_left = folder_->read_all();
    } else {
        core::log(LogLevel::kWarning, {}, "{}; the next daemon will not know the dm-user targets",
                  folder.error().what);
    }
    std::vector<std::string> names;
    std::ranges::transform(all_left, std::back_inserter(names), &core::NewDevice::name);
    world_.keeper->let_go_of_others(names);
    for (core::NewDevice& left : all_left) {
        auto entry = std::make_shared<Served>();
        entry->wanted = std::move(left);
        entry->is_left = true;
        {
            const std::lock_guard lock(mutex_);
            entries_.push_back(entry);
        }
        on_worker(entry, [this, entry] { bring_up(entry); });
    }
    return {};
}

/// With mutex_ held.
DmUserService::Entry DmUserService::find(const std::string& name) const {
    const auto entry = std::ranges::find_if(
        entries_, [&name](const Entry& candidate) { return candidate->wanted.name == name; });
    return entry == entries_.end() ? nullptr : *entry;
}

void DmUserService::add_device(core::NewDevice wanted, Added done) {
    Result<core::NewDevice> checked = check(std::move(wanted));
    if (!checked) {
        done(std::unexpected(checked.error()));
        return;
    }
    const std::string name = checked->name;
    Result<std::string> answer = core::dm_user_node(name);
    const Result<core::FileIdentity> node = world_.find_node(name);
    Entry fresh;
    Entry left;
    {
        const std::lock_guard lock(mutex_);
        Entry known = find(name);
        if (known && known->state == DeviceState::kFailed) {
            left = known->is_left ? known : known->replaces;
            std::erase(entries_, known);  // this is another attempt
            known = nullptr;
        }
        if (stopping_) {
            answer = failure(ECANCELED, "the daemon stops");
        } else if (!known) {
            fresh = std::make_shared<Served>();
            fresh->wanted = *std::move(checked);
            fresh->is_left = left && is_same(left->wanted, fresh->wanted);
            fresh->replaces = fresh->is_left ? nullptr : left;
            fresh->added.push_back(std::exchange(done, nullptr));
            entries_.push_back(fresh);
        } else if (known->state == DeviceState::kDraining) {
            answer = failure(EAGAIN, fmt::format("{} is being detached", name));
        } else if (known->node &&
                   (!node || *node != *known->node)) {  // its workers have not seen its end yet
            answer = node ? failure(EAGAIN, fmt::format("the target that was {} has gone, and has "
                                                        "not ended yet",
                                                        name))
                          : std::unexpected(node.error());
        } else if (!is_same(known->wanted, *checked)) {
            answer = failure(EALREADY, fmt::format("{} is attached already, to {} or with other "
                                                   "options, and would have to be detached first",
                                                   name, known->wanted.config));
        } else if (known->state == DeviceState::kOpening) {
            known->added.push_back(std::exchange(done, nullptr));
        }
    }
    if (fresh) {
        on_worker(fresh, [this, fresh] { bring_up(fresh); });
    } else if (done) {
        done(std::move(answer));
    }
}

void DmUserService::remove_device(const std::string& name, bool /*force*/, Removed done) {
    const Result<std::string> known_name = core::parse_dm_user_name(name);
    if (!known_name) {
        done(std::unexpected(known_name.error()));
        return;
    }
    Status answer;
    Entry entry;
    bool is_failed = false;
    {
        const std::lock_guard lock(mutex_);
        entry = find(*known_name);
        is_failed = entry && entry->state == DeviceState::kFailed;
        if (!entry) {
            answer = failure(ENOENT, fmt::format("{} is not attached", *known_name));
        } else if (entry->state == DeviceState::kOpening) {
            answer = failure(EAGAIN, fmt::format("{} is being attached", *known_name));
        } else {
            entry->is_detached = true;
            entry->removed.push_back(std::exchange(done, nullptr));
        }
    }
    if (done) {
        done(std::move(answer));
    } else if (is_failed) {
        forget(entry, {});
    } else {
        on_worker(entry, [this, entry] { take_down(entry); });
    }
}

/// Nothing is left of it here. `added` is for who still waits to hear that it is served. Another
/// one of its name begins only when its record and its node are let go.
void DmUserService::forget(const Entry& entry, const Status& added) {
    std::vector<Added> waiting;
    std::vector<Removed> removed;
    bool is_left = false;
    {
        const std::lock_guard lock(mutex_);
        is_left = stopping_ && !entry->is_detached && added;
        entry->state = DeviceState::kDraining;
        waiting.swap(entry->added);
    }
    if (folder_ && !is_left) {
        folder_->remove(entry->wanted.name);
        world_.keeper->let_go(entry->wanted.name);
    }
    {
        const std::lock_guard lock(mutex_);
        std::erase(entries_, entry);
        removed.swap(entry->removed);
    }
    for (Added& done : waiting) {
        done(std::unexpected(added ? Error{.code = ECANCELED, .what = "it was stopped"}
                                   : added.error()));
    }
    for (Removed& done : removed) {
        done({});
    }
    check_stopped();
}

void DmUserService::stop(std::function<void(bool)> stopped) {
    std::vector<Entry> served;
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        stopped_ = std::move(stopped);
        std::erase_if(entries_,
                      [](const Entry& entry) { return entry->state == DeviceState::kFailed; });
        for (const Entry& entry : entries_) {
            entry->given_up = false;
            entry->handing_over->store(!entry->is_detached);
            if (entry->device) {
                served.push_back(entry);
            }
        }
    }
    for (const Entry& entry : served) {
        on_worker(entry, [this, entry] { take_down(entry); });
    }
    check_stopped();
}

/// Tells who waits for the stop, once every target has been left or will not be.
void DmUserService::check_stopped() {
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

Result<std::shared_ptr<core::TraceTap>> DmUserService::trace(const std::string& name) {
    const std::lock_guard lock(mutex_);
    const auto found = std::ranges::find_if(entries_, [&name](const Entry& entry) {
        return entry->device && entry->wanted.name == name;
    });
    if (found == entries_.end()) {
        return failure(ENOENT, fmt::format("no device '{}' is served", name));
    }
    return (*found)->device->trace();
}

std::vector<core::DeviceStatus> DmUserService::list() const {
    const std::lock_guard lock(mutex_);
    std::vector<core::DeviceStatus> devices;
    devices.reserve(entries_.size());
    for (const Entry& entry : entries_) {
        core::DeviceStatus status;
        if (entry->device) {
            status = entry->device->status();
        } else {
            status.size = entry->wanted.size;
            status.block_size = entry->wanted.block_size;
            status.read_only = entry->wanted.read_only;
        }
        status.front_end = name();
        status.name = entry->wanted.name;
        status.config = entry->wanted.config;
        status.node = core::dm_user_node(entry->wanted.name);
        status.state = entry->state;
        if (entry->failed) {
            status.error = entry->failed->what;
        }
        devices.push_back(std::move(status));
    }
    return devices;
}

Surroundings Surroundings::of(core::Runtime& runtime, core::DescriptorStore& store) {
    return {
        .find_kernel = [] { return find_dm_user(); },
        .find_node = [](const std::string& name) { return find_control_node(name); },
        .open_channel =
            [](const std::string& name, const core::FileIdentity& node) {
                return open_control_node(name, node);
            },
        .open_block = [&handlers = runtime.handlers](
                          host::OpenDevice request) { return handlers.open(std::move(request)); },
        .keeper = std::make_shared<StoredNodes>(store, hold_control_node)};
}

std::unique_ptr<core::Service> make_dm_user_service(core::Runtime& runtime,
                                                    core::DescriptorStore& store) {
    return std::make_unique<DmUserService>(runtime, Surroundings::of(runtime, store));
}

void abandon_targets(core::DescriptorStore& store) {
    StoredNodes(store, hold_control_node).let_go_of_others({});
}

}  // namespace lunkit::dm_user

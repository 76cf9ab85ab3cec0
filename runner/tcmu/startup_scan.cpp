// SPDX-License-Identifier: Apache-2.0
// TcmuService: the devices that were there before us, and what a predecessor left unanswered.
//
// A predecessor that died may have left the kernel waiting for an answer, one per device at most:
//   ADDED     the device is not enabled yet: it is brought up and answered as if it came now;
//   RECONFIG  cannot be seen: the device is enabled, as when nothing waits;
//   REMOVED   lookups below the device's configfs folder wait as well: the probe hangs.
// An answer of the wrong kind would do harm for good, so the last two are ended by the module's
// reset_netlink, which fails whatever waits. That would hit waiting ADDEDs too; where there are
// such, a RECONFIG that may wait unheard is answered by itself (the kernel says ENODEV if none
// does), and a reset for the sake of a REMOVED, or of a device that cannot be asked, comes when the
// ADDEDs have had their answers. New events are blocked meanwhile (block_netlink), so that nothing
// begins to wait between a look and the answer.
#include <algorithm>
#include <cerrno>
#include <utility>

#include "core/log.hpp"
#include "tcmu/tcmu_service.hpp"

namespace lunkit::tcmu {

namespace {

using Phase = ServedDevice::Phase;
using core::LogLevel;

constexpr std::chrono::milliseconds kProbeTimeout{2'000};
constexpr std::chrono::milliseconds kSecondLook{10'000};

bool answer_is_due(const std::shared_ptr<ServedDevice>& entry) {
    return entry->reply || !entry->waiting.empty();
}

}  // namespace

void TcmuService::scan() {
    Result<std::vector<UioDevice>> found = list_uio_devices(world_.paths);
    if (!found) {
        core::log(LogLevel::kError, {}, "{}; devices that exist already are not served",
                  found.error().what);
        unblock_events();
        return;
    }
    std::erase_if(*found, [this](const UioDevice& uio) {
        return find(uio.name.folder()) != nullptr;  // looked at again, see probe_hangs()
    });
    if (found->empty()) {
        unblock_events();  // a predecessor may have died in the middle of this
        return;
    }
    const Status blocked = write_parameter(world_.paths, "block_netlink", "1");
    scan_.blocked = blocked.has_value();
    if (!blocked && blocked.error().code != ENOENT) {  // kernels before 4.16 have none
        core::log(LogLevel::kWarning, {}, "{}, ignoring", blocked.error().what);
    }
    scan_.outstanding = found->size();
    for (const UioDevice& uio : *found) {
        probe_one(uio, world_.knows(uio.name.config));
    }
}

void TcmuService::probe_one(const UioDevice& uio, bool ours) {
    // Of others' devices only this matters: whether one waits to be added.
    const Entry entry = ours ? add(uio) : std::make_shared<ServedDevice>(uio);
    entry->stays->store(true);  // until it is known to be new, what a predecessor left is kept
    take_turn(entry, [this, entry, ours] { probe_step(entry, ours); });
}

void TcmuService::probe_step(const Entry& entry, bool ours) {
    auto result = std::make_shared<Result<Probe>>(failure(EIO));
    run_step(
        entry, {.most = kProbeTimeout},
        [this, name = entry->uio.name, result] { *result = probe(world_, name); },
        [this, entry, ours, result] { probed(entry, ours, std::move(*result)); },
        [this, entry, ours] {
            if (ours) {
                probe_hangs(entry);
            }
            end_turn(entry);
            one_probed();
            return true;
        });
}

void TcmuService::probed(const Entry& entry, bool ours, Result<Probe> result) {
    end_turn(entry);
    if (!result && ours) {
        // Nobody knows what waits for an answer.
        scan_.unsettled = scan_.unsettled || is_there(world_.paths, entry->uio);
        open_failed(entry, result.error());
    } else if (!result) {
        core::log(LogLevel::kInfo, {.device = entry->folder}, "{}, leaving the device alone",
                  result.error().what);
    } else if (!ours) {
        scan_.add_pending = scan_.add_pending || !result->enabled;
        if (!result->enabled && result->device_id && !foreign_.contains(*result->device_id)) {
            const DeviceEvent event{.kind = DeviceEvent::Kind::kAdded,
                                    .name = entry->folder,
                                    .minor = entry->uio.minor,
                                    .device_id = result->device_id,
                                    .change = {}};
            on_foreign(event, PendingReply(*channel_, event.kind, *event.device_id));
        }
    } else {
        note_probe(entry, *result);
        open_in_turn(entry);
    }
    one_probed();
}

void TcmuService::note_probe(const Entry& entry, const Probe& probe) {
    scan_.add_pending = scan_.add_pending || !probe.enabled;
    if (!probe.device_id) {
        return;
    }
    const std::uint32_t id = *probe.device_id;
    entry->device_id = id;
    if (probe.enabled) {
        if (!answer_is_due(entry)) {
            scan_.enabled.push_back(entry);
        }
    } else if (!entry->reply) {
        entry->reply = PendingReply(*channel_, DeviceEvent::Kind::kAdded, id);
    }
}

void TcmuService::probe_hangs(const Entry& entry) {
    core::log(LogLevel::kNotice, {.device = entry->folder},
              "the kernel waits for an answer to its removal, which the predecessor owes");
    scan_.unsettled = true;
    forget(entry, -ETIMEDOUT);  // should its addition have been heard meanwhile
    second_look();
}

// Should it only have been slow, it is found then.
void TcmuService::second_look() {
    (void)loop_->after(kSecondLook, [this] {
        if (stopping_) {
            return;
        }
        if (scan_.outstanding > 0 || scan_.blocked) {
            second_look();  // the first is not over
            return;
        }
        scan_ = {};
        scan();
    });
}

void TcmuService::one_probed() {
    if (scan_.outstanding == 0) {
        return;  // the service is stopping
    }
    --scan_.outstanding;
    if (scan_.outstanding > 0) {
        return;
    }
    scan_.reset_later = scan_.unsettled || !scan_.add_pending;
    if (!scan_.add_pending) {
        scan_.enabled.clear();  // the reset ends what waits
    }
    clear_stale_events();
}

// Nothing is done while events are read: of those behind, the kernel waits for answers as well.
void TcmuService::clear_stale_events() {
    if (scan_.outstanding > 0 || reading_ || !(scan_.blocked || scan_.add_pending)) {
        return;
    }
    read_events();  // what came before the block and was not read yet
    if (std::exchange(scan_.add_pending, false)) {
        end_unheard_reconfigs();
    }
    if (!scan_.blocked) {
        return;
    }
    if (scan_.reset_later) {
        if (std::ranges::any_of(entries_, answer_is_due) && !stopping_) {
            return;  // becomes_idle() and forget() come back here
        }
        if (const Status reset = write_parameter(world_.paths, "reset_netlink", "1"); !reset) {
            core::log(LogLevel::kWarning, {}, "{}, ignoring", reset.error().what);
        }
    }
    unblock_events();
}

void TcmuService::end_unheard_reconfigs() {
    for (const Entry& entry : scan_.enabled) {
        if (find(entry->folder) == entry) {
            PendingReply(*channel_, DeviceEvent::Kind::kReconfig, *entry->device_id).answer(-EINTR);
        }
    }
    scan_.enabled.clear();
}

void TcmuService::unblock_events() {
    scan_.blocked = false;
    const Status open = write_parameter(world_.paths, "block_netlink", "0");
    if (!open && open.error().code != ENOENT) {
        core::log(LogLevel::kError, {}, "{}; devices can be neither added nor removed",
                  open.error().what);
    }
}

}  // namespace lunkit::tcmu

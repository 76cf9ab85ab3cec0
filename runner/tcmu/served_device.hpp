// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "core/engine_queue.hpp"
#include "core/service.hpp"
#include "tcmu/bring_up.hpp"
#include "tcmu/control_loop.hpp"
#include "tcmu/device.hpp"
#include "tcmu/device_event.hpp"

namespace lunkit::tcmu {

/// What closing may take beside the draining.
inline constexpr std::chrono::seconds kClosingTime{2};

/// The service's record of one device, from the first sign of it to the end. Control thread only;
/// what list() reads changes under the service's mutex.
///
/// One thing at a time happens to a device (opening, a change, closing): its steps run elsewhere
/// and come back, and events that arrive meanwhile wait. `step` tells a step that comes back
/// whether it is still the one that is waited for.
struct ServedDevice {
    enum class Phase : std::uint8_t {
        kProbing,  ///< found at start; is it enabled?
        kOpening,
        kIdle,  ///< served, or (no device) failed and to be tried again
        kChanging,
        kClosing,
    };
    struct Waiting {
        DeviceEvent event;
        PendingReply reply;
        ControlLoop::TimerId timer;  ///< answers when the wait gets too long
    };

    explicit ServedDevice(UioDevice found) : uio(std::move(found)), folder(uio.name.folder()) {}

    UioDevice uio;
    const std::string folder;  ///< "user_<hba>/<dev>"
    std::optional<std::uint32_t> device_id;
    std::optional<ControlLoop::TimerId> turn;  ///< see take_turn(); the timer ends it
    Phase phase = Phase::kProbing;
    std::uint64_t step = 0;
    std::optional<ControlLoop::TimerId> watchdog;
    PendingReply reply;         ///< to the event that is being handled
    bool add_answered = false;  ///< the kernel has had its answer to ADDED
    std::deque<Waiting> waiting;

    std::shared_ptr<core::EngineQueue> queue;  ///< assigned; given back when the last owner goes
    /// Shared with a step that uses it: when the device is closed meanwhile, the step is the last
    /// owner. Never the last: anything on the control thread or on the queue (closing blocks).
    std::shared_ptr<Device> device;
    std::shared_ptr<const ConfigfsDevice> configfs;
    /// See BringUpOrder::stays.
    std::shared_ptr<std::atomic<bool>> stays = std::make_shared<std::atomic<bool>>(false);
    std::uint64_t kernel_size = 0;  ///< what the kernel thinks, bytes
    bool tells_size = false;        ///< the kernel is to be told what the device's is
    bool size_came_early = false;   ///< the handler told of one before the device was there
    /// The kernel's emulate_write_cache is being made to follow the unit's; nothing: it is not. The
    /// kernel asks us about it by a RECONFIG of its own, while the write waits.
    std::optional<bool> writing_cache;
    bool gone = false;  ///< its uio node is dead
    std::string error;  ///< why it is not served
};

}  // namespace lunkit::tcmu

// SPDX-License-Identifier: Apache-2.0
// Bringing up a device: everything between "the kernel has one" and a Device that can be started,
// in three steps: survey() and preset() ask configfs only, bring_up() opens what is to be served.
// Each may block, so it runs on a worker thread, and whoever waits for it has a watchdog.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/engine_queue.hpp"
#include "core/service.hpp"
#include "host/handler_registry.hpp"
#include "lunkit/block_device.hpp"
#include "lunkit/result.hpp"
#include "tcmu/configfs.hpp"
#include "tcmu/device.hpp"
#include "tcmu/device_event.hpp"
#include "tcmu/inflight_folder.hpp"
#include "tcmu/uio.hpp"

namespace lunkit::tcmu {

/// What the service asks of the world around it. Tests put their own in its place.
struct Surroundings {
    KernelPaths paths;
    /// Loads what the kernel needs.
    std::function<Status()> ensure_kernel;
    std::function<Result<std::unique_ptr<EventChannel>>()> open_channel;
    std::function<Result<UioNode>(std::uint32_t minor)> open_uio;
    /// Whether "<handler>/<rest>" is for a handler of ours.
    std::function<bool(std::string_view config)> knows;
    std::function<Result<std::unique_ptr<BlockDevice>>(host::OpenDevice request)> open_block;
    /// The serial number that the SCSI disk ("sda") has told the kernel; none: empty. No command
    /// to the disk is made for it.
    std::function<std::string(const std::string& disk)> serial_of_disk;
    /// How long configfs may take for what it answers at once, unless somebody deletes the device
    /// while it is created: then it waits for the very answer that it is asked for. While other
    /// creations go on, it has longer.
    std::chrono::milliseconds configfs_time{5'000};
    /// How long a device that nobody waits for may hold up those behind it.
    std::chrono::milliseconds turn_time{2'000};
    /// Until a device that cannot be served is tried again.
    std::chrono::milliseconds retry_time{10'000};

    /// The running kernel and the handlers of `runtime`.
    static Surroundings of(core::Runtime& runtime);
};

/// What configfs says of a device before anything is opened.
struct Probe {
    std::shared_ptr<const ConfigfsDevice> configfs;
    bool enabled = false;  ///< not yet: its ADD waits for an answer
    std::optional<std::uint32_t> device_id;
};
/// Worker thread. Does not come back while a REMOVED of the device waits for its answer.
Result<Probe> probe(const Surroundings& world, const DeviceName& name);

/// What bringing up has to know of it.
struct Survey {
    Probe probe;
    DeviceInfoText info;
    std::uint32_t block_size = 0;
    std::uint64_t max_sectors = 0;
    bool write_cache = false;
    bool target_answers_reservations = false;
};
/// Worker thread. Waits as probe() does, and while somebody deletes a device that is not enabled.
Result<Survey> survey(const Surroundings& world, const DeviceName& name);

struct BringUpOrder {
    UioDevice uio;
    Survey survey;
    std::shared_ptr<core::EngineQueue> queue;
    /// May be null: then nobody can take over from us. An opening that hangs may outlive the
    /// service.
    std::shared_ptr<const InflightFolder> tables;
    DeviceEvents events;  ///< identity and reserved are filled in
    std::shared_ptr<CopyDirectory> copies;
    std::function<void(std::uint64_t size)> size_changed;
    /// Whether the kernel's device stays when ours is closed, and a successor opens it. Set here
    /// to whether it was there before; from then on the service's.
    std::shared_ptr<std::atomic<bool>> stays;
};
struct BroughtUp {
    std::unique_ptr<Device> device;
    Probe probe;
    std::uint64_t kernel_size = 0;  ///< what the kernel thinks, bytes
    bool to_preset = false;         ///< preset() comes next
    bool tells_tmr = false;         ///< its ring can tell task management functions
};
/// Worker thread. An error leaves nothing open; what it says is for the operator.
Result<BroughtUp> bring_up(const Surroundings& world, BringUpOrder order);

/// The attributes that follow the handler. Only while the device is being added: nobody has set
/// them on purpose yet, and no RECONFIG is made of it (kernels with tmr_notification, 5.9 and
/// later). Worker thread; waits as survey() does.
void preset(const BroughtUp& device);

}  // namespace lunkit::tcmu

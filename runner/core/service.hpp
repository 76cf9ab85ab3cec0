// SPDX-License-Identifier: Apache-2.0
// Service: the waist between the main program (start, stop, list, status) and the front ends (TCMU,
// ublk, dm-user, dm-log). The main program knows front ends only as this.
//
// Calls come from the control thread. None waits for storage: start() and stop() begin something
// and return; list() copies what is known.
#pragma once

#include <array>
#include <cerrno>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/device_counters.hpp"
#include "core/queue_set.hpp"
#include "core/settings.hpp"
#include "lunkit/result.hpp"

namespace lunkit::host {
class HandlerRegistry;
}

namespace lunkit::core {

class TraceTap;  // trace.hpp

enum class DeviceState : std::uint8_t { kOpening, kRunning, kDraining, kFailed };

struct DeviceStatus {
    std::string front_end;  ///< "tcmu", ...
    std::string name;       ///< unique within the front end, e.g. "user_0/disk1"
    std::string config;     ///< "<handler>/<rest>"
    std::string node;       ///< what serves it, e.g. "/dev/uio3"
    DeviceState state = DeviceState::kOpening;
    std::string error;             ///< kFailed: why
    std::uint64_t size = 0;        ///< bytes
    std::uint32_t block_size = 0;  ///< bytes
    bool read_only = false;
    bool write_cache = false;
    std::uint64_t read_commands = 0;
    std::uint64_t read_bytes = 0;
    std::uint64_t write_commands = 0;
    std::uint64_t write_bytes = 0;
    std::uint64_t other_commands = 0;
    std::uint64_t errors = 0;
    std::uint64_t in_flight = 0;
    std::uint64_t kicks = 0;
    std::array<LatencySummary, kCommandClasses> latency{};  ///< by CommandClass
    std::map<std::string, std::uint64_t> error_counts;      ///< by ErrorKind::text()
    // Dirty logs of mirrors; else 0.
    std::uint64_t region_size = 0;  ///< bytes
    std::uint64_t regions = 0;
    std::uint64_t regions_in_sync = 0;
    std::uint64_t regions_dirty = 0;
};

/// A device that the daemon is asked to make.
struct NewDevice {
    std::string config;                   ///< "<handler>/<rest>"
    std::optional<std::uint32_t> number;  ///< of its node; none: the kernel chooses
    std::uint64_t size = 0;               ///< bytes; 0: as large as the storage is
    std::uint32_t block_size = 512;       ///< bytes
    bool read_only = false;
    std::uint32_t queues = 1;  ///< hardware queues, for handlers that are parallel
    // Of a dm-user target.
    std::string name = {};               ///< of its control node below /dev/dm-user
    std::uint64_t start_sectors512 = 0;  ///< where it begins in its mapped device
    std::uint32_t channels = 0;          ///< requests served at a time; 0: the front end's choice
    bool operator==(const NewDevice&) const = default;
};

/// Regions of a dirty log, one after the other, of which the same is known.
struct RegionRun {
    std::uint64_t first = 0;
    std::uint64_t count = 0;
    bool clean = false;    ///< no write is under way, and the legs are equal
    bool in_sync = false;  ///< the legs are equal but for writes under way
    bool operator==(const RegionRun&) const = default;
};

/// What every front end works with; outlives them.
struct Runtime {
    QueueSet& queues;
    host::HandlerRegistry& handlers;
    const Settings& settings;  ///< a reload replaces values between calls, on the control thread
};

class Service {
  public:
    virtual ~Service() = default;
    [[nodiscard]] virtual std::string_view name() const = 0;
    /// An error means that this front end cannot serve here; what it says is for the operator.
    /// ENODEV: the kernel has nothing of the kind yet; tried again when somebody wants to use it.
    virtual Status start() = 0;
    /// Stops taking requests, ends those in flight (bounded by settings.drain_timeout), leaves the
    /// rest to the successor; then calls `stopped`, on any thread. `clean` is false when something
    /// of ours still runs: neither the queues nor the handlers may go then, only the process.
    virtual void stop(std::function<void(bool clean)> stopped) = 0;
    /// Whether the others stop first, because they may need it to end what is in flight.
    [[nodiscard]] virtual bool stops_last() const { return false; }
    [[nodiscard]] virtual std::vector<DeviceStatus> list() const = 0;
    /// Whether the disk that the kernel calls `disk` ("ublkb3") is a device of this front end, or
    /// becomes one again. Any thread; may wait for start(), and for no storage.
    [[nodiscard]] virtual bool serves_disk(const std::string& /*disk*/) { return false; }
    /// A reload has replaced values of Runtime::settings: goes on with the new ones.
    virtual void settings_changed() {}

    using Added = std::move_only_function<void(Result<std::string> node)>;
    using Removed = std::move_only_function<void(Status)>;
    using Resized = std::move_only_function<void(Status)>;
    /// Makes a device and gives its node, on any thread. EOPNOTSUPP: devices of this front end are
    /// not made by the daemon. EALREADY: it has one of that number or name.
    virtual void add_device(NewDevice /*wanted*/, Added done) {
        done(failure(EOPNOTSUPP, "devices of this front end are not made by lunkitd"));
    }
    /// Removes the device called `name` (or its node); answers on any thread, when it has gone.
    /// EINVAL: no device is called so. ENOENT: there is none. EBUSY: somebody has it mounted or
    /// claimed, and not `force`; or another program serves it.
    virtual void remove_device(const std::string& /*name*/, bool /*force*/, Removed done) {
        done(failure(EOPNOTSUPP, "devices of this front end are not removed by lunkitd"));
    }
    /// Gives the device called `name` (or its node) another size, in bytes, and its storage with
    /// it; answers on any thread. `recreate`: where the kernel cannot, the device is removed and
    /// made again, unless somebody uses it. ENOENT, EBUSY: as for remove_device().
    virtual void resize_device(const std::string& /*name*/, std::uint64_t /*size*/,
                               bool /*recreate*/, Resized done) {
        done(failure(EOPNOTSUPP, "devices of this front end are not resized by lunkitd"));
    }
    using Regions = std::move_only_function<void(Result<std::vector<RegionRun>>)>;
    /// All regions of the dirty log called `name`, in order; answers on any thread. ENOENT: there
    /// is none. E2BIG: they change from one to the next too often to be told.
    virtual void list_regions(const std::string& /*name*/, Regions done) {
        done(failure(EOPNOTSUPP, "devices of this front end have no regions"));
    }

    /// Where the device called `name` can be watched. ENOENT: there is none that runs.
    [[nodiscard]] virtual Result<std::shared_ptr<TraceTap>> trace(const std::string& /*name*/) {
        return failure(EOPNOTSUPP, "devices of this front end cannot be traced");
    }

    Service(const Service&) = delete;
    Service& operator=(const Service&) = delete;

  protected:
    Service() = default;
};

}  // namespace lunkit::core

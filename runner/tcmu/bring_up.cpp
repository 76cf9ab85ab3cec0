// SPDX-License-Identifier: Apache-2.0
#include "tcmu/bring_up.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <fstream>
#include <iterator>
#include <utility>

#include "core/log.hpp"
#include "core/trimmed.hpp"
#include "lunkit/try.hpp"
#include "tcmu/modules.hpp"
#include "tcmu/netlink.hpp"

namespace lunkit::tcmu {

namespace {

using File = ConfigfsDevice::File;

constexpr std::chrono::seconds kUioPatience{5};
constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

// The largest command to ask initiators for. LIO does not split what exceeds hw_max_sectors, whose
// default of 64 KiB is small; the limit is the data area, in which several have to fit.
std::uint64_t max_transfer(std::uint64_t data_area_mb, std::uint64_t hw_max_sectors,
                           std::uint64_t block_size) {
    constexpr std::uint64_t kWanted = 64 * kMiB;
    const std::uint64_t area = std::max<std::uint64_t>(data_area_mb, 1) * kMiB;
    const std::uint64_t asked = hw_max_sectors * block_size;
    return std::min(std::max(asked, std::min(kWanted, area / 8)), area / 2);
}

// LIO does, unless it is told to leave them to the backstore; older kernels always do.
bool target_answers_reservations(const ConfigfsDevice& configfs) {
    const auto is_off = [&configfs](File file) {
        const Result<std::uint64_t> value = configfs.read_number(file);
        return value && *value == 0;
    };
    return !is_off(File::kEmulatePr) && !is_off(File::kPgrSupport);
}

TableOwner owner_of(const BringUpOrder& order) {
    return {.name = order.uio.name.folder(),
            .device_id = order.survey.probe.device_id.value_or(0),
            .node = order.uio.node};
}

// Goes on where a predecessor was, if what it left is there and fits.
void resume(ServedRing& ring, const BringUpOrder& order, const TableOwner& owner) {
    if (order.tables == nullptr) {
        return;
    }
    Result<TableMemory> left = order.tables->find(order.uio.minor, owner, ring.table_bytes());
    if (!left) {
        if (left.error().code != ENOENT) {
            core::log(core::LogLevel::kWarning, {.device = owner.name},
                      "cannot look for what a predecessor left: {}", left.error().what);
        }
        return;
    }
    const Status resumed = ring.resume(*std::move(left));
    if (!resumed) {
        core::log(core::LogLevel::kNotice, {.device = owner.name},
                  "what the predecessor left cannot be taken over: {}", resumed.error().what);
        return;
    }
    core::log(core::LogLevel::kInfo, {.device = owner.name},
              "going on in the ring where the predecessor was");
}

// A ring that holds commands of which nobody knows whether they have run: the initiators shall
// repeat them.
Status empty(ServedRing& ring, const BringUpOrder& order, std::string_view name) {
    const Probe& probe = order.survey.probe;
    TRY(const RingPositions positions, ring.positions());
    if (positions.is_empty()) {
        return {};
    }
    if (!probe.configfs->has(File::kResetRing)) {
        return failure(ENOTRECOVERABLE,
                       "its ring holds commands of a predecessor, and this kernel has no "
                       "action/reset_ring");
    }
    core::log(core::LogLevel::kNotice, {.device = name},
              "its ring holds commands that a predecessor left behind: resetting the ring, "
              "initiators repeat them");
    // What a table says is of the ring before.
    if (ring.keeps_memory()) {
        ring.retire_table();
    } else if (order.tables != nullptr) {
        order.tables->remove(order.uio.minor, order.uio.node);
    }
    return probe.configfs->reset_ring();
}

// With a table of our own. What the unit remembers lies beside the predecessor's and stays there.
Status begin(ServedRing& ring, const BringUpOrder& order, const TableOwner& owner) {
    if (ring.keeps_memory()) {
        return ring.attach();
    }
    if (order.tables != nullptr) {
        Result<TableMemory> kept = order.tables->make(order.uio.minor, owner, ring.table_bytes());
        if (kept) {
            return ring.attach(*std::move(kept));
        }
        if (kept.error().code == ENODEV) {
            return std::unexpected(kept.error());
        }
        core::log(core::LogLevel::kWarning, {.device = owner.name},
                  "{}; should the daemon die, a successor has to reset the ring",
                  kept.error().what);
    }
    TRY(TableMemory memory, TableMemory::anonymous(ring.table_bytes()));
    return ring.attach(std::move(memory));
}

Status unblock(const Probe& probe, std::string_view name) {
    TRY(const bool was_blocked, probe.configfs->unblock());
    if (was_blocked) {
        core::log(core::LogLevel::kNotice, {.device = name},
                  "the device was left blocked, it is unblocked now");
    }
    return {};
}

/// From what the kernel keeps of the disk's unit serial number page: SPC-4 7.8.16.
std::string serial_in_sysfs(const std::string& disk) {
    constexpr std::size_t kHeader = 4;
    std::ifstream file("/sys/block/" + disk + "/device/vpd_pg80", std::ios::binary);
    const std::string page{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    return page.size() <= kHeader
               ? std::string()
               : std::string(core::trimmed(std::string_view(page).substr(kHeader)));
}

}  // namespace

Surroundings Surroundings::of(core::Runtime& runtime) {
    Surroundings world;
    const KernelPaths paths = world.paths;
    host::HandlerRegistry& handlers = runtime.handlers;
    world.ensure_kernel = [paths] { return ensure_tcmu(paths); };
    world.open_channel = [] { return NetlinkChannel::open(); };
    world.open_uio = [paths](std::uint32_t minor) {
        return tcmu::open_uio(paths, minor, kUioPatience);
    };
    world.knows = [&handlers](std::string_view config) { return handlers.knows(config); };
    world.open_block = [&handlers](host::OpenDevice request) {
        return handlers.open(std::move(request));
    };
    world.serial_of_disk = serial_in_sysfs;
    return world;
}

Result<Probe> probe(const Surroundings& world, const DeviceName& name) {
    TRY(ConfigfsDevice opened, ConfigfsDevice::open(world.paths, name));
    auto configfs = std::make_shared<const ConfigfsDevice>(std::move(opened));
    Probe found;
    TRY(found.enabled, configfs->is_enabled());
    if (const Result<std::uint32_t> id = configfs->device_id(); id) {
        found.device_id = *id;
    }
    found.configfs = std::move(configfs);
    return found;
}

Result<Survey> survey(const Surroundings& world, const DeviceName& name) {
    Survey found;
    TRY(found.probe, probe(world, name));
    const ConfigfsDevice& configfs = *found.probe.configfs;
    TRY(const std::uint64_t block_size, configfs.read_number(File::kHwBlockSize));
    found.block_size = static_cast<std::uint32_t>(block_size);
    TRY(found.max_sectors, configfs.read_number(File::kHwMaxSectors));
    TRY(const std::string info, configfs.read(File::kInfo));
    TRY(found.info, DeviceInfoText::parse(info));
    const Result<std::uint64_t> write_cache = configfs.read_number(File::kEmulateWriteCache);
    found.write_cache = write_cache && *write_cache != 0;
    found.target_answers_reservations = target_answers_reservations(configfs);
    return found;
}

Result<BroughtUp> bring_up(const Surroundings& world, BringUpOrder order) {
    const std::string name = order.uio.name.folder();
    const Survey& survey = order.survey;
    const Probe& probe = survey.probe;
    // The node first: who has it open serves the device, and nobody else may touch its storage.
    TRY(UioNode node, world.open_uio(order.uio.minor));
    if (!is_there(world.paths, order.uio)) {
        // This may run long after it was given up: the node may be that of the minor's next device.
        return failure(ENODEV, "the device is gone");
    }
    TRY(ServedRing ring, ServedRing::open(std::move(node)));
    const TableOwner owner = owner_of(order);
    if (probe.enabled) {
        resume(ring, order, owner);
    }

    host::OpenDevice request{.config = order.uio.name.config,
                             .name = name,
                             .size = survey.info.size,
                             .block_size = survey.block_size,
                             .read_only = false,
                             .take_over = probe.enabled,
                             .size_changed = std::move(order.size_changed),
                             .handing_over = [stays = order.stays] { return stays->load(); },
                             .zones = true};
    order.stays->store(probe.enabled);
    TRY(std::unique_ptr<BlockDevice> block, world.open_block(std::move(request)));
    if (!ring.is_begun()) {
        CHECK(empty(ring, order, name));
        CHECK(begin(ring, order, owner));
    }
    if (probe.enabled) {
        CHECK(unblock(probe, name));
    }
    BroughtUp result;
    result.probe = probe;
    result.kernel_size = survey.info.size;
    result.to_preset = !probe.enabled && probe.configfs->has(File::kTmrNotification);
    result.tells_tmr = (ring.info().flags & mailbox::kTmr) != 0;
    DeviceParts parts;
    parts.unit.write_cache = result.to_preset ? block->info().write_cache : survey.write_cache;
    parts.unit.target_answers_reservations = survey.target_answers_reservations;
    parts.unit.block_size = survey.block_size;
    parts.unit.max_transfer =
        max_transfer(survey.info.max_data_area_mb, survey.max_sectors, survey.block_size);
    parts.name = name;
    parts.config = order.uio.name.config;
    parts.node = fmt::format("/dev/uio{}", order.uio.minor);
    parts.ring = std::move(ring);
    parts.block = std::move(block);
    parts.events = std::move(order.events);
    parts.events.identity = [configfs = probe.configfs] { return configfs->identity(); };
    parts.events.reserved = [configfs = probe.configfs] { return configfs->is_reserved(); };
    parts.copies = std::move(order.copies);
    parts.copy_name = copy_name(order.uio.name);
    result.device = std::make_unique<Device>(std::move(parts), *order.queue);
    return result;
}

void preset(const BroughtUp& device) {
    const ConfigfsDevice& configfs = *device.probe.configfs;
    const bool write_cache = device.device->write_cache();
    const Status cache = configfs.write(File::kEmulateWriteCache, write_cache ? "1" : "0");
    const Status notify = device.tells_tmr ? configfs.write(File::kTmrNotification, "1") : Status{};
    for (const Status& status : {cache, notify}) {
        if (!status) {
            core::log(core::LogLevel::kDebug, {.device = device.device->name()}, "{}, ignoring",
                      status.error().what);
        }
    }
}

}  // namespace lunkit::tcmu

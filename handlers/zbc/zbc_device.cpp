// SPDX-License-Identifier: Apache-2.0
#include "zbc_device.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <utility>
#include <vector>

#include "lunkit/creatable.hpp"
#include "lunkit/try.hpp"

namespace lunkit::zbc {
namespace {

// What a request leaves in its `progress`.
constexpr std::uint64_t kAdmitted = 1;  // it obeys the rules; the write pointer may have moved
constexpr std::uint64_t kDone = 2;      // only its status is still to be told

void leave_progress(const IoRequest& io, std::uint64_t progress) {
    if (io.progress != nullptr) {
        std::atomic_ref(*io.progress).store(progress, std::memory_order_release);
    }
}

bool was(const IoRequest& io, std::uint64_t progress) {
    return io.progress != nullptr && *io.progress == progress;
}

Status fill_zeros(const lunkit_host& host, const IoRequest& io, std::uint64_t at,
                  std::uint64_t length) {
    static constexpr std::array<std::byte, 65536> kZeros{};
    while (length > 0) {
        const std::uint64_t step = std::min<std::uint64_t>(length, kZeros.size());
        if (const int error = host.copy_to(io.data, io.data_offset + at, kZeros.data(), step);
            error < 0) {
            return failure(-error);
        }
        at += step;
        length -= step;
    }
    return {};
}

std::string bytes(std::uint64_t count) {
    return std::to_string(count) + " bytes";
}

/// Whether nothing was ever written to the file: it was made, and its maker got no further.
bool is_all_hole(const lunkit_file_info& info) {
    return info.is_block_device == 0 && ::lseek(info.fd, 0, SEEK_DATA) < 0 && errno == ENXIO;
}

/// The zones of a file that is there, if they are those that are wanted.
Result<Geometry> find_zones(const lunkit_host& host, const lunkit_file_info& info,
                            const ZbcOptions& options) {
    TRY(const Geometry geometry, ZoneTable::read_header(host, info.fd, options.path));
    CHECK(options.check(geometry));
    if (info.size < geometry.file_size()) {
        return failure(EINVAL, options.path + " has been cut to " + bytes(info.size) +
                                   "; its zones take " + bytes(geometry.file_size()));
    }
    return geometry;
}

Status check_lun(const Geometry& geometry, const OpenRequest& request, const std::string& path) {
    if (request.size != 0 && request.size != geometry.size) {
        return failure(EINVAL, path + " has zones of " + bytes(geometry.size) +
                                   " together, but the LUN has " + bytes(request.size) +
                                   ": they have to be equal");
    }
    if (request.block_size != geometry.block_size) {
        return failure(EINVAL, path + " was made with blocks of " + bytes(geometry.block_size) +
                                   "; the LUN has " + bytes(request.block_size) +
                                   " (targetcli: control=hw_block_size=" +
                                   std::to_string(geometry.block_size) + ")");
    }
    return {};
}

}  // namespace

ZbcDevice::ZbcDevice(const OpenRequest& request, File file, const lunkit_file_info& info,
                     const Geometry& geometry)
    : host_(request.host),
      host_device_(request.host_device),
      file_(std::move(file)),
      file_info_(info),
      geometry_(geometry),
      data_offset_(geometry.data_offset()),
      table_(host_, file_, geometry_),
      opens_(table_, geometry.max_open_zones) {}

// For a successor as well: it may be of the next boot.
ZbcDevice::~ZbcDevice() {
    if (is_loaded_ && file_info_.read_only == 0) {
        if (const Status closed = table_.close(file_info_.fd); !closed) {
            host_.log(host_device_, LUNKIT_LOG_WARNING, closed.error().what.c_str());
        }
    }
}

Result<std::unique_ptr<ZbcDevice>> ZbcDevice::open(const OpenRequest& request) {
    TRY(const ZbcOptions options, ZbcOptions::parse(request.config));
    const auto new_geometry = options.geometry(request.size, request.block_size);
    // A successor finds what its predecessor served, or an error: never a new, empty file.
    const bool create = options.create && !request.take_over && new_geometry;
    auto opened = File::open(request.host, options.path,
                             options.flags(request.read_only) | (create ? LUNKIT_FILE_CREATE : 0U),
                             create ? new_geometry->file_size() : 0);
    if (!opened) {
        const bool misses_geometry = opened.error().code == ENOENT && options.create &&
                                     !request.take_over && request.size != 0 && !new_geometry;
        return std::unexpected(misses_geometry ? new_geometry.error() : opened.error());
    }
    TRY(const lunkit_file_info info, opened->info());
    const bool is_new =
        info.was_created != 0 || (create && info.read_only == 0 &&
                                  info.size == new_geometry->file_size() && is_all_hole(info));
    auto device = is_new ? make(request, options, *std::move(opened), info, *new_geometry)
                         : open_zones_of(request, options, *std::move(opened), info);
    if (!device && info.was_created != 0) {
        (void)::unlink(options.path.c_str());  // the error says what matters
    }
    return device;
}

Result<std::unique_ptr<ZbcDevice>> ZbcDevice::make(const OpenRequest& request,
                                                   const ZbcOptions& options, File file,
                                                   const lunkit_file_info& info,
                                                   const Geometry& geometry) {
    if (const Status made = ZoneTable::format(request.host, info.fd, geometry); !made) {
        return failure(made.error().code, options.path + " cannot be made: " + made.error().what);
    }
    return open_zones_of(request, options, std::move(file), info);
}

Result<std::unique_ptr<ZbcDevice>> ZbcDevice::open_zones_of(const OpenRequest& request,
                                                            const ZbcOptions& options, File file,
                                                            const lunkit_file_info& info) {
    TRY(const Geometry geometry, find_zones(request.host, info, options));
    CHECK(check_lun(geometry, request, options.path));
    std::unique_ptr<ZbcDevice> device(new ZbcDevice(request, std::move(file), info, geometry));
    CHECK(device->table_.load(
        {.fd = info.fd, .read_only = info.read_only != 0, .take_over = request.take_over},
        options.path));
    device->opens_.adopt(geometry.conventional_zones);
    device->is_loaded_ = true;
    return device;
}

Status ZbcDevice::check_config(const CheckRequest& request) {
    TRY(const ZbcOptions options, ZbcOptions::parse(request.config));
    if (request.syntax_only) {
        return {};
    }
    const auto file = File::open(request.host, options.path, options.flags(false));
    if (!file) {
        const bool makes_it = file.error().code == ENOENT && options.create && !options.readonly;
        return makes_it ? check_folder_of(options.path) : std::unexpected(file.error());
    }
    TRY(const lunkit_file_info info, file->info());
    if (options.create && info.read_only == 0 && info.size != 0 && is_all_hole(info)) {
        return {};  // may be one that open() makes
    }
    const auto zones = find_zones(request.host, info, options);
    return zones ? Status() : std::unexpected(zones.error());
}

DeviceInfo ZbcDevice::info() const {
    DeviceInfo info;
    info.size = geometry_.size;
    info.type = DeviceType::kZoned;
    info.zone_size = geometry_.zone_size;
    info.max_open_zones = geometry_.max_open_zones;
    info.min_block_size = geometry_.block_size;
    info.physical_block_size = file_info_.physical_block_size;
    info.optimal_io_size = file_info_.optimal_io_size;
    info.read_only = file_info_.read_only != 0;
    info.rotational = file_info_.is_rotational != 0;
    return info;
}

// `range` is of blocks of one type of zone.
ZbcDevice::Piece ZbcDevice::piece_at(ByteRange range) const {
    if (range.offset < geometry_.sequential_start()) {
        return {range.length, true};
    }
    std::uint64_t at = range.offset;
    bool is_written = false;
    while (at < range.end()) {
        const std::uint64_t index = at / geometry_.zone_size;
        const ByteRange zone = geometry_.zone(index);
        const std::uint64_t written_to = zone.offset + table_[index].written;
        const bool is_here = at < written_to;
        if (at == range.offset) {
            is_written = is_here;
        } else if (is_written != is_here) {
            break;
        }
        at = is_here ? written_to : zone.end();
        if (is_here && written_to != zone.end()) {
            break;
        }
    }
    return {std::min(at, range.end()) - range.offset, is_written};
}

Task<Status> ZbcDevice::read(Queue& queue, const IoRequest& io) {
    const std::uint64_t sequential = geometry_.sequential_start();
    if (io.offset < sequential && io.range().end() > sequential) {
        co_return zone_failure(EXDEV);
    }
    for (std::uint64_t done = 0; done < io.length;) {
        const Piece piece = piece_at({io.offset + done, io.length - done});
        if (!piece.is_written) {
            CO_CHECK(fill_zeros(host_, io, done, piece.length));
        } else {
            const Outcome outcome =
                co_await file_.read(queue, data_offset_ + io.offset + done, *io.data,
                                    io.data_offset + done, piece.length);
            Status status = to_status(outcome);
            if (!status) {
                if (status.error().offset != LUNKIT_NO_OFFSET) {
                    status.error().offset += done;
                }
                co_return status;
            }
        }
        done += piece.length;
    }
    co_return Status{};
}

Task<Status> ZbcDevice::write(Queue& queue, const IoRequest& io) {
    return change(queue, io, Deed::kWrite);
}

Task<Status> ZbcDevice::write_zeroes(Queue& queue, const IoRequest& io) {
    return change(queue, io, Deed::kZero);
}

Task<Status> ZbcDevice::flush(Queue& queue) {
    return table_.settle(queue);
}

Task<Status> ZbcDevice::move(Queue& queue, const IoRequest& io, Deed deed, std::uint32_t flags) {
    const std::uint64_t offset = data_offset_ + io.offset;
    if (deed == Deed::kWrite) {
        const Outcome outcome = co_await file_.write(queue, offset, *io.data, io.data_offset,
                                                     io.length, flags & LUNKIT_IO_FUA);
        co_return to_status(outcome);
    }
    const std::uint32_t how =
        ((io.flags & LUNKIT_IO_MAY_UNMAP) != 0 ? LUNKIT_ZERO_MAY_UNMAP : 0U) |
        ((io.flags & LUNKIT_IO_NO_FALLBACK) != 0 ? LUNKIT_ZERO_NO_FALLBACK : 0U);
    const Outcome zeroed = co_await file_.zero(queue, offset, io.length, how);
    CO_CHECK(to_status(zeroed));
    if ((flags & LUNKIT_IO_FUA) != 0) {
        const Outcome flushed = co_await file_.flush(queue);
        CO_CHECK(to_status(flushed));
    }
    co_return Status{};
}

Task<Status> ZbcDevice::change(Queue& queue, const IoRequest& io, Deed deed) {
    const std::uint64_t sequential = geometry_.sequential_start();
    if (io.offset >= sequential) {
        co_return co_await change_sequential(queue, io, deed);
    }
    if (io.range().end() > sequential) {
        co_return zone_failure(EFBIG);
    }
    co_return co_await move(queue, io, deed, io.flags);
}

Status ZbcDevice::check_write(const IoRequest& io, std::uint64_t zone) const {
    if (is_full(zone)) {
        return zone_failure(EPERM);
    }
    if (io.offset != geometry_.zone(zone).offset + table_[zone].written) {
        return zone_failure(EINVAL);
    }
    return {};
}

Task<Status> ZbcDevice::change_sequential(Queue& queue, const IoRequest& io, Deed deed) {
    const std::uint64_t zone = io.offset / geometry_.zone_size;
    const ByteRange blocks = geometry_.zone(zone);
    if (io.range().end() > blocks.end()) {
        co_return zone_failure(EFBIG);
    }
    RangeLock::Guard alone(locks_, blocks, RangeLock::Mode::kExclusive);
    (void)co_await alone.acquire(queue);  // always 0
    const std::uint64_t written = io.range().end() - blocks.offset;
    if (!was(io, kDone)) {
        const OpenZones::Writing writing(opens_, zone);
        // A predecessor has moved the write pointer behind these blocks: they are written again.
        const bool is_behind = was(io, kAdmitted) && written <= table_[zone].written;
        if (!is_behind) {
            CO_CHECK(check_write(io, zone));
            CO_CHECK(co_await opens_.open_implicitly(queue, zone));
            leave_progress(io, kAdmitted);
        }
        CO_CHECK(co_await move(queue, io, deed, 0));
        if (!is_behind) {
            CO_CHECK(co_await advance(queue, zone, written));
        }
    }
    if (io.fua()) {  // with what was written to the zone before
        CO_CHECK(co_await table_.settle(queue));
    }
    leave_progress(io, kDone);
    co_return Status{};
}

// The write ends when its write pointer is in the file; REPORT ZONES shows it a little earlier, and
// no more if it could not be stored.
Task<Status> ZbcDevice::advance(Queue& queue, std::uint64_t zone, std::uint64_t written) {
    const std::uint64_t before = table_[zone].written;
    if (written == geometry_.zone(zone).length) {
        opens_.leave(zone, written);
    } else {
        table_.set(zone, written, table_[zone].opened);
    }
    Status stored = co_await table_.store(queue, zone);
    if (!stored) {
        table_.set(zone, before, table_[zone].opened);
    }
    co_return stored;
}

Zone ZbcDevice::describe(std::uint64_t index) const {
    const ByteRange range = geometry_.zone(index);
    Zone zone{};
    zone.start = range.offset;
    zone.length = range.length;
    if (is_conventional(index)) {
        zone.type = LUNKIT_ZONE_CONVENTIONAL;
        zone.condition = LUNKIT_ZONE_NOT_WRITE_POINTER;
        return zone;
    }
    const Record& record = table_[index];
    zone.type = LUNKIT_ZONE_SEQUENTIAL_WRITE_REQUIRED;
    zone.write_pointer = range.offset + record.written;
    if (is_full(index)) {
        zone.condition = LUNKIT_ZONE_FULL;
    } else if (record.opened == Opened::kImplicitly) {
        zone.condition = LUNKIT_ZONE_IMPLICITLY_OPENED;
    } else if (record.opened == Opened::kExplicitly) {
        zone.condition = LUNKIT_ZONE_EXPLICITLY_OPENED;
    } else {
        zone.condition = record.written == 0 ? LUNKIT_ZONE_EMPTY : LUNKIT_ZONE_CLOSED;
    }
    return zone;
}

Task<Result<std::uint32_t>> ZbcDevice::report_zones(Queue& /*queue*/, const IoRequest& io,
                                                    std::span<Zone> zones) {
    const std::uint64_t first = io.offset / geometry_.zone_size;
    const std::uint64_t last = (io.range().end() - 1) / geometry_.zone_size;
    const std::uint64_t count = std::min<std::uint64_t>(zones.size(), last - first + 1);
    for (std::uint64_t i = 0; i < count; ++i) {
        zones[i] = describe(first + i);
    }
    co_return static_cast<std::uint32_t>(count);
}

Task<Status> ZbcDevice::manage_zones(Queue& queue, ZoneAction action, const IoRequest& io) {
    const bool all = (io.flags & LUNKIT_IO_ALL_ZONES) != 0;
    const ByteRange range = all ? ByteRange{0, geometry_.size} : io.range();
    const Zones zones{all ? geometry_.conventional_zones : range.offset / geometry_.zone_size,
                      (range.end() + geometry_.zone_size - 1) / geometry_.zone_size, all};
    if (range.offset % geometry_.zone_size != 0 || range.length == 0 ||
        range.end() != geometry_.zone(zones.end - 1).end()) {
        co_return failure(EINVAL);
    }
    if (is_conventional(zones.first)) {
        co_return zone_failure(EPERM);
    }
    RangeLock::Guard alone(locks_, range, RangeLock::Mode::kExclusive);
    (void)co_await alone.acquire(queue);  // always 0
    if (was(io, kDone)) {
        co_return Status{};
    }
    Status status;
    switch (action) {
        case ZoneAction::kOpen:
            status = co_await open_zones(queue, zones);
            break;
        case ZoneAction::kClose:
            status = co_await close_zones(queue, zones);
            break;
        case ZoneAction::kFinish:
            status = co_await finish_zones(queue, zones);
            break;
        case ZoneAction::kReset:
            status = co_await reset_zones(queue, zones);
            break;
    }
    if (status) {
        leave_progress(io, kDone);
    }
    co_return status;
}

// Of all zones: those that are closed (ZBC-2).
Task<Status> ZbcDevice::open_zones(Queue& queue, Zones zones) {
    std::vector<std::uint64_t> wanted;  // as it is now: opening these may close others
    for (std::uint64_t zone = zones.first; zone < zones.end; ++zone) {
        const Record& record = table_[zone];
        if (!is_full(zone) && record.opened != Opened::kExplicitly &&
            (!zones.all || (record.opened == Opened::kNot && record.written != 0))) {
            wanted.push_back(zone);
        }
    }
    OpenZones::Places places(opens_, wanted.size());
    if (!places.fit()) {
        co_return zone_failure(ETOOMANYREFS);
    }
    for (const std::uint64_t zone : wanted) {
        CO_CHECK(co_await opens_.open_explicitly(queue, zone, places));
    }
    co_return Status{};
}

Task<Status> ZbcDevice::close_zones(Queue& queue, Zones zones) {
    for (std::uint64_t zone = zones.first; zone < zones.end; ++zone) {
        if (table_[zone].opened != Opened::kNot) {
            opens_.leave(zone, table_[zone].written);
            CO_CHECK(co_await table_.store(queue, zone));
        }
    }
    co_return Status{};
}

// What was not written will be read: as zeros, whatever a write that failed has left there. Of all
// zones: not the empty ones. After an error, what is full by then is stored all the same.
Task<Status> ZbcDevice::finish_zones(Queue& queue, Zones zones) {
    Status filled;
    for (std::uint64_t zone = zones.first; filled && zone < zones.end; ++zone) {
        const Record& record = table_[zone];
        const bool is_empty = record.written == 0 && record.opened == Opened::kNot;
        if (is_full(zone) || (zones.all && is_empty)) {
            continue;
        }
        const ByteRange range = geometry_.zone(zone);
        const IoRequest rest(range.offset + record.written, range.length - record.written,
                             LUNKIT_IO_MAY_UNMAP);
        filled = co_await move(queue, rest, Deed::kZero, 0);
        if (filled) {
            opens_.leave(zone, range.length);
        }
    }
    Status settled = co_await table_.settle(queue);
    co_return filled ? settled : filled;
}

// The space is given back when the write pointers are durable: before that, a loss of power brings
// the zones back as they were.
Task<Status> ZbcDevice::reset_zones(Queue& queue, Zones zones) {
    for (std::uint64_t zone = zones.first; zone < zones.end; ++zone) {
        if (table_[zone].written != 0 || table_[zone].opened != Opened::kNot) {
            opens_.leave(zone, 0);
        }
    }
    CO_CHECK(co_await table_.settle(queue));
    if (file_info_.discard_granularity != 0) {
        const std::uint64_t from = geometry_.zone(zones.first).offset;
        (void)co_await file_.discard(queue, data_offset_ + from,
                                     geometry_.zone(zones.end - 1).end() - from);  // a hint
    }
    co_return Status{};
}

}  // namespace lunkit::zbc

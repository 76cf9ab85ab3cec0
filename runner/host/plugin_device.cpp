// SPDX-License-Identifier: Apache-2.0
// The life of a PluginDevice, and the requests that a handler serves itself.
#include "host/plugin_device.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "host/complaint.hpp"
#include "host/current_device.hpp"
#include "host/waiting_thread.hpp"
#include "lunkit/file.hpp"
#include "lunkit/try.hpp"

namespace lunkit::host {

namespace {

constexpr std::size_t kErrorRoom = 512;
constexpr std::size_t kBounceSize = 1U << 20U;
constexpr std::uint32_t kSmallestBlock = 512;
constexpr std::uint32_t kLargestBlock = 4096;  // a page; ublk has no longer ones, nor has LIO
constexpr std::uint32_t kCdBlock = 2048;

/// `limit` in whole blocks; 0 means any.
std::uint64_t in_blocks(std::uint64_t limit, std::uint32_t block_size) {
    const std::uint64_t most = limit == 0 ? std::numeric_limits<std::uint64_t>::max() : limit;
    return std::max<std::uint64_t>(most / block_size, 1) * block_size;
}

/// A handler's list may go beyond what was asked for; how many of its entries are good. 0: none.
std::uint32_t cut_extents(const lunkit_extent_list& list, std::uint64_t length) {
    if (list.count > list.capacity) {
        return 0;
    }
    std::uint32_t count = 0;
    while (count < list.count && length > 0 && list.extents[count].length > 0) {
        Extent& extent = list.extents[count++];
        extent.length = std::min(extent.length, length);
        length -= extent.length;
    }
    return count;
}

/// Whether a handler's list is of zones one behind the other, the first being that of `offset`.
bool are_consecutive(const lunkit_zone_list& list, std::uint64_t offset) {
    if (list.count == 0 || list.count > list.capacity || list.zones[0].start > offset) {
        return false;
    }
    std::uint64_t end = list.zones[0].start;
    for (const Zone& zone : std::span(list.zones, list.count)) {
        if (zone.start != end || zone.length == 0 || zone.length > ~end) {
            return false;
        }
        end += zone.length;
    }
    return list.zones[0].length > offset - list.zones[0].start;
}

Task<void> wait_until_alone(Queue& queue, Exclusion::Exclusive& alone) {
    (void)co_await alone.acquire(queue);  // always 0
    (void)co_await alone.drain(queue);    // always 0
}

}  // namespace

PluginDevice::PluginDevice(const lunkit_handler& handler, OpenDevice request)
    : handler_(handler),
      block_size_(request.block_size),
      asked_read_only_(request.read_only),
      serves_zones_(request.zones),
      one_at_a_time_((handler.flags & LUNKIT_HANDLER_PARALLEL) == 0),
      host_device_{{std::move(request.name), std::move(request.late_name)},
                   [this, told = std::move(request.size_changed)](std::uint64_t size) {
                       if (const std::uint64_t served = take_size(size); served != 0 && told) {
                           told(served);
                       }
                   },
                   std::move(request.handing_over)},
      bounce_(kBounceSize) {}

PluginDevice::~PluginDevice() {
    if (device_ != nullptr) {
        handler_.close(device_);
    }
}

lunkit_device_info PluginDevice::blank_info() const {
    lunkit_device_info info{};
    info.struct_size = sizeof info;
    return info;
}

Result<std::unique_ptr<PluginDevice>> PluginDevice::open(const lunkit_handler& handler,
                                                         const std::string& config,
                                                         OpenDevice request) {
    if (request.block_size < kSmallestBlock || request.block_size > kLargestBlock ||
        !std::has_single_bit(request.block_size)) {
        return failure(EINVAL, fmt::format("a block size of {} bytes is not served; 512, 1024, "
                                           "2048 and 4096 are",
                                           request.block_size));
    }
    if (request.size % request.block_size != 0) {
        return failure(EINVAL, fmt::format("a size of {} bytes is no whole number of blocks of {}",
                                           request.size, request.block_size));
    }
    const std::uint32_t flags = (request.read_only ? LUNKIT_OPEN_READ_ONLY : 0U) |
                                (request.take_over ? LUNKIT_OPEN_TAKE_OVER : 0U);
    const bool take_over = request.take_over;
    const std::uint64_t wanted_size = request.size;
    std::unique_ptr<PluginDevice> device(new PluginDevice(handler, std::move(request)));
    lunkit_device_info info = device->blank_info();
    std::array<char, kErrorRoom> error{};
    lunkit_open open{};
    open.struct_size = sizeof open;
    open.flags = flags;
    open.config = config.c_str();
    open.name = device->host_device_.label.name.c_str();
    open.size = wanted_size;
    open.block_size = device->block_size_;
    open.host = &host_table();
    open.host_device = &device->host_device_;
    open.info = &info;
    open.error = error.data();
    open.error_size = error.size();
    {
        const CurrentDevice scope(device->host_device_.label, take_over);
        if (const int status = handler.open(&open, &device->device_); status < 0) {
            device->device_ = nullptr;
            return complaint(handler, status, error.data());
        }
    }
    CHECK(device->adopt(info, wanted_size));
    return device;
}

/// What the device is to SCSI, of all that adopt() takes over.
Status PluginDevice::adopt_type(const lunkit_device_info& info, DeviceInfo& known) const {
    switch (info.device_type) {
        case LUNKIT_DEVICE_TYPE_BLOCK:
            return {};
        case LUNKIT_DEVICE_TYPE_CD_DVD:
            if (block_size_ != kCdBlock) {
                return failure(EINVAL, fmt::format("a CD or DVD has blocks of {} bytes; {} are "
                                                   "asked for (targetcli: "
                                                   "control=hw_block_size={})",
                                                   kCdBlock, block_size_, kCdBlock));
            }
            known.type = DeviceType::kCdDvd;
            return {};
        case LUNKIT_DEVICE_TYPE_ZONED: {
            if (!serves_zones_) {
                return failure(EOPNOTSUPP, "a zoned device can be served as a SCSI LUN only");
            }
            const bool has_all =
                handler_.read != nullptr && handler_.write != nullptr &&
                handler_.write_zeroes != nullptr && handler_.report_zones != nullptr &&
                handler_.open_zones != nullptr && handler_.close_zones != nullptr &&
                handler_.finish_zones != nullptr && handler_.reset_zones != nullptr;
            if (!has_all || !std::has_single_bit(info.zone_size) || info.zone_size < block_size_) {
                return failure(EINVAL, fmt::format("handler '{}' has a zoned device with zones of "
                                                   "{} bytes{}",
                                                   handler_.name, info.zone_size,
                                                   has_all ? "" : " and not all it takes"));
            }
            known.type = DeviceType::kZoned;
            known.zone_size = info.zone_size;
            known.max_open_zones = info.max_open_zones;
            return {};
        }
        default:
            return failure(EINVAL, fmt::format("handler '{}' has a device of the unknown type {}",
                                               handler_.name, info.device_type));
    }
}

/// Takes over what the handler says of its device, if that can be served. `wanted_size`: see
/// lunkit_open::size.
Status PluginDevice::adopt(const lunkit_device_info& info, std::uint64_t wanted_size) {
    DeviceInfo known;
    known.min_block_size = std::max(info.min_block_size, kSmallestBlock);
    known.size = info.size / block_size_ * block_size_;
    if (known.min_block_size > block_size_) {
        return failure(EINVAL, fmt::format("handler '{}' serves blocks of {} bytes or more here; "
                                           "{} are asked for",
                                           handler_.name, known.min_block_size, block_size_));
    }
    if (known.size == 0) {
        return failure(EINVAL, fmt::format("handler '{}' has {} bytes here, not one block of {}",
                                           handler_.name, info.size, block_size_));
    }
    if (known.size < wanted_size) {
        return failure(EINVAL, fmt::format("handler '{}' has {} bytes here; {} are asked for",
                                           handler_.name, info.size, wanted_size));
    }
    if (wanted_size != 0) {
        known.size = wanted_size;
    }
    CHECK(adopt_type(info, known));
    const bool can_flush = handler_.flush != nullptr || handler_.flush_blocking != nullptr;
    known.write_cache = (info.flags & LUNKIT_DEVICE_WRITE_CACHE) != 0;
    known.read_only = asked_read_only_ || known.type == DeviceType::kCdDvd ||
                      (info.flags & LUNKIT_DEVICE_READ_ONLY) != 0 ||
                      (handler_.write == nullptr && handler_.write_blocking == nullptr);
    if (known.write_cache && !can_flush && !known.read_only) {
        return failure(EINVAL, fmt::format("handler '{}' has a write cache and no flush: what is "
                                           "written would never be safe",
                                           handler_.name));
    }
    known.physical_block_size = info.physical_block_size;
    known.optimal_io_size = info.optimal_io_size;
    known.discard_granularity = info.discard_granularity;
    known.max_transfer = info.max_transfer;
    known.max_discard = info.max_discard;
    known.max_write_zeroes = info.max_write_zeroes;
    if (handler_.write != nullptr) {  // a blocking one gets its data piece by piece
        known.max_atomic_write = std::min(info.max_atomic_write / block_size_ * block_size_,
                                          in_blocks(known.max_transfer, block_size_));
    }
    known.rotational = (info.flags & LUNKIT_DEVICE_ROTATIONAL) != 0;
    // Whose blocking calls come one by one is served from one queue: serial_ knows no other.
    known.parallel = (info.flags & LUNKIT_DEVICE_PARALLEL) != 0 &&
                     known.type != DeviceType::kZoned && (!one_at_a_time_ || !blocks());
    known.thin = (info.flags & LUNKIT_DEVICE_THIN) != 0;
    known.discard_zeroes = (info.flags & LUNKIT_DEVICE_DISCARD_ZEROES) != 0;
    known.can_discard = (info.flags & LUNKIT_DEVICE_NO_DISCARD) == 0 && has(Deed::kDiscard);
    known.can_extents = (info.flags & LUNKIT_DEVICE_NO_EXTENTS) == 0 && handler_.extents != nullptr;
    known.can_tell_space = (info.flags & LUNKIT_DEVICE_NO_SPACE) == 0 && handler_.space != nullptr;

    const std::lock_guard hold(info_mutex_);
    info_ = known;
    max_transfer_.store(in_blocks(known.max_transfer, block_size_));
    max_discard_.store(in_blocks(known.max_discard, block_size_));
    max_write_zeroes_.store(in_blocks(known.max_write_zeroes, block_size_));
    read_only_.store(known.read_only);
    size_.store(known.size);
    return {};
}

/// The handler says that its storage has `size` bytes now. Gives what is served of it from now on;
/// 0: nothing changes.
std::uint64_t PluginDevice::take_size(std::uint64_t size) {
    const std::uint64_t served = size / block_size_ * block_size_;
    const std::lock_guard hold(info_mutex_);
    if (served == 0 || served == info_.size) {
        return 0;
    }
    info_.size = served;
    size_.store(served);
    return served;
}

DeviceInfo PluginDevice::info() const {
    const std::lock_guard hold(info_mutex_);
    return info_;
}

/// Asked behind the Exclusion: a resize that shrinks the device waits for who has passed.
int PluginDevice::refusal(const IoRequest& io, Access access, std::uint64_t data_bytes) const {
    if (!ByteRange::fits(io.offset, io.length, size_.load())) {
        return ERANGE;
    }
    if (((io.offset | io.length) & (block_size_ - 1)) != 0) {
        return EINVAL;
    }
    if (data_bytes != 0 &&
        (io.data == nullptr || !ByteRange::fits(io.data_offset, data_bytes, io.data->length))) {
        return EINVAL;
    }
    return access == Access::kChange && read_only_.load(std::memory_order_relaxed) ? EROFS : 0;
}

Task<Status> PluginDevice::read(Queue& queue, const IoRequest& io) {
    Exclusion::Shared pass(exclusion_, io.range());
    if (!pass.entered()) {
        (void)co_await pass.acquire(queue);  // always 0
    }
    if (const int error = refusal(io, Access::kRead, io.length); error != 0) {
        co_return failure(error);
    }
    if (io.length == 0) {
        co_return Status{};
    }
    if (handler_.read != nullptr && io.length <= max_transfer_.load(std::memory_order_relaxed)) {
        const Outcome outcome = co_await call(handler_.read, queue, io);
        co_return to_status(outcome);
    }
    Status status = co_await transfer_in_pieces(queue, io, Deed::kRead);
    co_return status;
}

Task<Status> PluginDevice::write(Queue& queue, const IoRequest& io) {
    if ((io.flags & LUNKIT_IO_ATOMIC) != 0) {
        Status status = co_await write_atomically(queue, io);
        co_return status;
    }
    Exclusion::Shared pass(exclusion_, io.range());
    if (!pass.entered()) {
        (void)co_await pass.acquire(queue);  // always 0
    }
    if (const int error = refusal(io, Access::kChange, io.length); error != 0) {
        co_return failure(error);
    }
    if (io.length == 0) {
        co_return Status{};
    }
    if (handler_.write != nullptr && io.length <= max_transfer_.load(std::memory_order_relaxed)) {
        const Outcome outcome = co_await call(handler_.write, queue, io);
        co_return to_status(outcome);
    }
    Status status = co_await transfer_in_pieces(queue, io, Deed::kWrite);
    co_return status;
}

/// The handler sees to it that all of it is stored or nothing; that nobody meets a part of it,
/// this.
Task<Status> PluginDevice::write_atomically(Queue& queue, const IoRequest& io) {
    if (io.length > info().max_atomic_write) {
        co_return failure(EOPNOTSUPP);
    }
    Exclusion::Exclusive alone(exclusion_, io.range());
    co_await wait_until_alone(queue, alone);
    if (const int error = refusal(io, Access::kChange, io.length); error != 0) {
        co_return failure(error);
    }
    const Outcome outcome = co_await call(handler_.write, queue, io);
    co_return to_status(outcome);
}

Task<Status> PluginDevice::flush(Queue& queue) {
    if (handler_.flush != nullptr) {
        const IoRequest io;
        const Outcome outcome = co_await call(handler_.flush, queue, io);
        co_return to_status(outcome);
    }
    Status status = co_await block_flush(queue);
    co_return status;
}

Task<Status> PluginDevice::discard(Queue& queue, const IoRequest& io) {
    Exclusion::Shared pass(exclusion_, io.range());
    if (!pass.entered()) {
        (void)co_await pass.acquire(queue);  // always 0
    }
    if (const int error = refusal(io, Access::kChange, 0); error != 0) {
        co_return failure(error);
    }
    if (!info().can_discard) {
        co_return failure(EOPNOTSUPP);
    }
    Status status = co_await transfer_in_pieces(queue, io, Deed::kDiscard);
    co_return status;
}

Task<Status> PluginDevice::write_zeroes(Queue& queue, const IoRequest& io) {
    Exclusion::Shared pass(exclusion_, io.range());
    if (!pass.entered()) {
        (void)co_await pass.acquire(queue);  // always 0
    }
    if (const int error = refusal(io, Access::kChange, 0); error != 0) {
        co_return failure(error);
    }
    Status status = co_await zero(queue, io);
    co_return status;
}

Task<Status> PluginDevice::compare_and_write(Queue& queue, const IoRequest& io) {
    constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max() / 2;
    if (io.length > kMost) {
        co_return failure(EINVAL);
    }
    if (io.length == 0) {
        const int error = refusal(io, Access::kChange, 0);
        co_return error == 0 ? Status{} : failure(error);
    }
    if (handler_.compare_and_write != nullptr) {
        Exclusion::Shared pass(exclusion_, io.range());
        if (!pass.entered()) {
            (void)co_await pass.acquire(queue);  // always 0
        }
        if (const int error = refusal(io, Access::kChange, 2 * io.length); error != 0) {
            co_return failure(error);
        }
        const Outcome outcome = co_await call(handler_.compare_and_write, queue, io);
        if (outcome.result != -EOPNOTSUPP) {
            co_return to_status(outcome);
        }
    }
    Exclusion::Exclusive alone(exclusion_, io.range());
    co_await wait_until_alone(queue, alone);
    if (const int error = refusal(io, Access::kChange, 2 * io.length); error != 0) {
        co_return failure(error);
    }
    Status status = co_await compare_then_write(queue, io);
    co_return status;
}

Task<Status> PluginDevice::or_write(Queue& queue, const IoRequest& io) {
    if (io.length == 0) {
        const int error = refusal(io, Access::kChange, 0);
        co_return error == 0 ? Status{} : failure(error);
    }
    Exclusion::Exclusive alone(exclusion_, io.range());
    co_await wait_until_alone(queue, alone);
    if (const int error = refusal(io, Access::kChange, io.length); error != 0) {
        co_return failure(error);
    }
    Status status = co_await or_by_reading(queue, io);
    co_return status;
}

Task<Result<std::uint32_t>> PluginDevice::extents(Queue& queue, const IoRequest& io,
                                                  std::span<Extent> extents) {
    Exclusion::Shared pass(lookups_, io.range());
    if (!pass.entered()) {
        (void)co_await pass.acquire(queue);  // always 0
    }
    if (const int error = refusal(io, Access::kRead, 0); error != 0) {
        co_return failure(error);
    }
    if (io.length == 0 || extents.empty()) {
        co_return failure(EINVAL);
    }
    if (!info().can_extents) {
        co_return failure(EOPNOTSUPP);
    }
    lunkit_extent_list list{extents.data(), static_cast<std::uint32_t>(extents.size()), 0};
    const Outcome outcome = co_await Operation([&](lunkit_completion* completion) {
        return handler_.extents(device_, queue.handle(), &io, &list, completion);
    });
    if (!outcome.ok()) {
        co_return std::unexpected(to_status(outcome).error());
    }
    const std::uint32_t count = cut_extents(list, io.length);
    if (count == 0) {
        co_return std::unexpected(Error{EIO, "the handler gave no valid extents", LUNKIT_NO_OFFSET,
                                        ErrorClass::kInternal});
    }
    co_return count;
}

Task<Result<std::uint32_t>> PluginDevice::report_zones(Queue& queue, const IoRequest& io,
                                                       std::span<Zone> zones) {
    Exclusion::Shared pass(lookups_, io.range());
    if (!pass.entered()) {
        (void)co_await pass.acquire(queue);  // always 0
    }
    if (const int error = refusal(io, Access::kRead, 0); error != 0) {
        co_return failure(error);
    }
    if (io.length == 0 || zones.empty()) {
        co_return failure(EINVAL);
    }
    if (info().type != DeviceType::kZoned) {
        co_return failure(EOPNOTSUPP);
    }
    lunkit_zone_list list{zones.data(), static_cast<std::uint32_t>(zones.size()), 0};
    const Outcome outcome = co_await Operation([&](lunkit_completion* completion) {
        return handler_.report_zones(device_, queue.handle(), &io, &list, completion);
    });
    if (!outcome.ok()) {
        co_return std::unexpected(to_status(outcome).error());
    }
    if (!are_consecutive(list, io.offset)) {
        co_return std::unexpected(
            Error{EIO, "the handler gave no valid zones", LUNKIT_NO_OFFSET, ErrorClass::kInternal});
    }
    co_return list.count;
}

PluginDevice::AsyncCall PluginDevice::zone_callback(ZoneAction action) const {
    switch (action) {
        case ZoneAction::kOpen:
            return handler_.open_zones;
        case ZoneAction::kClose:
            return handler_.close_zones;
        case ZoneAction::kFinish:
            return handler_.finish_zones;
        default:
            return handler_.reset_zones;
    }
}

Task<Status> PluginDevice::manage_zones(Queue& queue, ZoneAction action, const IoRequest& io) {
    Exclusion::Shared pass(exclusion_, io.range());
    if (!pass.entered()) {
        (void)co_await pass.acquire(queue);  // always 0
    }
    if (const int error = refusal(io, Access::kChange, 0); error != 0) {
        co_return failure(error);
    }
    if (info().type != DeviceType::kZoned) {
        co_return failure(EOPNOTSUPP);
    }
    const Outcome outcome = co_await call(zone_callback(action), queue, io);
    co_return to_status(outcome);
}

Task<Result<Space>> PluginDevice::space(Queue& queue) {
    if (!info().can_tell_space) {
        co_return failure(EOPNOTSUPP);
    }
    lunkit_space space{};
    space.struct_size = sizeof space;
    const Outcome outcome = co_await Operation([&](lunkit_completion* completion) {
        return handler_.space(device_, queue.handle(), &space, completion);
    });
    if (!outcome.ok()) {
        co_return std::unexpected(to_status(outcome).error());
    }
    co_return Space{space.used, space.available, (space.flags & LUNKIT_SPACE_SHARED) != 0};
}

Status PluginDevice::resize(std::uint64_t size) {
    if (handler_.resize == nullptr) {
        return BlockDevice::resize(size);
    }
    if (size == 0 || size % block_size_ != 0) {
        return failure(
            EINVAL, fmt::format("{} bytes are no whole number of blocks of {}", size, block_size_));
    }
    // When it shrinks, nothing may go behind the new end while the handler cuts it off: newcomers
    // are refused, and those on their way are waited for.
    std::optional<Exclusion::Exclusive> alone;
    std::optional<Exclusion::Exclusive> unseen;
    if (size < size_.load()) {
        size_.store(size);
        const ByteRange cut{size, std::numeric_limits<std::uint64_t>::max() - size};
        alone.emplace(exclusion_, cut);
        unseen.emplace(lookups_, cut);
        WaitingThread waiting;
        waiting.run(wait_until_alone(waiting, *alone));
        waiting.run(wait_until_alone(waiting, *unseen));
    }
    lunkit_device_info info = blank_info();
    std::array<char, kErrorRoom> error{};
    const int status = handler_.resize(device_, size, &info, error.data(), error.size());
    Status done;
    if (status < 0) {
        done = complaint(handler_, status, error.data());
    } else {
        done = adopt(info, size);
    }
    if (!done) {
        const std::lock_guard hold(info_mutex_);
        size_.store(info_.size);
    }
    return done;
}

Status PluginDevice::set_write_cache(bool enabled) {
    if (handler_.set_write_cache == nullptr) {
        return BlockDevice::set_write_cache(enabled);
    }
    std::array<char, kErrorRoom> error{};
    const int status =
        handler_.set_write_cache(device_, enabled ? 1 : 0, error.data(), error.size());
    if (status < 0) {
        return complaint(handler_, status, error.data());
    }
    const std::lock_guard hold(info_mutex_);
    info_.write_cache = enabled;
    return {};
}

}  // namespace lunkit::host

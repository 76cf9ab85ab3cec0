// SPDX-License-Identifier: Apache-2.0
// REPORT ZONES, OPEN ZONE, CLOSE ZONE, FINISH ZONE and RESET WRITE POINTER (ZBC-2). The
// device has the zones and sees to their rules; here they get the standard's form.
#include <algorithm>
#include <array>

#include "scsi/commands.hpp"
#include "scsi/errno_sense.hpp"
#include "scsi/parameter_data.hpp"

namespace lunkit::scsi {
namespace {

constexpr std::size_t kHeaderLength = 64;
constexpr std::size_t kDescriptorLength = 64;

// ZBC-2, REPORTING OPTIONS.
constexpr std::uint8_t kAllZones = 0x00;
constexpr std::uint8_t kLastByCondition = 0x07;
constexpr std::uint8_t kResetRecommended = 0x10;
constexpr std::uint8_t kNonSequential = 0x11;
constexpr std::uint8_t kAllButGaps = 0x3e;
constexpr std::uint8_t kNotWritePointer = 0x3f;

bool is_known(std::uint8_t options) {
    return options <= kLastByCondition || options == kResetRecommended ||
           options == kNonSequential || options == kAllButGaps || options == kNotWritePointer;
}

bool is_listed(const Zone& zone, std::uint8_t options) {
    // For the options 1 to 7. No zone is ever read only or offline.
    constexpr std::array<std::uint32_t, 6> kConditions{0,
                                                       LUNKIT_ZONE_EMPTY,
                                                       LUNKIT_ZONE_IMPLICITLY_OPENED,
                                                       LUNKIT_ZONE_EXPLICITLY_OPENED,
                                                       LUNKIT_ZONE_CLOSED,
                                                       LUNKIT_ZONE_FULL};
    if (options == kAllZones || options == kAllButGaps) {
        return true;
    }
    if (options == kNotWritePointer) {
        return zone.condition == LUNKIT_ZONE_NOT_WRITE_POINTER;
    }
    return options < kConditions.size() && zone.condition == kConditions[options];
}

// The answer grows zone by zone; what goes beyond the allocation length is only counted.
class ZoneList {
  public:
    ZoneList(Command& command, std::uint64_t allocation_length)
        : command_(command),
          room_(std::min(allocation_length, data_length(command))),
          capacity_(allocation_length < kHeaderLength
                        ? 0
                        : (allocation_length - kHeaderLength) / kDescriptorLength) {}

    [[nodiscard]] bool is_full() const { return count_ >= capacity_; }

    void add(const Zone& zone, std::uint32_t block_size) {
        constexpr std::uint64_t kInvalid = ~std::uint64_t{0};
        const bool has_pointer =
            zone.condition != LUNKIT_ZONE_NOT_WRITE_POINTER && zone.condition != LUNKIT_ZONE_FULL;
        ParameterData data;
        data.u8(zone.type).u8(zone.condition << 4U).zeros(6);
        data.be64(zone.length / block_size).be64(zone.start / block_size);
        data.be64(has_pointer ? zone.write_pointer / block_size : kInvalid);
        data.zeros(kDescriptorLength - data.size());
        put(kHeaderLength + count_ * kDescriptorLength, data.view());
        compare(zone);
        ++count_;
    }
    void finish(std::uint64_t maximum_lba) {
        ParameterData data;
        data.be32(std::min<std::uint64_t>(count_ * kDescriptorLength, 0xffffffff));
        data.u8(same()).zeros(3).be64(maximum_lba).zeros(kHeaderLength - 16);
        put(0, data.view());
        command_.data_in_length =
            std::min<std::uint64_t>(room_, kHeaderLength + count_ * kDescriptorLength);
    }

  private:
    void put(std::uint64_t at, std::span<const std::uint8_t> bytes) {
        if (at < room_) {
            const auto fits =
                static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), room_ - at));
            copy_to_iov(*command_.data, at, std::as_bytes(bytes.first(fits)));
        }
    }
    void compare(const Zone& zone) {
        if (count_ == 0) {
            first_ = zone;
        }
        is_of_one_type_ = is_of_one_type_ && zone.type == first_.type;
        had_other_length_ = had_other_length_ || has_other_length_;
        has_other_length_ = zone.length != first_.length;
    }
    // ZBC-2, SAME.
    [[nodiscard]] unsigned same() const {
        constexpr unsigned kNothing = 0;
        constexpr unsigned kTypeAndLength = 1;
        constexpr unsigned kTypeAndLengthButTheLasts = 2;
        constexpr unsigned kLength = 3;
        if (had_other_length_ || (has_other_length_ && !is_of_one_type_)) {
            return kNothing;
        }
        if (has_other_length_) {
            return kTypeAndLengthButTheLasts;
        }
        return is_of_one_type_ ? kTypeAndLength : kLength;
    }

    Command& command_;
    std::uint64_t room_;
    std::uint64_t capacity_;  // whole descriptors in the allocation length
    std::uint64_t count_ = 0;
    Zone first_{};
    bool is_of_one_type_ = true;
    bool has_other_length_ = false;  // than the first one: the last that was added
    bool had_other_length_ = false;  // one before it
};

/// What the command is to do with which zones, or why not.
Result<IoRequest> zones_of(const Unit& unit, const Command& command, Ending& refusal) {
    const Cdb cdb(command.cdb);
    const std::uint64_t zone_id = cdb.be64(2);
    const std::uint64_t zone_count = std::max<std::uint64_t>(cdb.be16(12), 1);
    const bool all = cdb.bit(14, 0);
    const std::uint64_t zone_blocks = unit.info.zone_size / unit.options.block_size;
    const std::uint64_t blocks = unit.capacity_blocks();
    const std::uint32_t flags = Unit::io_flags(command);
    if (all) {
        return IoRequest(0, blocks * unit.options.block_size, flags | LUNKIT_IO_ALL_ZONES);
    }
    if (zone_id >= blocks) {
        refusal = logical_block_address_out_of_range();
        return failure(EINVAL);
    }
    if (zone_id % zone_blocks != 0) {
        refusal = invalid_field_in_cdb(2);
        return failure(EINVAL);
    }
    const std::uint64_t left = blocks - zone_id;
    if (zone_count > (left + zone_blocks - 1) / zone_blocks) {
        refusal = invalid_field_in_cdb(12);
        return failure(EINVAL);
    }
    return IoRequest(zone_id * unit.options.block_size,
                     std::min(left, zone_count * zone_blocks) * unit.options.block_size, flags);
}

Task<Ending> manage_zones(Unit& unit, Queue& queue, Command& command, ZoneAction action) {
    Ending refusal;
    Result<IoRequest> io = zones_of(unit, command, refusal);
    if (!io) {
        co_return refusal;
    }
    io->tag = command.tag;
    io->progress = command.progress;
    const Status done = co_await unit.device.manage_zones(queue, action, *io);
    if (done) {
        co_return good();
    }
    if (done.error().error_class == ErrorClass::kZone && done.error().code == EPERM) {
        co_return invalid_field_in_cdb(2);  // a zone that has no write pointer
    }
    co_return ending_of(done.error(), {Direction::kWrite, 0, unit.options.block_size});
}

}  // namespace

Task<Ending> report_zones(Unit& unit, Queue& queue, Command& command) {
    const Cdb cdb(command.cdb);
    const std::uint64_t zone_start_lba = cdb.be64(2);
    const bool partial = cdb.bit(14, 7);
    const std::uint8_t options = cdb.bits(14, 5, 0);
    if (zone_start_lba >= unit.capacity_blocks()) {
        co_return logical_block_address_out_of_range();
    }
    if (!is_known(options)) {
        co_return invalid_field_in_cdb(14, 5);
    }
    const std::uint32_t block_size = unit.options.block_size;
    const std::uint64_t end = unit.capacity_blocks() * block_size;
    ZoneList list(command, cdb.be32(10));
    std::array<Zone, 32> zones{};
    for (std::uint64_t at = zone_start_lba * block_size;
         at < end && !(partial && list.is_full());) {
        IoRequest io(at, end - at, Unit::io_flags(command));
        io.tag = command.tag;
        const Result<std::uint32_t> count = co_await unit.device.report_zones(queue, io, zones);
        if (!count) {
            co_return ending_of(count.error(), {Direction::kRead, at / block_size, block_size});
        }
        for (const Zone& zone : std::span(zones).first(*count)) {
            if (is_listed(zone, options) && !(partial && list.is_full())) {
                list.add(zone, block_size);
            }
        }
        at = zones[*count - 1].start + zones[*count - 1].length;
    }
    list.finish(unit.capacity_blocks() - 1);
    co_return good();
}

Task<Ending> open_zone(Unit& unit, Queue& queue, Command& command) {
    return manage_zones(unit, queue, command, ZoneAction::kOpen);
}
Task<Ending> close_zone(Unit& unit, Queue& queue, Command& command) {
    return manage_zones(unit, queue, command, ZoneAction::kClose);
}
Task<Ending> finish_zone(Unit& unit, Queue& queue, Command& command) {
    return manage_zones(unit, queue, command, ZoneAction::kFinish);
}
Task<Ending> reset_write_pointer(Unit& unit, Queue& queue, Command& command) {
    return manage_zones(unit, queue, command, ZoneAction::kReset);
}

}  // namespace lunkit::scsi

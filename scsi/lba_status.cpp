// SPDX-License-Identifier: Apache-2.0
// GET LBA STATUS(16) (SBC-4 5.6) from the device's extents. Extents end at any byte, LBA status
// descriptors at blocks: a block counts as deallocated only when all of it is a hole.
#include <algorithm>
#include <array>
#include <limits>

#include "scsi/commands.hpp"
#include "scsi/errno_sense.hpp"
#include "scsi/parameter_data.hpp"

namespace lunkit::scsi {
namespace {

constexpr std::size_t kHeaderLength = 8;
constexpr std::size_t kDescriptorLength = 16;
constexpr std::size_t kMaxDescriptors = 32;  // an initiator goes on where the list ends
static_assert(kHeaderLength + kMaxDescriptors * kDescriptorLength <= ParameterData::kCapacity);

/// PROVISIONING STATUS, SBC-4 table 68.
enum class ProvisioningStatus : std::uint8_t { kMappedOrUnknown = 0, kDeallocated = 1 };

/// LBA status descriptors in the making; neighbours of the same status become one.
class LbaStatusList {
  public:
    explicit LbaStatusList(std::uint64_t starting_lba) : next_(starting_lba) {}

    /// The blocks from where the list ends up to `end`. False: the list is full.
    bool extend_to(std::uint64_t end, ProvisioningStatus status) {
        while (next_ < end) {
            const bool joins = count_ > 0 && entries_[count_ - 1].status == status &&
                               entries_[count_ - 1].blocks < kMaxBlocks;
            if (!joins && count_ == entries_.size()) {
                return false;
            }
            Entry& entry = joins ? entries_[count_ - 1] : entries_[count_++];
            if (!joins) {
                entry = {next_, 0, status};
            }
            const std::uint64_t more = std::min(end - next_, kMaxBlocks - entry.blocks);
            entry.blocks += more;
            next_ += more;
        }
        return true;
    }
    [[nodiscard]] std::uint64_t next() const { return next_; }

    void write(ParameterData& data) const {
        data.be32(kHeaderLength - 4 + count_ * kDescriptorLength).be32(0);
        for (std::size_t i = 0; i < count_; ++i) {
            data.be64(entries_[i].lba).be32(entries_[i].blocks);
            data.u8(static_cast<unsigned>(entries_[i].status)).zeros(3);
        }
    }

  private:
    static constexpr std::uint64_t kMaxBlocks = std::numeric_limits<std::uint32_t>::max();
    struct Entry {
        std::uint64_t lba;
        std::uint64_t blocks;
        ProvisioningStatus status;
    };
    std::uint64_t next_;
    std::size_t count_ = 0;
    std::array<Entry, kMaxDescriptors> entries_;
};

void add_extents(LbaStatusList& list, std::uint64_t offset, std::span<const Extent> extents,
                 const Unit& unit) {
    const std::uint64_t block_size = unit.options.block_size;
    for (const Extent& extent : extents) {
        if (extent.length > unit.info.size - offset) {
            return;  // the device speaks of more than there is
        }
        const std::uint64_t end = offset + extent.length;
        if ((extent.flags & LUNKIT_EXTENT_HOLE) != 0) {
            const std::uint64_t first_whole =
                std::min((offset + block_size - 1) / block_size, unit.capacity_blocks());
            if (!list.extend_to(first_whole, ProvisioningStatus::kMappedOrUnknown) ||
                !list.extend_to(end / block_size, ProvisioningStatus::kDeallocated)) {
                return;
            }
        } else if (!list.extend_to(
                       std::min((end + block_size - 1) / block_size, unit.capacity_blocks()),
                       ProvisioningStatus::kMappedOrUnknown)) {
            return;
        }
        offset = end;
    }
}

}  // namespace

Task<Ending> get_lba_status_16(Unit& unit, Queue& queue, Command& command) {
    const Cdb cdb(command.cdb);
    const std::uint64_t starting_lba = cdb.be64(2);
    if (starting_lba >= unit.capacity_blocks()) {
        co_return logical_block_address_out_of_range();
    }
    if (cdb.byte(14) != 0) {  // REPORT TYPE: all LBAs
        co_return invalid_field_in_cdb(14);
    }
    LbaStatusList list(starting_lba);
    // A fully provisioned unit (LBPME = 0) has mapped blocks only, wherever its storage has holes.
    if (unit.info.can_discard && unit.info.can_extents) {
        const auto range =
            unit.range(starting_lba, unit.capacity_blocks() - starting_lba).value_or(ByteRange{});
        std::array<Extent, 2 * kMaxDescriptors> extents{};
        IoRequest io(range.offset, range.length, Unit::io_flags(command));
        io.tag = command.tag;
        const Result<std::uint32_t> count = co_await unit.device.extents(queue, io, extents);
        if (!count && count.error().code != EOPNOTSUPP) {
            co_return ending_of(count.error(),
                                {Direction::kRead, starting_lba, unit.options.block_size});
        }
        if (count) {
            add_extents(list, range.offset,
                        std::span(extents).first(std::min<std::size_t>(*count, extents.size())),
                        unit);
        }
    }
    if (list.next() == starting_lba) {  // nothing is known
        (void)list.extend_to(std::min(unit.capacity_blocks(), starting_lba + 0xffffffffU),
                             ProvisioningStatus::kMappedOrUnknown);  // one descriptor always fits
    }
    ParameterData data;
    list.write(data);
    deliver(command, data.view(), cdb.be32(10));
    co_return good();
}

}  // namespace lunkit::scsi

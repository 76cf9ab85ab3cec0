// SPDX-License-Identifier: Apache-2.0
#include "scsi/changed_range.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>

#include "scsi/cdb.hpp"
#include "scsi/extended_copy_list.hpp"
#include "scsi/parameter_data.hpp"

namespace lunkit::scsi {
namespace {

namespace op = operation_code;
namespace sa = service_action;

constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
constexpr ByteRange kEverything{0, kMost};

/// The smallest range that holds all that was added.
class Hull {
  public:
    explicit Hull(std::uint32_t block_size)
        : shift_(static_cast<unsigned>(std::countr_zero(block_size))) {}

    void add(std::uint64_t lba, std::uint64_t blocks) {
        if (blocks > 0) {
            begin_ = std::min(begin_, lba);
            end_ = std::max(end_, blocks > kMost - lba ? kMost : lba + blocks);
        }
    }
    [[nodiscard]] std::optional<ByteRange> bytes() const {
        if (begin_ >= end_) {
            return {};
        }
        const std::uint64_t most = kMost >> shift_;  // what lies beyond is refused anyway
        const std::uint64_t begin = std::min(begin_, most) << shift_;
        return ByteRange{begin, (std::min(end_, most) << shift_) - begin};
    }

  private:
    unsigned shift_;
    std::uint64_t begin_ = kMost;
    std::uint64_t end_ = 0;
};

/// Descriptors that begin with an address of 8 bytes and a number of blocks of 4; as many as the
/// Data-Out buffer holds.
void add_descriptors(Hull& hull, const Command& command, std::uint64_t first, std::uint64_t stride,
                     std::uint64_t count) {
    constexpr std::uint64_t kMostDescriptors = 1024;  // more are not worth the time to look
    if (count > kMostDescriptors) {
        hull.add(0, kMost);
        return;
    }
    std::array<std::uint8_t, 12> bytes;
    for (std::uint64_t i = 0; i < count; ++i) {
        const std::uint64_t at = first + i * stride;
        if (!ByteRange::fits(at, bytes.size(), data_length(command))) {
            return;
        }
        fetch(command, at, bytes);
        const std::span<const std::uint8_t> fields(bytes);
        hull.add(get_be64(fields), get_be32(fields.subspan(8)));
    }
}

/// The number of descriptors by the length field of two bytes at `at`.
std::uint64_t count_of(const Command& command, std::uint64_t at, std::uint64_t descriptor_length) {
    std::array<std::uint8_t, 2> bytes;
    if (!ByteRange::fits(at, bytes.size(), data_length(command))) {
        return 0;
    }
    fetch(command, at, bytes);
    return get_be16(bytes) / descriptor_length;
}

std::optional<ByteRange> of_copy(const Command& command, ExtendedCopyList::Format format,
                                 std::uint32_t block_size) {
    const std::uint32_t parameter_list_length = Cdb(command.cdb).be32(10);
    if (parameter_list_length == 0) {
        return {};
    }
    const auto list = ExtendedCopyList::fetch(command, format, parameter_list_length);
    if (!list) {  // nothing will be copied, unless it was only memory that was short
        return list.error().status == StatusCode::kBusy ? std::optional(kEverything) : std::nullopt;
    }
    if (list->scope() != ExtendedCopyList::Scope::kWithinUnits) {
        return {};  // copy_peers.hpp
    }
    Hull hull(block_size);
    for (std::size_t i = 0; i < list->segment_count(); ++i) {
        const SegmentDescriptor segment = list->segment(i);
        hull.add(segment.destination_lba, segment.number_of_blocks);
    }
    return hull.bytes();
}

std::optional<ByteRange> of_third_party_copy(const Command& command, std::uint32_t block_size) {
    constexpr std::uint64_t kRangeDescriptorLengthAt = 534;
    constexpr std::uint64_t kRangeDescriptor = 16;
    Hull hull(block_size);
    switch (*service_action_of(command.cdb)) {
        case sa::kExtendedCopyLid1:
            return of_copy(command, ExtendedCopyList::Format::kLid1, block_size);
        case sa::kExtendedCopyLid4:
            return of_copy(command, ExtendedCopyList::Format::kLid4, block_size);
        case sa::kWriteUsingToken:
            add_descriptors(hull, command, kRangeDescriptorLengthAt + 2, kRangeDescriptor,
                            count_of(command, kRangeDescriptorLengthAt, kRangeDescriptor));
            return hull.bytes();
        default:
            return {};
    }
}

std::optional<ByteRange> of_variable_length(const Command& command, Hull hull) {
    constexpr std::size_t kBlockCdbLength = 32;
    if (command.cdb.size() < kBlockCdbLength) {
        return {};
    }
    switch (*service_action_of(command.cdb)) {
        case sa::kWrite32:
        case sa::kWriteAndVerify32:
        case sa::kWriteSame32: {
            const BlockCdb block = decode_block_cdb(Cdb(command.cdb));
            hull.add(block.logical_block_address, block.number_of_logical_blocks);
            return hull.bytes();
        }
        default:
            return {};
    }
}

}  // namespace

std::optional<ByteRange> changed_range(const Command& command, std::uint32_t block_size,
                                       std::uint64_t zone_size) {
    constexpr std::uint64_t kUnmapHeader = 8;
    constexpr std::uint64_t kUnmapDescriptor = 16;
    constexpr std::uint64_t kScatteredDescriptor = 32;
    const std::size_t length = cdb_length(command.cdb);
    if (length == 0 || length > command.cdb.size()) {
        return {};  // will be refused
    }
    const Cdb cdb(command.cdb);
    Hull hull(block_size);
    switch (cdb.operation_code()) {
        case op::kWrite6:
        case op::kWrite10:
        case op::kWrite12:
        case op::kWrite16:
        case op::kWriteAndVerify10:
        case op::kWriteAndVerify12:
        case op::kWriteAndVerify16:
        case op::kWriteSame10:
        case op::kWriteSame16:
        case op::kOrwrite16: {
            const BlockCdb block = decode_block_cdb(cdb);
            hull.add(block.logical_block_address, block.number_of_logical_blocks);
            return hull.bytes();
        }
        case op::kCompareAndWrite:
            hull.add(cdb.be64(2), cdb.byte(13));
            return hull.bytes();
        case op::kWriteAtomic16:
            hull.add(cdb.be64(2), cdb.be16(12));
            return hull.bytes();
        case op::kUnmap:
            add_descriptors(hull, command, kUnmapHeader, kUnmapDescriptor,
                            count_of(command, 2, kUnmapDescriptor));
            return hull.bytes();
        case op::kServiceActionOut16:
            if (service_action_of(command.cdb) != sa::kWriteScattered16) {
                return {};
            }
            add_descriptors(hull, command, kScatteredDescriptor, kScatteredDescriptor, cdb.be16(8));
            return hull.bytes();
        case op::kZbcOut:
            if (zone_size == 0) {
                return {};
            }
            if (cdb.bit(14, 0)) {  // ALL
                return kEverything;
            }
            hull.add(cdb.be64(2),
                     std::max<std::uint64_t>(cdb.be16(12), 1) * (zone_size / block_size));
            return hull.bytes();
        case op::kThirdPartyCopyOut:
            return of_third_party_copy(command, block_size);
        case op::kVariableLengthCdb:
            return of_variable_length(command, hull);
        default:
            return {};
    }
}

}  // namespace lunkit::scsi

// SPDX-License-Identifier: Apache-2.0
// ExtendedCopyList: the parameter list of EXTENDED COPY (SPC-4 6.4.3 for LID4, 6.5.2 for LID1),
// fetched once and checked as far as it can be without looking at any unit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>

#include "scsi/buffer.hpp"
#include "scsi/copy_limits.hpp"
#include "scsi/device_identification.hpp"
#include "scsi/ending.hpp"
#include "scsi/logical_unit.hpp"

namespace lunkit::scsi {

/// LIST ID USAGE, SPC-4 table 88.
enum class ListIdUsage : std::uint8_t { kHold = 0, kDiscard = 2, kDisabled = 3 };

/// Identification Descriptor CSCD descriptor (SPC-4 6.4.5.6), with its parameters of a block
/// device.
struct CscdDescriptor {
    std::optional<NaaIdentifier> naa;  ///< of a logical unit; nothing: it names in another way
    std::uint8_t peripheral_device_type = 0;
    std::uint32_t disk_block_length = 0;
};

/// Block device to block device segment descriptor (SPC-4 6.4.6.4).
struct SegmentDescriptor {
    std::uint16_t source_cscd_descriptor_id = 0;
    std::uint16_t destination_cscd_descriptor_id = 0;
    std::uint16_t number_of_blocks = 0;
    std::uint64_t source_lba = 0;
    std::uint64_t destination_lba = 0;

    /// Where the fields are in the descriptor.
    static constexpr std::uint16_t kSourceIdAt = 4;
    static constexpr std::uint16_t kDestinationIdAt = 6;
    static constexpr std::uint16_t kNumberOfBlocksAt = 10;
    static constexpr std::uint16_t kSourceLbaAt = 12;
    static constexpr std::uint16_t kDestinationLbaAt = 20;
};

class ExtendedCopyList {
  public:
    enum class Format : std::uint8_t { kLid1, kLid4 };

    /// `parameter_list_length` is not 0. The ending says what is wrong with the list.
    static std::expected<ExtendedCopyList, Ending> fetch(const Command& command, Format format,
                                                         std::uint32_t parameter_list_length);

    [[nodiscard]] std::uint32_t list_identifier() const { return list_identifier_; }
    [[nodiscard]] ListIdUsage list_id_usage() const { return list_id_usage_; }
    [[nodiscard]] std::size_t cscd_count() const { return cscds_.size() / kCscdLength; }
    [[nodiscard]] std::size_t segment_count() const { return segments_.size() / kSegmentLength; }
    [[nodiscard]] CscdDescriptor cscd(std::size_t number) const;
    [[nodiscard]] SegmentDescriptor segment(std::size_t number) const;

    /// Whether a segment's two ends are one unit or two, as far as their names tell.
    enum class Scope : std::uint8_t { kWithinUnits, kBetweenUnits, kMixed };
    [[nodiscard]] Scope scope() const;

    /// Where descriptors begin in the parameter list, for a field pointer.
    [[nodiscard]] std::uint16_t cscd_at(std::size_t number) const;
    [[nodiscard]] std::uint16_t segment_at(std::size_t number) const;

  private:
    static constexpr std::size_t kCscdLength = copy_descriptor::kCscdLength;
    static constexpr std::size_t kSegmentLength = copy_descriptor::kBlockToBlockLength;

    ExtendedCopyList() : buffer_(0) {}
    std::optional<Ending> take_header(const Command& command, Format format,
                                      std::uint32_t parameter_list_length);
    std::optional<Ending> take_list_id(std::span<const std::uint8_t> header, Format format);
    std::optional<Ending> take_descriptors(const Command& command);
    [[nodiscard]] std::optional<Ending> check_cscds() const;
    [[nodiscard]] std::optional<Ending> check_segments() const;

    std::uint32_t list_identifier_ = 0;
    ListIdUsage list_id_usage_ = ListIdUsage::kHold;
    std::size_t header_length_ = 0;
    std::size_t cscd_length_ = 0;
    std::size_t segment_length_ = 0;
    Buffer buffer_;
    std::span<const std::uint8_t> cscds_;
    std::span<const std::uint8_t> segments_;
};

}  // namespace lunkit::scsi

// SPDX-License-Identifier: Apache-2.0
#include "scsi/extended_copy_list.hpp"

#include <algorithm>
#include <array>

#include "scsi/big_endian.hpp"
#include "scsi/parameter_data.hpp"

namespace lunkit::scsi {
namespace {

constexpr std::size_t kLid1HeaderLength = 16;
constexpr std::size_t kLid4HeaderLength = 48;

Ending refuse(AdditionalSense additional) {
    return check_condition(SenseKey::kIllegalRequest, additional);
}

/// What LID4 has in its header beside what both have: which kind of list it is.
std::optional<Ending> check_lid4_header(std::span<const std::uint8_t> header) {
    constexpr std::uint8_t kParameterListFormat = 0x01;
    constexpr std::uint16_t kHeaderCscdDescriptorListLength = 0x0020;
    constexpr std::uint8_t kHeaderCscdDescriptorTypeCode = 0xff;
    constexpr std::uint8_t kGSense = 0x02;
    if (header[0] != kParameterListFormat) {
        return invalid_field_in_parameter_list(0);
    }
    if (get_be16(header.subspan(2)) != kHeaderCscdDescriptorListLength) {
        return invalid_field_in_parameter_list(2);
    }
    if ((header[15] & kGSense) != 0) {  // there is no sense data with GOOD
        return invalid_field_in_parameter_list(15);
    }
    if (header[16] != kHeaderCscdDescriptorTypeCode) {
        return invalid_field_in_parameter_list(16);
    }
    return {};
}

}  // namespace

std::expected<ExtendedCopyList, Ending> ExtendedCopyList::fetch(
    const Command& command, Format format, std::uint32_t parameter_list_length) {
    ExtendedCopyList list;
    if (const auto refusal = list.take_header(command, format, parameter_list_length)) {
        return std::unexpected(*refusal);
    }
    if (const auto refusal = list.take_descriptors(command)) {
        return std::unexpected(*refusal);
    }
    return list;
}

std::optional<Ending> ExtendedCopyList::take_header(const Command& command, Format format,
                                                    std::uint32_t parameter_list_length) {
    header_length_ = format == Format::kLid1 ? kLid1HeaderLength : kLid4HeaderLength;
    if (parameter_list_length < header_length_) {
        return parameter_list_length_error();
    }
    if (data_length(command) < parameter_list_length) {
        return wrong_data_out_length();
    }
    std::array<std::uint8_t, kLid4HeaderLength> bytes;
    const auto header = std::span(bytes).first(header_length_);
    scsi::fetch(command, 0, header);

    std::uint32_t inline_data_length = 0;
    if (format == Format::kLid1) {
        cscd_length_ = get_be16(header.subspan(2));
        segment_length_ = get_be32(header.subspan(8));
        inline_data_length = get_be32(header.subspan(12));
    } else {
        if (const auto refusal = check_lid4_header(header)) {
            return refusal;
        }
        cscd_length_ = get_be16(header.subspan(42));
        segment_length_ = get_be16(header.subspan(44));
        inline_data_length = get_be16(header.subspan(46));
    }
    if (const auto refusal = take_list_id(header, format)) {
        return refusal;
    }
    if (cscd_length_ + segment_length_ > copy_limits::kMaximumDescriptorListLength) {
        return parameter_list_length_error();
    }
    if (inline_data_length > copy_limits::kMaximumInlineDataLength) {
        return refuse(asc::kInlineDataLengthExceeded);
    }
    if (header_length_ + cscd_length_ + segment_length_ > parameter_list_length) {
        return parameter_list_length_error();
    }
    return {};
}

std::optional<Ending> ExtendedCopyList::take_list_id(std::span<const std::uint8_t> header,
                                                     Format format) {
    const std::uint16_t at = format == Format::kLid1 ? 0 : 20;
    list_identifier_ = format == Format::kLid1 ? header[at] : get_be32(header.subspan(at));
    const unsigned usage = (header[1] >> 3U) & 0x03U;
    if (usage == 1) {  // reserved
        return invalid_field_in_parameter_list(1);
    }
    list_id_usage_ = static_cast<ListIdUsage>(usage);
    if (list_id_usage_ == ListIdUsage::kDisabled && list_identifier_ != 0) {
        return invalid_field_in_parameter_list(at);
    }
    return {};
}

std::optional<Ending> ExtendedCopyList::take_descriptors(const Command& command) {
    const std::size_t length = cscd_length_ + segment_length_;
    if (length == 0) {
        return {};
    }
    buffer_ = Buffer(length);
    if (!buffer_) {
        return busy();
    }
    const std::span<std::uint8_t> bytes(reinterpret_cast<std::uint8_t*>(buffer_.bytes().data()),
                                        length);
    scsi::fetch(command, header_length_, bytes);
    cscds_ = bytes.first(cscd_length_);
    segments_ = bytes.subspan(cscd_length_);
    if (const auto refusal = check_cscds()) {
        return refusal;
    }
    return check_segments();
}

std::optional<Ending> ExtendedCopyList::check_cscds() const {
    constexpr std::size_t kMaxDesignatorLength = 20;
    if (cscd_count() > copy_limits::kMaximumCscdDescriptorCount) {
        return refuse(asc::kTooManyTargetDescriptors);
    }
    for (std::size_t i = 0; i < cscd_count(); ++i) {
        const auto descriptor = cscds_.subspan(i * kCscdLength, kCscdLength);
        if (descriptor[0] != copy_descriptor::kIdentification) {
            return refuse(asc::kUnsupportedTargetDescriptorTypeCode);
        }
        if (descriptor[7] > kMaxDesignatorLength) {
            return invalid_field_in_parameter_list(static_cast<std::uint16_t>(cscd_at(i) + 7));
        }
    }
    if (cscds_.size() % kCscdLength != 0) {  // the last one is cut
        return parameter_list_length_error();
    }
    return {};
}

std::optional<Ending> ExtendedCopyList::check_segments() const {
    constexpr std::uint16_t kDescriptorLengthAt = 2;
    constexpr std::size_t kDescriptorHeaderLength = 4;
    std::size_t count = 0;
    for (auto rest = segments_; !rest.empty(); rest = rest.subspan(kSegmentLength), ++count) {
        if (count == copy_limits::kMaximumSegmentDescriptorCount) {
            return refuse(asc::kTooManySegmentDescriptors);
        }
        if (rest[0] != copy_descriptor::kBlockToBlock) {
            return refuse(asc::kUnsupportedSegmentDescriptorTypeCode);
        }
        if (rest.size() < kSegmentLength) {
            return parameter_list_length_error();
        }
        if (get_be16(rest.subspan(kDescriptorLengthAt)) !=
            kSegmentLength - kDescriptorHeaderLength) {
            return invalid_field_in_parameter_list(
                static_cast<std::uint16_t>(segment_at(count) + kDescriptorLengthAt));
        }
    }
    return {};
}

CscdDescriptor ExtendedCopyList::cscd(std::size_t number) const {
    constexpr std::uint8_t kBinary = 1;
    constexpr std::uint8_t kLogicalUnitNaa = 0x03;  // ASSOCIATION 0, DESIGNATOR TYPE 3
    const auto bytes = cscds_.subspan(number * kCscdLength, kCscdLength);
    CscdDescriptor descriptor;
    descriptor.peripheral_device_type = bytes[1] & 0x1fU;
    descriptor.disk_block_length = get_be24(bytes.subspan(29));
    NaaIdentifier naa{};
    if ((bytes[4] & 0x0fU) == kBinary && (bytes[5] & 0x3fU) == kLogicalUnitNaa &&
        bytes[7] == naa.size()) {
        std::ranges::copy(bytes.subspan(8, naa.size()), naa.begin());
        descriptor.naa = naa;
    }
    return descriptor;
}

SegmentDescriptor ExtendedCopyList::segment(std::size_t number) const {
    using Segment = SegmentDescriptor;
    const auto bytes = segments_.subspan(number * kSegmentLength, kSegmentLength);
    return {
        .source_cscd_descriptor_id = get_be16(bytes.subspan(Segment::kSourceIdAt)),
        .destination_cscd_descriptor_id = get_be16(bytes.subspan(Segment::kDestinationIdAt)),
        .number_of_blocks = get_be16(bytes.subspan(Segment::kNumberOfBlocksAt)),
        .source_lba = get_be64(bytes.subspan(Segment::kSourceLbaAt)),
        .destination_lba = get_be64(bytes.subspan(Segment::kDestinationLbaAt)),
    };
}

ExtendedCopyList::Scope ExtendedCopyList::scope() const {
    std::size_t between = 0;
    for (std::size_t i = 0; i < segment_count(); ++i) {
        const SegmentDescriptor one = segment(i);
        const bool are_there = std::max(one.source_cscd_descriptor_id,
                                        one.destination_cscd_descriptor_id) < cscd_count();
        between += are_there && cscd(one.source_cscd_descriptor_id).naa !=
                                    cscd(one.destination_cscd_descriptor_id).naa;
    }
    if (between == 0) {
        return Scope::kWithinUnits;
    }
    return between == segment_count() ? Scope::kBetweenUnits : Scope::kMixed;
}

std::uint16_t ExtendedCopyList::cscd_at(std::size_t number) const {
    return static_cast<std::uint16_t>(header_length_ + number * kCscdLength);
}
std::uint16_t ExtendedCopyList::segment_at(std::size_t number) const {
    return static_cast<std::uint16_t>(header_length_ + cscd_length_ + number * kSegmentLength);
}

}  // namespace lunkit::scsi

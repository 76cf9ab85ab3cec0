// SPDX-License-Identifier: Apache-2.0
#include "scsi/sense.hpp"

#include <algorithm>
#include <limits>

#include "scsi/big_endian.hpp"

namespace lunkit::scsi {
namespace {

constexpr std::size_t kFixedLength = 18;
constexpr std::size_t kDescriptorHeaderLength = 8;

// Three bytes: SKSV, C/D or SD, BPV, BIT POINTER; FIELD POINTER.
void put_field_pointer(const FieldPointer& field, std::span<std::uint8_t> out) {
    constexpr std::uint8_t kSksv = 0x80;
    constexpr std::uint8_t kCommandData = 0x40;
    constexpr std::uint8_t kSegmentDescriptor = 0x20;
    constexpr std::uint8_t kBitPointerValid = 0x08;
    unsigned first = kSksv;
    if (field.in_cdb) {
        first |= kCommandData;
    }
    if (field.in_segment) {
        first |= kSegmentDescriptor;
    }
    if (field.bit) {
        first |= kBitPointerValid | (*field.bit & 0x07U);
    }
    out[0] = static_cast<std::uint8_t>(first);
    put_be16(out.subspan(1), field.byte);
}

// SENSE KEY SPECIFIC, three bytes. Gives whether there is anything to say.
bool put_sense_key_specific(const Sense& sense, std::span<std::uint8_t> out) {
    if (sense.field) {
        put_field_pointer(*sense.field, out);
    } else if (sense.progress) {
        out[0] = 0x80;  // SKSV
        put_be16(out.subspan(1), *sense.progress);
    }
    return sense.field || sense.progress;
}

Sense sense_of(const ForwardedSense& forwarded) {
    return {forwarded.key, forwarded.additional, forwarded.information, {}};
}

std::size_t encode_fixed(const Sense& sense, std::span<std::uint8_t> out);

// SPC-4 5.17.7.4: behind the sense data, where the first (source) or second (destination) byte of
// COMMAND-SPECIFIC INFORMATION says.
std::size_t append_fixed(const ForwardedSense& forwarded, std::span<std::uint8_t> out) {
    const bool by_source = forwarded.by == ForwardedSense::By::kCopySource;
    out[by_source ? 8 : 9] = kFixedLength;
    out[kFixedLength] = forwarded.status;
    return 1 + encode_fixed(sense_of(forwarded), out.subspan(kFixedLength + 1));
}

// SPC-5 4.5.3.
std::size_t encode_fixed(const Sense& sense, std::span<std::uint8_t> out) {
    constexpr std::uint64_t kMaxNumber = std::numeric_limits<std::uint32_t>::max();
    std::fill_n(out.begin(), kFixedLength, std::uint8_t{0});
    out[0] = sense.deferred ? 0x71 : 0x70;
    if (sense.information && *sense.information <= kMaxNumber) {
        out[0] |= 0x80;
        put_be32(out.subspan(3), static_cast<std::uint32_t>(*sense.information));
    }
    out[2] = static_cast<std::uint8_t>(sense.key);
    out[7] = kFixedLength - 8;
    if (sense.command_specific && *sense.command_specific <= kMaxNumber) {
        put_be32(out.subspan(8), static_cast<std::uint32_t>(*sense.command_specific));
    }
    out[12] = sense.additional.code;
    out[13] = sense.additional.qualifier;
    (void)put_sense_key_specific(sense, out.subspan(15));  // in its place or not at all
    std::size_t length = kFixedLength;
    if (sense.forwarded) {
        length += append_fixed(*sense.forwarded, out);
        out[7] = static_cast<std::uint8_t>(length - 8);
    }
    return length;
}

std::size_t encode_descriptors(const Sense& sense, std::span<std::uint8_t> out);

// SPC-5 4.5.2.7.
std::size_t put_forwarded(const ForwardedSense& forwarded, std::span<std::uint8_t> descriptor) {
    constexpr std::size_t kHeaderLength = 4;
    const std::size_t length =
        encode_descriptors(sense_of(forwarded), descriptor.subspan(kHeaderLength));
    descriptor[0] = 0x0c;
    descriptor[1] = static_cast<std::uint8_t>(kHeaderLength - 2 + length);
    descriptor[2] = static_cast<std::uint8_t>(forwarded.by);
    descriptor[3] = forwarded.status;
    return kHeaderLength + length;
}

// SPC-5 4.5.2.
std::size_t encode_descriptors(const Sense& sense, std::span<std::uint8_t> out) {
    std::ranges::fill(out, std::uint8_t{0});
    out[0] = sense.deferred ? 0x73 : 0x72;
    out[1] = static_cast<std::uint8_t>(sense.key);
    out[2] = sense.additional.code;
    out[3] = sense.additional.qualifier;
    std::size_t length = kDescriptorHeaderLength;
    if (sense.information) {
        const auto descriptor = out.subspan(length);
        descriptor[0] = 0x00;  // information
        descriptor[1] = 0x0a;
        descriptor[2] = 0x80;  // VALID
        put_be64(descriptor.subspan(4), *sense.information);
        length += 12;
    }
    if (sense.command_specific) {
        const auto descriptor = out.subspan(length);
        descriptor[0] = 0x01;  // command specific information
        descriptor[1] = 0x0a;
        put_be64(descriptor.subspan(4), *sense.command_specific);
        length += 12;
    }
    const auto descriptor = out.subspan(length);
    if (put_sense_key_specific(sense, descriptor.subspan(4))) {
        descriptor[0] = 0x02;  // sense key specific
        descriptor[1] = 0x06;
        length += 8;
    }
    if (sense.forwarded) {
        length += put_forwarded(*sense.forwarded, out.subspan(length));
    }
    out[7] = static_cast<std::uint8_t>(length - kDescriptorHeaderLength);
    return length;
}

}  // namespace

std::size_t encode_sense(const Sense& sense, SenseFormat format, std::span<std::uint8_t> out) {
    return format == SenseFormat::kFixed ? encode_fixed(sense, out)
                                         : encode_descriptors(sense, out.first(kMaxSenseLength));
}

}  // namespace lunkit::scsi

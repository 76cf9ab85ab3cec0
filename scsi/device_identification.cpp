// SPDX-License-Identifier: Apache-2.0
#include "scsi/device_identification.hpp"

#include <string>

namespace lunkit::scsi {
namespace {

/// ASSOCIATION and DESIGNATOR TYPE.
enum class Association : std::uint8_t { kLogicalUnit = 0, kTargetPort = 1 };
enum class DesignatorType : std::uint8_t {
    kT10VendorId = 1,
    kNaa = 3,
    kRelativeTargetPort = 4,
    kTargetPortGroup = 5,
};
enum class CodeSet : std::uint8_t { kBinary = 1, kAscii = 2 };

constexpr std::size_t kMaxDesignatorLength = 255;
constexpr std::size_t kVendorLength = 8;

void put_header(ParameterData& data, CodeSet code_set, Association association, DesignatorType type,
                std::size_t length) {
    data.u8(static_cast<unsigned>(code_set));
    data.u8((static_cast<unsigned>(association) << 4U) | static_cast<unsigned>(type));
    data.u8(0).u8(static_cast<unsigned>(length));
}

void put_port_designator(ParameterData& data, DesignatorType type, std::uint16_t value) {
    put_header(data, CodeSet::kBinary, Association::kTargetPort, type, 4);
    data.be16(0).be16(value);
}

std::optional<std::uint8_t> hex_digit(char letter) {
    if (letter >= '0' && letter <= '9') {
        return static_cast<std::uint8_t>(letter - '0');
    }
    if (letter >= 'a' && letter <= 'f') {
        return static_cast<std::uint8_t>(letter - 'a' + 10);
    }
    if (letter >= 'A' && letter <= 'F') {
        return static_cast<std::uint8_t>(letter - 'A' + 10);
    }
    return {};
}

}  // namespace

std::optional<NaaIdentifier> make_naa_identifier(std::string_view serial,
                                                 std::uint32_t company_id) {
    NaaIdentifier naa{};
    put_be32(naa, (0x6U << 28U) | ((company_id & 0xffffffU) << 4U));
    constexpr std::size_t kFirstDigit = 7;
    constexpr std::size_t kDigits = 32;
    std::size_t digit = kFirstDigit;
    for (const char letter : serial) {
        const auto value = hex_digit(letter);
        if (!value || digit == kDigits) {
            continue;
        }
        const unsigned shift = digit % 2 == 0 ? 4 : 0;
        naa[digit / 2] = static_cast<std::uint8_t>(naa[digit / 2] | (*value << shift));
        ++digit;
    }
    if (digit == kFirstDigit) {
        return {};
    }
    return naa;
}

void put_designators(ParameterData& data, const Identity& identity) {
    if (const auto naa = make_naa_identifier(identity.serial, identity.company_id)) {
        put_header(data, CodeSet::kBinary, Association::kLogicalUnit, DesignatorType::kNaa,
                   naa->size());
        data.bytes(*naa);
    }
    const std::string specific =
        (identity.product + ":" + identity.serial).substr(0, kMaxDesignatorLength - kVendorLength);
    put_header(data, CodeSet::kAscii, Association::kLogicalUnit, DesignatorType::kT10VendorId,
               kVendorLength + specific.size());
    data.ascii(identity.vendor, kVendorLength).ascii(specific);
    put_port_designator(data, DesignatorType::kRelativeTargetPort, kRelativeTargetPort);
    put_port_designator(data, DesignatorType::kTargetPortGroup, kTargetPortGroup);
}

}  // namespace lunkit::scsi

// SPDX-License-Identifier: Apache-2.0
// Third-party Copy VPD page (SPC-4 7.8.17, SBC-4 6.6.9).
#include "scsi/third_party_copy_page.hpp"

#include "scsi/cdb.hpp"
#include "scsi/copy_limits.hpp"
#include "scsi/opcodes.hpp"
#include "scsi/rod_token.hpp"

namespace lunkit::scsi {
namespace {

/// THIRD-PARTY COPY DESCRIPTOR TYPE, in the order of the page.
enum class CopyDescriptor : std::uint16_t {
    kBlockDeviceRodLimits = 0x0000,
    kSupportedCommands = 0x0001,
    kParameterData = 0x0004,
    kSupportedDescriptors = 0x0008,
    kSupportedCscdIds = 0x000c,
    kRodTokenFeatures = 0x0106,
    kSupportedRodTypes = 0x0108,
    kGeneralCopyOperations = 0x8001,
};

constexpr std::size_t kDescriptorHeaderLength = 4;

/// Begins a descriptor; gives where it is, for end().
std::size_t begin(ParameterData& data, CopyDescriptor type) {
    const std::size_t at = data.size();
    data.be16(static_cast<std::uint16_t>(type)).be16(0);
    return at;
}
/// Pads it to a multiple of four bytes and sets its length.
void end(ParameterData& data, std::size_t at) {
    data.zeros((4 - (data.size() - at) % 4) % 4);
    data.set(at + 2, data.size() - at - kDescriptorHeaderLength, 2);
}

void put_block_device_rod_limits(ParameterData& data, const Unit& unit) {
    const std::size_t at = begin(data, CopyDescriptor::kBlockDeviceRodLimits);
    data.zeros(6).be16(copy_limits::kMaximumRangeDescriptors);
    data.be32(copy_limits::kMaximumInactivityTimeout);
    data.be32(copy_limits::kDefaultInactivityTimeout);
    data.be64(copy_limits::kMaximumTokenTransfer / unit.options.block_size);
    data.be64(copy_limits::kOptimalTokenTransfer / unit.options.block_size);
    end(data, at);
}

/// From the table of opcodes, so that it says what REPORT SUPPORTED OPERATION CODES says.
void put_supported_commands(ParameterData& data, const Unit& unit) {
    const std::size_t at = begin(data, CopyDescriptor::kSupportedCommands);
    const std::size_t length_at = data.size();
    data.u8(0);
    for (const std::uint8_t code :
         {operation_code::kThirdPartyCopyOut, operation_code::kThirdPartyCopyIn}) {
        data.u8(code);
        const std::size_t count_at = data.size();
        data.u8(0);
        for (const Opcode& opcode : opcodes_of(code)) {
            if (opcode.service_action && is_reported(opcode, unit)) {
                data.u8(*opcode.service_action);
            }
        }
        data.set(count_at, data.size() - count_at - 1, 1);
    }
    data.set(length_at, data.size() - length_at - 1, 1);
    end(data, at);
}

void put_parameter_data(ParameterData& data) {
    const std::size_t at = begin(data, CopyDescriptor::kParameterData);
    data.zeros(4);
    data.be16(copy_limits::kMaximumCscdDescriptorCount);
    data.be16(copy_limits::kMaximumSegmentDescriptorCount);
    data.be32(copy_limits::kMaximumDescriptorListLength);
    data.be32(copy_limits::kMaximumInlineDataLength).zeros(12);
    end(data, at);
}

void put_supported_descriptors(ParameterData& data) {
    const std::size_t at = begin(data, CopyDescriptor::kSupportedDescriptors);
    data.u8(static_cast<unsigned>(copy_descriptor::kSupported.size()));
    data.bytes(copy_descriptor::kSupported);
    end(data, at);
}

/// None above 07FFh: a copy names its units in CSCD descriptors.
void put_supported_cscd_ids(ParameterData& data) {
    const std::size_t at = begin(data, CopyDescriptor::kSupportedCscdIds);
    data.be16(0);
    end(data, at);
}

/// Each unit knows its own tokens only. No lifetimes: only EXTENDED COPY could ask for one.
void put_rod_token_features(ParameterData& data) {
    constexpr unsigned kTokensOfThisTargetDevice = 0x0;
    constexpr unsigned kBlockRodFeaturesLength = 0x2c;
    constexpr std::uint64_t kNoLimit = 0xffffffffffffffff;
    const std::size_t at = begin(data, CopyDescriptor::kRodTokenFeatures);
    data.u8(kTokensOfThisTargetDevice).zeros(11);
    data.be32(0).be32(0).be32(copy_limits::kMaximumInactivityTimeout).zeros(18);
    data.be16(kBlockRodFeaturesLength + 4);
    data.u8(0).u8(0).be16(kBlockRodFeaturesLength).be16(0);
    data.be16(0);  // OPTIMAL BLOCK ROD LENGTH GRANULARITY: not reported
    data.be64(copy_limits::kMaximumTokenTransfer).be64(copy_limits::kOptimalTokenTransfer);
    data.be64(kNoLimit);  // to a token: nothing is copied
    data.be64(copy_limits::kOptimalTokenTransfer).zeros(8);
    end(data, at);
}

void put_rod_type(ParameterData& data, std::uint32_t type, unsigned token_in_out) {
    data.be32(type).u8(token_in_out).u8(0);
    data.be16(0);  // PREFERENCE INDICATION: none
    data.zeros(56);
}

void put_supported_rod_types(ParameterData& data) {
    constexpr unsigned kTokenOut = 0x01;
    constexpr unsigned kTokenIn = 0x02;
    const std::size_t at = begin(data, CopyDescriptor::kSupportedRodTypes);
    data.be16(0).be16(std::uint64_t{2} * 64);
    put_rod_type(data, rod_type::kPointInTimeCopyChangeVulnerable, kTokenIn | kTokenOut);
    put_rod_type(data, rod_type::kBlockDeviceZero, kTokenIn);
    end(data, at);
}

void put_general_copy_operations(ParameterData& data) {
    const std::size_t at = begin(data, CopyDescriptor::kGeneralCopyOperations);
    data.be32(copy_limits::kConcurrentCopies).be32(copy_limits::kConcurrentCopies);
    data.be32(copy_limits::kMaximumSegmentLength);
    data.zeros(2);  // granularities: 2^0 bytes
    data.zeros(18);
    end(data, at);
}

}  // namespace

void put_third_party_copy(ParameterData& data, const Unit& unit) {
    put_block_device_rod_limits(data, unit);
    put_supported_commands(data, unit);
    put_parameter_data(data);
    put_supported_descriptors(data);
    put_supported_cscd_ids(data);
    put_rod_token_features(data);
    put_supported_rod_types(data);
    put_general_copy_operations(data);
}

}  // namespace lunkit::scsi

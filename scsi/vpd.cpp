// SPDX-License-Identifier: Apache-2.0
#include "scsi/vpd.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "scsi/device_identification.hpp"
#include "scsi/device_types.hpp"
#include "scsi/third_party_copy_page.hpp"

namespace lunkit::scsi {
namespace {

constexpr std::size_t kHeaderLength = 4;

using PutPage = void (*)(ParameterData& data, const Unit& unit, const Identity& identity);

struct VpdPage {
    std::uint8_t page_code;
    PutPage put;
    DeviceTypes types = kAllTypes;

    [[nodiscard]] bool is_of(const Unit& unit) const { return types.has(unit.info.type); }
};

void put_supported_pages(ParameterData& data, const Unit& unit, const Identity& identity);

void put_unit_serial_number(ParameterData& data, const Unit& /*unit*/, const Identity& identity) {
    constexpr std::size_t kMaxLength = 252;
    // SPC-5 7.7.14: spaces where there is no number.
    data.ascii(identity.serial,
               identity.serial.empty() ? 4 : std::min(identity.serial.size(), kMaxLength));
}

void put_device_identification(ParameterData& data, const Unit& /*unit*/,
                               const Identity& identity) {
    put_designators(data, identity);
}

// SPC-5 7.7.7.
void put_extended_inquiry_data(ParameterData& data, const Unit& /*unit*/,
                               const Identity& /*identity*/) {
    constexpr unsigned kSimpsup = 0x01;  // LIO enforces no other task attribute for its users
    constexpr unsigned kVSup = 0x01;     // a volatile cache is possible
    data.u8(0).u8(kSimpsup).u8(kVSup);
    data.zeros(64 - kHeaderLength - 3);
}

// SPC-5 7.7.10. One set of mode pages for all initiators, of this unit alone.
void put_mode_page_policy(ParameterData& data, const Unit& /*unit*/, const Identity& /*identity*/) {
    constexpr unsigned kAllPages = 0x3f;
    constexpr unsigned kAllSubpages = 0xff;
    constexpr unsigned kShared = 0x00;
    data.u8(kAllPages).u8(kAllSubpages).u8(kShared).u8(0);
}

void put_block_limits(ParameterData& data, const Unit& unit, const Identity& /*identity*/) {
    constexpr unsigned kWsnz = 0x01;
    constexpr std::uint32_t kUgavalid = std::uint32_t{1} << 31U;  // with an alignment of 0
    const BlockLimits& limits = unit.limits;
    data.u8(kWsnz).u8(limits.maximum_compare_and_write_length);
    data.be16(limits.optimal_transfer_length_granularity);
    data.be32(limits.maximum_transfer_length).be32(limits.optimal_transfer_length);
    data.be32(0);  // MAXIMUM PREFETCH LENGTH: any
    data.be32(limits.maximum_unmap_lba_count);
    data.be32(limits.maximum_unmap_block_descriptor_count);
    data.be32(limits.optimal_unmap_granularity);
    data.be32(limits.optimal_unmap_granularity != 0 ? kUgavalid : 0);
    data.be64(limits.maximum_write_same_length);
    // Any alignment, any number of blocks, and no boundaries within a write.
    data.be32(limits.maximum_atomic_transfer_length).zeros(16);
}

// SBC-4 6.6.2.
void put_block_device_characteristics(ParameterData& data, const Unit& unit,
                                      const Identity& /*identity*/) {
    constexpr unsigned kNotReported = 0x0000;
    constexpr unsigned kNonRotating = 0x0001;
    data.be16(unit.info.rotational ? kNotReported : kNonRotating);  // MEDIUM ROTATION RATE
    // What BLOCK ERASE has erased reads as zeros.
    constexpr unsigned kWabereqReadsSucceed = 0x40;  // 01b
    data.u8(0).u8(unit.info.can_discard ? kWabereqReadsSucceed : 0U);
    // ZONED of host managed devices is 00b: their peripheral device type says it.
    data.zeros(64 - kHeaderLength - 4);
}

// SBC-4 6.6.7. Says the same as LBPME and LBPRZ of READ CAPACITY(16).
void put_logical_block_provisioning(ParameterData& data, const Unit& unit,
                                    const Identity& /*identity*/) {
    constexpr unsigned kLbpuLbpwsLbpws10 = 0xe0;
    constexpr unsigned kLbprzZeros = 0x04;  // 001b
    constexpr unsigned kResourceProvisioned = 1;
    constexpr unsigned kThinProvisioned = 2;
    data.u8(threshold_exponent(unit));
    if (!unit.info.can_discard) {
        data.zeros(3);
        return;
    }
    data.u8(kLbpuLbpwsLbpws10 | (unit.info.discard_zeroes ? kLbprzZeros : 0U));
    data.u8(unit.info.thin ? kThinProvisioned : kResourceProvisioned).u8(0);
}

// SBC-4 6.6.5. No streams; the limits of WRITE SCATTERED.
void put_block_limits_extension(ParameterData& data, const Unit& unit,
                                const Identity& /*identity*/) {
    data.zeros(16 - kHeaderLength);
    data.be32(unit.limits.maximum_transfer_length).be16(0);  // of one LBA range
    data.be16(unit.limits.maximum_scattered_lba_range_descriptor_count);
    data.be32(unit.limits.maximum_transfer_length);  // of all together
    data.zeros(64 - 28);
}

void put_third_party_copy_page(ParameterData& data, const Unit& unit,
                               const Identity& /*identity*/) {
    put_third_party_copy(data, unit);
}

// ZBC-2, Zoned Block Device Characteristics.
void put_zoned_block_device_characteristics(ParameterData& data, const Unit& unit,
                                            const Identity& /*identity*/) {
    constexpr unsigned kUrswrz = 0x01;  // reads end well wherever the write pointer is
    constexpr std::uint32_t kNotReported = 0xffffffff;
    constexpr std::uint32_t kNoLimit = 0xffffffff;
    data.u8(kUrswrz).zeros(3);
    data.be32(kNotReported).be32(kNotReported);  // of sequential write preferred zones
    data.be32(unit.info.max_open_zones != 0 ? unit.info.max_open_zones : kNoLimit);
    data.zeros(64 - data.size());
}

constexpr std::array<VpdPage, 11> kPages{{
    {0x00, put_supported_pages},
    {0x80, put_unit_serial_number},
    {0x83, put_device_identification},
    {0x86, put_extended_inquiry_data},
    {0x87, put_mode_page_policy},
    {0x8f, put_third_party_copy_page, kBlock},
    {0xb0, put_block_limits, kBlock | kZoned},
    {0xb1, put_block_device_characteristics, kBlock | kZoned},
    {0xb2, put_logical_block_provisioning, kBlock | kZoned},
    {0xb6, put_zoned_block_device_characteristics, kZoned},
    {0xb7, put_block_limits_extension, kBlock},
}};

void put_supported_pages(ParameterData& data, const Unit& unit, const Identity& /*identity*/) {
    for (const VpdPage& page : kPages) {
        if (page.is_of(unit)) {
            data.u8(page.page_code);
        }
    }
}

}  // namespace

bool put_vpd_page(ParameterData& data, std::uint8_t page_code, const Unit& unit,
                  const Identity& identity) {
    const auto* const page =
        std::find_if(kPages.begin(), kPages.end(),
                     [page_code](const VpdPage& known) { return known.page_code == page_code; });
    if (page == kPages.end() || !page->is_of(unit)) {
        return false;
    }
    data.u8(static_cast<unsigned>(unit.info.type));  // connected
    data.u8(page_code).be16(0);
    page->put(data, unit, identity);
    data.set(2, data.size() - kHeaderLength, 2);
    return true;
}

}  // namespace lunkit::scsi

// SPDX-License-Identifier: Apache-2.0
#include "scsi/mode_pages.hpp"

#include <algorithm>
#include <utility>

#include "scsi/big_endian.hpp"

namespace lunkit::scsi {
namespace {

constexpr std::uint8_t kLbpere = 0x80;  // read-write error recovery page, byte 7
constexpr std::uint8_t kWce = 0x04;     // caching page, byte 2
constexpr std::uint8_t kDSense = 0x04;  // control page, byte 2
constexpr std::uint8_t kSwp = 0x08;     // control page, byte 4

constexpr std::uint8_t when(bool set, std::uint8_t bit) {
    return set ? bit : std::uint8_t{0};
}

// SBC-4 6.5.10: no retries, no reallocation: the storage below does both or nobody does.
void fill_read_write_error_recovery(const ModeParameters& mode, ModePageBytes& page) {
    page[7] = when(mode.has_thresholds() && mode.threshold_reporting, kLbpere);
}

// SBC-4 6.5.6.
void fill_caching(const ModeParameters& mode, ModePageBytes& page) {
    page[2] = when(mode.write_cache_enabled, kWce);
}

// SPC-5 7.5.9.
void fill_control(const ModeParameters& mode, ModePageBytes& page) {
    constexpr std::uint8_t kGltsd = 0x02;
    constexpr std::uint8_t kUnrestrictedReordering = 0x10;  // QUEUE ALGORITHM MODIFIER 1
    constexpr std::uint8_t kTas = 0x40;                     // LIO ends aborted commands so
    page[2] = static_cast<std::uint8_t>(kGltsd | when(mode.descriptor_sense, kDSense));
    page[3] = kUnrestrictedReordering;
    page[4] = when(mode.software_write_protect, kSwp);
    page[5] = kTas;
    page[8] = 0xff;  // BUSY TIMEOUT PERIOD: unlimited
    page[9] = 0xff;
}

// SPC-5 7.5.13: the unit reports no exceptions of its own.
void fill_informational_exceptions(const ModeParameters& /*mode*/, ModePageBytes& page) {
    constexpr std::uint8_t kDexcpt = 0x08;
    page[2] = kDexcpt;
}

// SBC-4 6.5.9: one threshold, of what is available; reported to all initiators at once.
constexpr std::uint8_t kLogicalBlockProvisioning = 0x02;  // subpage code
void fill_logical_block_provisioning(const ModeParameters& mode, ModePageBytes& page) {
    constexpr std::uint8_t kEnabled = 0x80;  // THRESHOLD TYPE soft, ARMING decreasing: 0
    constexpr std::uint8_t kAvailableLbaMappingResource = 0x01;
    page[16] = kEnabled;
    page[17] = kAvailableLbaMappingResource;
    put_be32(std::span(page).subspan(20), mode.soft_threshold_count);
}

// MM Capabilities and Mechanical Status; MMC-3 6.3.11, long obsolete, and asked for all the same. A
// caddy that cannot be ejected; what else could be said is zero.
void fill_mm_capabilities(const ModeParameters& /*mode*/, ModePageBytes& page) {
    constexpr std::uint8_t kReadsCdrCdrwDvdRom = 0x0b;
    page[2] = kReadsCdrCdrwDvdRom;
}

/// Every changeable bit the same.
ModeParameters with_all(ModeParameters mode, bool value) {
    mode.write_cache_enabled = value;
    mode.descriptor_sense = value;
    mode.software_write_protect = value;
    mode.threshold_reporting = value;
    return mode;
}

constexpr std::array<ModePage, 6> kPages{{
    {mode_page_code::kReadWriteErrorRecovery, 0, 12, fill_read_write_error_recovery},
    {mode_page_code::kCaching, 0, 20, fill_caching},
    {mode_page_code::kControl, 0, 12, fill_control},
    {mode_page_code::kInformationalExceptionsControl, 0, 12, fill_informational_exceptions},
    {mode_page_code::kInformationalExceptionsControl, kLogicalBlockProvisioning, 24,
     fill_logical_block_provisioning},
    {mode_page_code::kMmCapabilities, 0, 22, fill_mm_capabilities},
}};

}  // namespace

bool ModePage::is_there(const ModeParameters& mode) const {
    switch (page_code) {
        case mode_page_code::kCaching:
            return !mode.is_cd;
        case mode_page_code::kMmCapabilities:
            return mode.is_cd;
        default:
            return subpage_code != kLogicalBlockProvisioning || mode.has_thresholds();
    }
}

ModePageBytes ModePage::bytes(const ModeParameters& mode) const {
    constexpr unsigned kSpf = 0x40;
    ModePageBytes page{};
    page[0] = page_code;
    page[1] = static_cast<std::uint8_t>(length - header_length());
    if (subpage_code != 0) {
        page[0] = static_cast<std::uint8_t>(kSpf | page_code);
        page[3] = std::exchange(page[1], subpage_code);
    }
    fill(mode, page);
    return page;
}

ModePageBytes ModePage::changeable(const ModeParameters& mode) const {
    ModePageBytes mask = bytes(with_all(mode, true));
    const ModePageBytes none = bytes(with_all(mode, false));
    for (std::size_t i = header_length(); i < mask.size(); ++i) {
        mask[i] = static_cast<std::uint8_t>(mask[i] ^ none[i]);
    }
    return mask;
}

std::span<const ModePage> mode_pages() {
    return kPages;
}

const ModePage* find_mode_page(std::uint8_t page_code, std::uint8_t subpage_code,
                               const ModeParameters& mode) {
    const auto* const found = std::find_if(kPages.begin(), kPages.end(), [&](const ModePage& page) {
        return page.page_code == page_code && page.subpage_code == subpage_code &&
               page.is_there(mode);
    });
    return found == kPages.end() ? nullptr : found;
}

void read_mode_page(std::uint8_t page_code, std::span<const std::uint8_t> page,
                    ModeParameters& mode) {
    if (page_code == mode_page_code::kReadWriteErrorRecovery && mode.has_thresholds()) {
        mode.threshold_reporting = (page[7] & kLbpere) != 0;
    }
    if (page_code == mode_page_code::kCaching) {
        mode.write_cache_enabled = (page[2] & kWce) != 0;
    }
    if (page_code == mode_page_code::kControl) {
        mode.descriptor_sense = (page[2] & kDSense) != 0;
        mode.software_write_protect = (page[4] & kSwp) != 0;
    }
}

}  // namespace lunkit::scsi

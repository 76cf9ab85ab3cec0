// SPDX-License-Identifier: Apache-2.0
#include "scsi/mode_pages.hpp"

#include <algorithm>

namespace lunkit::scsi {
namespace {

constexpr std::uint8_t kWce = 0x04;     // caching page, byte 2
constexpr std::uint8_t kDSense = 0x04;  // control page, byte 2
constexpr std::uint8_t kSwp = 0x08;     // control page, byte 4

constexpr std::uint8_t when(bool set, std::uint8_t bit) {
    return set ? bit : std::uint8_t{0};
}

// SBC-4 6.5.10: no retries, no reallocation: the storage below does both or nobody does.
void fill_read_write_error_recovery(const ModeParameters& /*mode*/, ModePageBytes& /*page*/) {}

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

constexpr std::array<ModePage, 4> kPages{{
    {mode_page_code::kReadWriteErrorRecovery, 12, fill_read_write_error_recovery},
    {mode_page_code::kCaching, 20, fill_caching},
    {mode_page_code::kControl, 12, fill_control},
    {mode_page_code::kInformationalExceptionsControl, 12, fill_informational_exceptions},
}};

}  // namespace

ModePageBytes ModePage::bytes(const ModeParameters& mode) const {
    ModePageBytes page{};
    page[0] = page_code;
    page[1] = static_cast<std::uint8_t>(length - 2);
    fill(mode, page);
    return page;
}

ModePageBytes ModePage::changeable() const {
    ModePageBytes mask = bytes({true, true, true});
    const ModePageBytes none = bytes({false, false, false});
    for (std::size_t i = 2; i < mask.size(); ++i) {
        mask[i] = static_cast<std::uint8_t>(mask[i] ^ none[i]);
    }
    return mask;
}

std::span<const ModePage> mode_pages() {
    return kPages;
}

const ModePage* find_mode_page(std::uint8_t page_code) {
    const auto* const found =
        std::find_if(kPages.begin(), kPages.end(),
                     [page_code](const ModePage& page) { return page.page_code == page_code; });
    return found == kPages.end() ? nullptr : found;
}

void read_mode_page(std::uint8_t page_code, std::span<const std::uint8_t> page,
                    ModeParameters& mode) {
    if (page_code == mode_page_code::kCaching) {
        mode.write_cache_enabled = (page[2] & kWce) != 0;
    }
    if (page_code == mode_page_code::kControl) {
        mode.descriptor_sense = (page[2] & kDSense) != 0;
        mode.software_write_protect = (page[4] & kSwp) != 0;
    }
}

}  // namespace lunkit::scsi

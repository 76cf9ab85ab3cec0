// SPDX-License-Identifier: Apache-2.0
// Mode pages (SPC-5 7.5, SBC-4 6.5): the parameters behind them and their bytes. Which bits are
// changeable follows from the same function that writes a page, so that MODE SENSE (changeable
// values), MODE SENSE (current values) and MODE SELECT agree.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace lunkit::scsi {

/// Everything of the mode pages that an initiator can change, or that depends on the unit.
struct ModeParameters {
    bool write_cache_enabled = true;      ///< WCE, caching page
    bool descriptor_sense = false;        ///< D_SENSE, control page
    bool software_write_protect = false;  ///< SWP, control page
    /// LBPERE, read-write error recovery page. Changeable where there are thresholds to report.
    bool threshold_reporting = true;
    /// THRESHOLD COUNT, logical block provisioning page; 0: there is no such page. Not changeable.
    std::uint32_t soft_threshold_count = 0;
    bool is_cd = false;  ///< other pages. Not changeable

    [[nodiscard]] bool has_thresholds() const { return soft_threshold_count != 0; }
};

/// PC of MODE SENSE.
enum class PageControl : std::uint8_t { kCurrent, kChangeable, kDefault, kSaved };

namespace mode_page_code {
inline constexpr std::uint8_t kReadWriteErrorRecovery = 0x01;
inline constexpr std::uint8_t kCaching = 0x08;
inline constexpr std::uint8_t kControl = 0x0a;
inline constexpr std::uint8_t kInformationalExceptionsControl = 0x1c;
inline constexpr std::uint8_t kMmCapabilities = 0x2a;
inline constexpr std::uint8_t kAll = 0x3f;
inline constexpr std::uint8_t kAllSubpages = 0xff;
}  // namespace mode_page_code

inline constexpr std::size_t kMaxModePageLength = 24;  ///< with its header
using ModePageBytes = std::array<std::uint8_t, kMaxModePageLength>;

/// One page of the unit.
struct ModePage {
    std::uint8_t page_code;
    std::uint8_t subpage_code;  ///< 0: in the format without one
    std::uint8_t length;        ///< bytes in all: PAGE LENGTH + header_length()
    void (*fill)(const ModeParameters& mode, ModePageBytes& page);

    [[nodiscard]] std::uint8_t header_length() const { return subpage_code == 0 ? 2 : 4; }
    /// Whether a unit with these values has the page.
    [[nodiscard]] bool is_there(const ModeParameters& mode) const;
    /// The page with these values, header included, as far as `length`.
    [[nodiscard]] ModePageBytes bytes(const ModeParameters& mode) const;
    /// Ones where a unit with these values lets a bit be changed; the header as in bytes().
    [[nodiscard]] ModePageBytes changeable(const ModeParameters& mode) const;
};

/// In ascending order of page codes, as MODE SENSE returns them.
[[nodiscard]] std::span<const ModePage> mode_pages();
/// nullptr: a unit with these values has no such page.
[[nodiscard]] const ModePage* find_mode_page(std::uint8_t page_code, std::uint8_t subpage_code,
                                             const ModeParameters& mode);
/// Takes over the changeable bits of a page that has been checked.
void read_mode_page(std::uint8_t page_code, std::span<const std::uint8_t> page,
                    ModeParameters& mode);

}  // namespace lunkit::scsi

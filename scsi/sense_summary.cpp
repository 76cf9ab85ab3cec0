// SPDX-License-Identifier: Apache-2.0
#include "scsi/sense_summary.hpp"

namespace lunkit::scsi {

SenseSummary summarize_sense(std::span<const std::uint8_t> sense) {
    constexpr std::uint8_t kResponseCode = 0x7f;
    constexpr std::uint8_t kKey = 0x0f;
    constexpr std::uint8_t kFirstOfDescriptorFormat = 0x72;  // 70h and 71h are fixed
    const auto at = [&sense](std::size_t place) -> std::uint8_t {
        return place < sense.size() ? sense[place] : std::uint8_t{0};
    };
    const auto masked = [](std::uint8_t value, std::uint8_t mask) {
        return static_cast<std::uint8_t>(value & mask);
    };
    if (masked(at(0), kResponseCode) >= kFirstOfDescriptorFormat) {
        return {masked(at(1), kKey), {at(2), at(3)}};
    }
    return {masked(at(2), kKey), {at(12), at(13)}};
}

}  // namespace lunkit::scsi

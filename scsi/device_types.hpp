// SPDX-License-Identifier: Apache-2.0
// DeviceTypes: of which device types something is: a command, a page.
#pragma once

#include <cstdint>

#include "lunkit/block_device.hpp"

namespace lunkit::scsi {

class DeviceTypes {
  public:
    constexpr explicit DeviceTypes(DeviceType type) : bits_(bit(type)) {}
    [[nodiscard]] constexpr bool has(DeviceType type) const { return (bits_ & bit(type)) != 0; }
    constexpr DeviceTypes operator|(DeviceTypes other) const {
        DeviceTypes both = *this;
        both.bits_ |= other.bits_;
        return both;
    }

  private:
    static constexpr std::uint32_t bit(DeviceType type) {
        return std::uint32_t{1} << static_cast<unsigned>(type);
    }
    std::uint32_t bits_;
};

inline constexpr DeviceTypes kBlock(DeviceType::kBlock);
inline constexpr DeviceTypes kCdDvd(DeviceType::kCdDvd);
inline constexpr DeviceTypes kZoned(DeviceType::kZoned);
inline constexpr DeviceTypes kAllTypes = kBlock | kCdDvd | kZoned;

}  // namespace lunkit::scsi

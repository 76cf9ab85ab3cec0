// SPDX-License-Identifier: Apache-2.0
// How much one third-party copy command may ask for. RECEIVE COPY OPERATING PARAMETERS and VPD page
// 8Fh tell it, the commands enforce it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace lunkit::scsi {

/// Descriptor type codes of an EXTENDED COPY parameter list (SPC-4 6.4.5, 6.4.6).
namespace copy_descriptor {
inline constexpr std::uint8_t kBlockToBlock = 0x02;
inline constexpr std::uint8_t kIdentification = 0xe4;
inline constexpr std::array<std::uint8_t, 2> kSupported{kBlockToBlock, kIdentification};
inline constexpr std::size_t kCscdLength = 32;
inline constexpr std::size_t kBlockToBlockLength = 28;
}  // namespace copy_descriptor

namespace copy_limits {
inline constexpr std::uint16_t kMaximumCscdDescriptorCount = 16;
inline constexpr std::uint16_t kMaximumSegmentDescriptorCount = 64;
inline constexpr std::uint32_t kMaximumDescriptorListLength =
    kMaximumCscdDescriptorCount * copy_descriptor::kCscdLength +
    kMaximumSegmentDescriptorCount * copy_descriptor::kBlockToBlockLength;
/// Bytes. With the number of segments this bounds a command to 1 GiB: transports have timeouts.
inline constexpr std::uint32_t kMaximumSegmentLength = std::uint32_t{16} << 20U;
inline constexpr std::uint32_t kMaximumInlineDataLength = 0;
/// Of one unit; one more is told BUSY. Each has a buffer of its own.
inline constexpr std::uint8_t kConcurrentCopies = 8;
inline constexpr std::size_t kBufferSize = std::size_t{1} << 20U;

// POPULATE TOKEN and WRITE USING TOKEN: bytes of one command, descriptors, seconds.
inline constexpr std::uint64_t kMaximumTokenTransfer = std::uint64_t{256} << 20U;
inline constexpr std::uint64_t kOptimalTokenTransfer = std::uint64_t{64} << 20U;
inline constexpr std::uint16_t kMaximumRangeDescriptors = 64;
inline constexpr std::uint32_t kMaximumInactivityTimeout = 600;
inline constexpr std::uint32_t kDefaultInactivityTimeout = 60;
}  // namespace copy_limits

}  // namespace lunkit::scsi

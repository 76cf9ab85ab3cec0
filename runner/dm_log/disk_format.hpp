// SPDX-License-Identifier: Apache-2.0
// The bytes of a disk log. They are those of the kernel's own disk log (drivers/md/dm-log.c), so
// that either can go on with what the other has left:
//
//   offset     0  le32 magic 0x4d695272   le32 version 2   le64 regions
//   offset    16  zeros
//   offset  1024  the bitmap: a bit for each region, the lowest of a byte first; 1: clean.
//                 In words of 64 bits; bits behind the last region are zero.
//
// Anything may be in there: what has not the magic is an empty log, and no count or bit is trusted
// beyond what was read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "lunkit/result.hpp"

namespace lunkit::dm_log::disk {

inline constexpr std::uint32_t kMagic = 0x4d695272;
inline constexpr std::uint32_t kVersion = 2;
inline constexpr std::size_t kHeaderBytes = 16;
inline constexpr std::size_t kBitmapOffset = 1024;
inline constexpr std::size_t kWordBytes = 8;

/// Bytes of a log of `regions` regions.
[[nodiscard]] std::uint64_t bytes_for(std::uint64_t regions);

/// What a log says of the regions that it knows.
struct Contents {
    std::uint64_t regions = 0;         ///< not more than `clean` has bits
    std::vector<std::uint64_t> clean;  ///< words, as DirtyLog has them
};

/// `image` begins at offset 0 of the log. No magic: no region is known. EPROTO: a version of which
/// nothing is known here (1 is 2 on machines that are little endian, as the kernel has it).
[[nodiscard]] Result<Contents> decode(std::span<const std::byte> image);

/// The header's kHeaderBytes.
void encode_header(std::uint64_t regions, std::span<std::byte> image);
/// Words of the bitmap; `image` has kWordBytes for each.
void encode_words(std::span<const std::uint64_t> words, std::span<std::byte> image);

}  // namespace lunkit::dm_log::disk

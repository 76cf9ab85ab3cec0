// SPDX-License-Identifier: Apache-2.0
// The header of an image of version 1, "qcow" (QEMU block/qcow.c; there is no specification):
//
//    0  magic "QFI\xfb"            24  size of the disk u64
//    4  version u32 = 1            32  cluster_bits u8, l2_bits u8, padding u16
//    8  backing_file_offset u64    36  crypt_method u32: 0 none, 1 AES-CBC
//   16  backing_file_size u32      40  l1_table_offset u64
//   20  mtime u32, unused          48  end
//
// An L2 table has 2^l2_bits entries. An entry is 0 (not allocated), a cluster's place in the file,
// or, with bit 63, a compressed cluster: its size in bytes in the cluster_bits bits below that, its
// place in the rest. There are no refcounts, snapshots, zero clusters or header extensions, and
// nothing says what format the backing file has.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "lunkit/result.hpp"

namespace lunkit::qcow {

/// As parse_qcow1_header() gives it, it is safe to use: all within the limits and the file.
struct Qcow1Header {
    std::uint64_t size = 0;  ///< of the virtual disk, bytes
    std::uint32_t cluster_bits = 0;
    std::uint32_t l2_bits = 0;
    std::uint64_t l1_table_offset = 0;
    std::uint64_t l1_size = 0;  ///< entries
    std::optional<std::string> backing_file;

    [[nodiscard]] std::uint64_t cluster_size() const { return 1ULL << cluster_bits; }
    [[nodiscard]] std::uint64_t l2_bytes() const { return 8ULL << l2_bits; }
};

/// `start`, `file_size`: as for parse_header(); `start` has the magic and version 1.
/// EINVAL: not a valid image; ENOTSUP: valid, but it needs what is not implemented.
[[nodiscard]] Result<Qcow1Header> parse_qcow1_header(std::span<const std::byte> start,
                                                     std::uint64_t file_size);

/// An entry of an L2 table.
struct Qcow1Entry {
    enum class Type : std::uint8_t { kUnallocated, kData, kCompressed };
    Type type = Type::kUnallocated;
    std::uint64_t host_offset = 0;
    std::uint32_t compressed_length = 0;  ///< kCompressed: bytes, less than a cluster
};
/// EIO, class internal: it does not lie within the file of `file_size` bytes.
[[nodiscard]] Result<Qcow1Entry> decode_qcow1(const Qcow1Header& header, std::uint64_t word,
                                              std::uint64_t file_size);

}  // namespace lunkit::qcow

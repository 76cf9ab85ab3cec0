// SPDX-License-Identifier: Apache-2.0
// The qcow2 header as the rig's own checker and reader see it (qcow2 specification, "Header"). It
// shares no code with the handler on purpose: a mistake in one must not hide in the other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "lunkit/result.hpp"

namespace lunkit::qcow_rig {

using Bytes = std::vector<std::byte>;
/// An image file; what lies behind its end reads as zeros, and is never touched.
using ImageView = std::span<const std::byte>;

inline constexpr std::size_t kSector = 512;
inline constexpr std::uint64_t kOffsetMask = 0x00ff'ffff'ffff'fe00ULL;  // bits 9..55
inline constexpr std::uint64_t kCopied = 1ULL << 63;
inline constexpr std::uint64_t kCompressed = 1ULL << 62;
inline constexpr std::uint64_t kZeroFlag = 1;

enum class Incompatible : std::uint64_t {
    kDirty = 1,
    kCorrupt = 2,
    kDataFile = 4,
    kCompression = 8,
    kExtendedL2 = 16,
};

/// A table somewhere in the file, in bytes.
struct Place {
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
};

struct Layout {
    std::uint32_t version = 0;
    std::uint32_t cluster_bits = 0;
    std::uint64_t size = 0;  ///< of the disk, bytes
    std::uint32_t crypt_method = 0;
    Place backing_name;
    Place l1;
    Place refcount_table;
    std::uint32_t snapshots = 0;
    std::uint64_t snapshots_offset = 0;
    std::uint64_t incompatible = 0;
    std::uint64_t autoclear = 0;
    std::uint32_t refcount_order = 4;
    std::uint32_t header_length = 72;
    bool zstd = false;
    Place bitmap_directory;
    Place luks_header;
    std::uint32_t bitmaps = 0;

    [[nodiscard]] std::uint64_t cluster() const { return 1ULL << cluster_bits; }
    [[nodiscard]] bool has(Incompatible bit) const {
        return (incompatible & static_cast<std::uint64_t>(bit)) != 0;
    }
    [[nodiscard]] std::uint64_t l2_entry_size() const {
        return has(Incompatible::kExtendedL2) ? 16 : 8;
    }
    [[nodiscard]] std::uint64_t l2_entries() const { return cluster() / l2_entry_size(); }
    /// Guest bytes that one L2 table maps.
    [[nodiscard]] std::uint64_t l2_reach() const { return l2_entries() * cluster(); }
};

/// An entry of the snapshot table.
struct SnapshotEntry {
    Place l1;
    std::string id;
    std::string name;
    std::uint64_t disk_size = 0;
};

/// What stands in cluster 0. An error: no reader could go on.
[[nodiscard]] Result<Layout> read_layout(ImageView image);

/// The snapshot table, and how long it is; an error when it runs out of the file.
struct SnapshotTable {
    std::vector<SnapshotEntry> entries;
    std::uint64_t length = 0;
};
[[nodiscard]] Result<SnapshotTable> read_snapshots(ImageView image, const Layout& layout);

/// Where a compressed cluster's bytes are (length: whole sectors from `offset`, as the descriptor
/// says; the last may lie behind the end of the file).
[[nodiscard]] Place compressed_place(const Layout& layout, std::uint64_t entry);

/// image[offset, +8) big endian; 0 behind the end.
[[nodiscard]] std::uint64_t entry_at(ImageView image, std::uint64_t offset);

}  // namespace lunkit::qcow_rig

// SPDX-License-Identifier: Apache-2.0
// The header of a qcow2 image (QEMU docs/interop/qcow2.rst, "Header", "Header extensions"),
// checked.
//
// A Header that parse_header() gives is safe to use: every offset and size in it has been compared
// with the limits of the format and with the size of the file, without overflow. Images are
// hostile: whatever is not understood is refused, with the name of the field.
//
// The header is never written as a whole. Fields that change are patched in place, so that fields
// and extensions unknown to us survive.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "lunkit/io_request.hpp"
#include "lunkit/result.hpp"

namespace lunkit::qcow {

inline constexpr std::uint32_t kMagic = 0x514649fbU;  // "QFI\xfb"
inline constexpr std::uint32_t kMinClusterBits = 9;
inline constexpr std::uint32_t kMaxClusterBits = 21;
/// The longest first cluster: reading this much of the file is enough for parse_header().
inline constexpr std::uint64_t kMaxClusterSize = 1ULL << kMaxClusterBits;
inline constexpr std::uint64_t kMaxL1Bytes = 32ULL << 20U;
inline constexpr std::uint64_t kMaxRefcountTableBytes = 8ULL << 20U;
inline constexpr std::uint32_t kMaxSnapshots = 65536;
inline constexpr std::uint64_t kMaxSnapshotTableBytes = 64ULL << 20U;
inline constexpr std::uint64_t kMaxEncryptionHeaderBytes = 16ULL << 20U;

/// crypt_method of LUKS, and the type of the header extension that goes with it.
inline constexpr std::uint32_t kCryptLuks = 2;
inline constexpr std::uint32_t kEncryptionHeaderExtension = 0x0537be77U;

/// Why an image with crypt_method 1 is refused, of whatever version.
inline constexpr std::string_view kAesRefused =
    "crypt_method 1 (AES-CBC) is broken by design and not supported; convert the image with "
    "qemu-img";

/// Bits of incompatible_features.
enum IncompatibleFeature : std::uint64_t {
    kDirty = 1U << 0U,
    kCorrupt = 1U << 1U,
    kExternalDataFile = 1U << 2U,
    kCompressionType = 1U << 3U,
    kExtendedL2 = 1U << 4U,
};

/// Bits of compatible_features.
enum CompatibleFeature : std::uint64_t {
    kLazyRefcounts = 1U << 0U,
};

/// Bits of autoclear_features.
enum AutoclearFeature : std::uint64_t {
    kBitmapsConsistent = 1U << 0U,
    kRawExternalData = 1U << 1U,
};

/// Where fields that change later are; offsets in bytes from the start of the file.
namespace field {
inline constexpr std::uint64_t kSize = 24;
inline constexpr std::uint64_t kL1 = 36;             // l1_size, l1_table_offset: 12 bytes
inline constexpr std::uint64_t kRefcountTable = 48;  // offset, clusters: 12 bytes
inline constexpr std::uint64_t kIncompatibleFeatures = 72;
inline constexpr std::uint64_t kAutoclearFeatures = 88;
}  // namespace field

enum class CompressionType : std::uint8_t { kDeflate = 0, kZstd = 1 };

/// The bitmaps extension; the bitmaps themselves are not read.
struct BitmapsExtension {
    std::uint32_t count = 0;
    ByteRange directory;
};

struct Header {
    std::uint32_t version = 3;
    std::uint32_t cluster_bits = 16;
    std::uint64_t size = 0;  ///< of the virtual disk, bytes; any number
    std::uint32_t l1_size = 0;
    std::uint64_t l1_table_offset = 0;
    std::uint64_t refcount_table_offset = 0;
    std::uint32_t refcount_table_clusters = 0;
    std::uint32_t nb_snapshots = 0;
    std::uint64_t snapshots_offset = 0;
    std::uint64_t incompatible_features = 0;
    std::uint64_t compatible_features = 0;
    std::uint64_t autoclear_features = 0;
    std::uint32_t refcount_order = 4;
    std::uint32_t header_length = 72;
    CompressionType compression_type = CompressionType::kDeflate;
    std::optional<std::string> backing_file;
    std::string backing_format;  ///< empty: not said
    std::optional<BitmapsExtension> bitmaps;
    std::optional<std::string> data_file;  ///< there when kExternalDataFile is
    /// Of LUKS, in whole clusters; there when the image is encrypted.
    std::optional<ByteRange> encryption_header;

    [[nodiscard]] std::uint64_t cluster_size() const { return 1ULL << cluster_bits; }
    [[nodiscard]] bool has(IncompatibleFeature bit) const {
        return (incompatible_features & bit) != 0;
    }
    /// The external data file is to be kept readable as a raw image of the disk.
    [[nodiscard]] bool raw_data_file() const {
        return has(kExternalDataFile) && (autoclear_features & kRawExternalData) != 0;
    }
};

/// Whether the file begins like one of ours, of any version.
[[nodiscard]] bool has_magic(std::span<const std::byte> start);
/// The version that follows the magic; 0 when `start` is too short.
[[nodiscard]] std::uint32_t format_version(std::span<const std::byte> start);

/// `start`: the first min(file_size, kMaxClusterSize) bytes of the file; `file_size`: all of it.
/// EINVAL: not a valid image; ENOTSUP: valid, but it needs what is not implemented.
[[nodiscard]] Result<Header> parse_header(std::span<const std::byte> start,
                                          std::uint64_t file_size);

/// L1 entries needed for a disk of `size` bytes. `entry_size`: 8, or 16 with extended L2 entries.
[[nodiscard]] std::uint64_t l1_entries_for(std::uint64_t size, std::uint32_t cluster_bits,
                                           std::uint32_t entry_size);

}  // namespace lunkit::qcow

// SPDX-License-Identifier: Apache-2.0
#include "qcow/header.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <utility>

#include <fmt/format.h>

#include "lunkit/try.hpp"
#include "qcow/big_endian.hpp"
#include "qcow/header_extensions.hpp"

namespace lunkit::qcow {

namespace {

constexpr std::uint32_t kV2Length = 72;
constexpr std::uint32_t kV3Length = 104;
constexpr std::uint64_t kMaxBackingName = 1023;
constexpr std::uint32_t kMaxRefcountOrder = 6;
constexpr std::uint64_t kKnownIncompatible =
    kDirty | kCorrupt | kExternalDataFile | kCompressionType | kExtendedL2;

std::unexpected<Error> bad(std::string what) {
    return failure(EINVAL, std::move(what));
}

/// The part of the header that every version has, and its place in the file.
struct Raw {
    std::span<const std::byte> cluster;  // the first one, as far as the file has it
    std::uint64_t file_size;
    [[nodiscard]] std::uint32_t u32(std::size_t at) const {
        return load_be<std::uint32_t>(cluster.data() + at);
    }
    [[nodiscard]] std::uint64_t u64(std::size_t at) const {
        return load_be<std::uint64_t>(cluster.data() + at);
    }
};

Status read_version_3(const Raw& raw, Header& header) {
    if (raw.cluster.size() < kV3Length) {
        return bad("the file ends within the header");
    }
    header.incompatible_features = raw.u64(72);
    header.compatible_features = raw.u64(80);
    header.autoclear_features = raw.u64(88);
    header.refcount_order = raw.u32(96);
    header.header_length = raw.u32(100);
    if (header.header_length < kV3Length || header.header_length % 8 != 0 ||
        header.header_length > raw.cluster.size()) {
        return bad(fmt::format("header_length {} is not valid", header.header_length));
    }
    if (header.refcount_order > kMaxRefcountOrder) {
        return bad(fmt::format("refcount_order {} is above 6", header.refcount_order));
    }
    std::uint8_t type = 0;
    if (header.header_length > kV3Length) {
        type = std::to_integer<std::uint8_t>(raw.cluster[kV3Length]);
    }
    if (type > 1) {
        return failure(ENOTSUP, fmt::format("compression_type {} is not known", type));
    }
    if ((type != 0) != header.has(kCompressionType)) {
        return bad("compression_type and its incompatible feature bit contradict each other");
    }
    header.compression_type = static_cast<CompressionType>(type);
    return {};
}

/// A table of `bytes` at `offset`: in whole clusters behind the header and within the file.
Status check_table(const Header& header, const Raw& raw, const char* name, std::uint64_t offset,
                   std::uint64_t bytes) {
    if (offset % header.cluster_size() != 0) {
        return bad(fmt::format("{}_offset {:#x} is not at the start of a cluster", name, offset));
    }
    if (offset == 0) {
        return bad(fmt::format("{} overlaps the header", name));
    }
    if (!ByteRange::fits(offset, bytes, raw.file_size)) {
        return bad(fmt::format("{} at {:#x} with {} bytes ends beyond the file's {} bytes", name,
                               offset, bytes, raw.file_size));
    }
    return {};
}

Status check_size(const Header& header, const Raw& raw) {
    const std::uint32_t entry_size = header.has(kExtendedL2) ? 16 : 8;
    if (header.size > static_cast<std::uint64_t>(INT64_MAX) - header.cluster_size()) {
        return bad(fmt::format("size {} is too large", header.size));
    }
    const std::uint64_t needed = l1_entries_for(header.size, header.cluster_bits, entry_size);
    if (header.l1_size > kMaxL1Bytes / 8) {
        return bad(fmt::format("l1_size {} is above the limit of 32 MiB", header.l1_size));
    }
    if (header.l1_size < needed) {
        return bad(fmt::format("l1_size {} is too small for a disk of {} bytes, which needs {}",
                               header.l1_size, header.size, needed));
    }
    if (header.l1_size == 0) {
        return {};
    }
    return check_table(header, raw, "l1_table", header.l1_table_offset,
                       header.l1_size * std::uint64_t{8});
}

Status check_refcount_table(const Header& header, const Raw& raw) {
    const std::uint64_t bytes = header.refcount_table_clusters * header.cluster_size();
    if (header.refcount_table_clusters == 0) {
        return bad("refcount_table_clusters is 0");
    }
    if (bytes > kMaxRefcountTableBytes) {
        return bad(fmt::format("refcount_table_clusters {} is above the limit of 8 MiB",
                               header.refcount_table_clusters));
    }
    return check_table(header, raw, "refcount_table", header.refcount_table_offset, bytes);
}

Status check_snapshots(const Header& header, const Raw& raw) {
    if (header.nb_snapshots == 0) {
        return {};
    }
    if (header.nb_snapshots > kMaxSnapshots) {
        return bad(fmt::format("nb_snapshots {} is above 65536", header.nb_snapshots));
    }
    constexpr std::uint64_t kSmallestEntry = 40;
    return check_table(header, raw, "snapshots", header.snapshots_offset,
                       header.nb_snapshots * kSmallestEntry);
}

/// Tables that the header names must not share a byte.
Status check_overlaps(const Header& header) {
    constexpr std::uint64_t kSmallestEntry = 40;
    const std::array<std::pair<const char*, ByteRange>, 5> tables = {{
        {"the header", {0, header.cluster_size()}},
        {"l1_table", {header.l1_table_offset, header.l1_size * std::uint64_t{8}}},
        {"refcount_table",
         {header.refcount_table_offset, header.refcount_table_clusters * header.cluster_size()}},
        {"snapshots", {header.snapshots_offset, header.nb_snapshots * kSmallestEntry}},
        {"encryption_header", header.encryption_header.value_or(ByteRange{})},
    }};
    for (std::size_t i = 0; i < tables.size(); ++i) {
        for (std::size_t j = i + 1; j < tables.size(); ++j) {
            if (tables[i].second.length != 0 && tables[j].second.length != 0 &&
                tables[i].second.overlaps(tables[j].second)) {
                return bad(fmt::format("{} and {} overlap", tables[i].first, tables[j].first));
            }
        }
    }
    return {};
}

Status read_backing_name(const Raw& raw, Header& header) {
    const std::uint64_t offset = raw.u64(8);
    const std::uint64_t length = raw.u32(16);
    if (offset == 0) {
        return {};
    }
    if (length == 0 || length > kMaxBackingName ||
        !ByteRange::fits(offset, length, raw.cluster.size()) || offset < header.header_length) {
        return bad("backing_file_offset and backing_file_size name no string in the first cluster");
    }
    std::string name(length, '\0');
    std::ranges::transform(raw.cluster.subspan(offset, length), name.begin(),
                           [](std::byte b) { return static_cast<char>(b); });
    if (name.find('\0') != std::string::npos) {
        return bad("the backing file's name contains a NUL");
    }
    header.backing_file = std::move(name);
    return {};
}

/// qcow2.rst "External data file bit", "Raw external data bit".
Status check_data_file(const Header& header) {
    if (!header.has(kExternalDataFile)) {
        return {};
    }
    if (!header.data_file || header.data_file->empty()) {
        return failure(ENOTSUP, "the image does not name its external data file");
    }
    if (header.data_file->find('\0') != std::string::npos) {
        return bad("the external data file's name contains a NUL");
    }
    if (header.nb_snapshots != 0) {
        return bad("internal snapshots and an external data file exclude each other");
    }
    if (header.raw_data_file() && header.backing_file) {
        return bad("a raw external data file and a backing file exclude each other");
    }
    return {};
}

Status check_features(const Header& header, const Extensions& extensions) {
    const std::uint64_t unknown = header.incompatible_features & ~kKnownIncompatible;
    if (unknown != 0) {
        const auto bit = static_cast<unsigned>(std::countr_zero(unknown));
        return failure(ENOTSUP, "incompatible feature " +
                                    feature_name(extensions.feature_names, bit) +
                                    " is not known here");
    }
    CHECK(check_data_file(header));
    constexpr std::uint32_t kMinExtendedL2Bits = 14;
    if (header.has(kExtendedL2) && header.cluster_bits < kMinExtendedL2Bits) {
        return bad("extended L2 entries need clusters of 16 KiB or more");
    }
    return {};
}

Status check_luks(const Header& header, const Raw& raw) {
    const ByteRange area = *header.encryption_header;
    if (area.length == 0 || area.length > kMaxEncryptionHeaderBytes) {
        return bad(
            fmt::format("the encryption header's length {} is 0 or above the limit of 16 "
                        "MiB",
                        area.length));
    }
    CHECK(check_table(header, raw, "encryption_header", area.offset, area.length));
    if (header.size % 512 != 0) {
        return bad(
            fmt::format("size {} is not a multiple of 512, as encryption wants it", header.size));
    }
    if (header.raw_data_file()) {
        return failure(ENOTSUP,
                       "encryption and a data file that is a raw image exclude each other");
    }
    return {};
}

/// header.encryption_header is what the extension says.
Status check_encryption(const Header& header, const Raw& raw) {
    constexpr std::uint32_t kAes = 1;
    const std::uint32_t method = raw.u32(32);
    if (header.encryption_header.has_value() != (method == kCryptLuks)) {
        return bad("crypt_method and the encryption header extension contradict each other");
    }
    switch (method) {
        case 0:
            return {};
        case kAes:
            return failure(ENOTSUP, std::string(kAesRefused));
        case kCryptLuks:
            return check_luks(header, raw);
        default:
            return bad(fmt::format("crypt_method {} is not known", method));
    }
}

}  // namespace

bool has_magic(std::span<const std::byte> start) {
    return start.size() >= 4 && load_be<std::uint32_t>(start.data()) == kMagic;
}

std::uint32_t format_version(std::span<const std::byte> start) {
    return start.size() >= 8 ? load_be<std::uint32_t>(start.data() + 4) : 0;
}

std::uint64_t l1_entries_for(std::uint64_t size, std::uint32_t cluster_bits,
                             std::uint32_t entry_size) {
    const auto entry_bits = static_cast<std::uint32_t>(std::countr_zero(entry_size));
    const std::uint32_t shift = cluster_bits + (cluster_bits - entry_bits);
    const std::uint64_t whole = size >> shift;
    return whole + ((size & ((1ULL << shift) - 1)) != 0 ? 1 : 0);
}

Result<Header> parse_header(std::span<const std::byte> start, std::uint64_t file_size) {
    if (!has_magic(start)) {
        return bad("not a qcow2 image: it does not begin with the magic \"QFI\\xfb\"");
    }
    if (start.size() < kV2Length) {
        return bad("the file ends within the header");
    }
    Header header;
    header.version = format_version(start);
    if (header.version != 2 && header.version != 3) {
        return failure(ENOTSUP,
                       fmt::format("version {} of the format is not supported", header.version));
    }
    header.cluster_bits = load_be<std::uint32_t>(start.data() + 20);
    if (header.cluster_bits < kMinClusterBits || header.cluster_bits > kMaxClusterBits) {
        return bad(fmt::format("cluster_bits {} is not between 9 and 21", header.cluster_bits));
    }
    const Raw raw{start.first(std::min<std::size_t>(start.size(), header.cluster_size())),
                  std::min(file_size, static_cast<std::uint64_t>(INT64_MAX))};
    header.size = raw.u64(24);
    header.l1_size = raw.u32(36);
    header.l1_table_offset = raw.u64(40);
    header.refcount_table_offset = raw.u64(48);
    header.refcount_table_clusters = raw.u32(56);
    header.nb_snapshots = raw.u32(60);
    header.snapshots_offset = raw.u64(64);
    if (header.version == 3) {
        CHECK(read_version_3(raw, header));
    }
    CHECK(read_backing_name(raw, header));

    const std::uint64_t backing_offset = raw.u64(8);
    const std::size_t end = backing_offset != 0 ? backing_offset : raw.cluster.size();
    TRY(Extensions extensions,
        parse_extensions(raw.cluster.subspan(header.header_length, end - header.header_length)));
    header.backing_format = std::move(extensions.backing_format);
    header.bitmaps = extensions.bitmaps;
    header.data_file = std::move(extensions.data_file);
    header.encryption_header = extensions.encryption_header;

    CHECK(check_features(header, extensions));
    CHECK(check_encryption(header, raw));
    CHECK(check_size(header, raw));
    CHECK(check_refcount_table(header, raw));
    CHECK(check_snapshots(header, raw));
    CHECK(check_overlaps(header));
    // Without the autoclear bit the bitmaps are stale, and so may be what the extension says.
    if (header.bitmaps && (header.autoclear_features & kBitmapsConsistent) != 0) {
        CHECK(check_table(header, raw, "bitmap_directory", header.bitmaps->directory.offset,
                          header.bitmaps->directory.length));
    }
    return header;
}

}  // namespace lunkit::qcow

// SPDX-License-Identifier: Apache-2.0
#include "qcow/new_image.hpp"

#include <cerrno>
#include <vector>

#include <fmt/format.h>

#include "lunkit/try.hpp"
#include "qcow/big_endian.hpp"
#include "qcow/header.hpp"
#include "qcow/l2_entry.hpp"
#include "qcow/luks_format.hpp"
#include "qcow/refcount_width.hpp"

namespace lunkit::qcow {

namespace {

constexpr std::uint32_t kHeaderLength = 104;
constexpr std::uint64_t kRefcountTable = 1;  // in clusters
constexpr std::uint64_t kRefcountBlock = 2;
constexpr std::uint64_t kL1Table = 3;

/// What a new image's header says.
Header header_for(std::uint64_t size, bool encrypted) {
    Header header;
    header.size = size;
    header.l1_size = static_cast<std::uint32_t>(l1_entries_for(size, header.cluster_bits, 8));
    header.l1_table_offset = kL1Table * header.cluster_size();
    header.refcount_table_offset = kRefcountTable * header.cluster_size();
    header.refcount_table_clusters = 1;
    if (encrypted) {
        const Geometry geometry(header);
        header.encryption_header = {
            header.l1_table_offset + geometry.round_up(header.l1_size * std::uint64_t{8}),
            kNewLuksArea};
    }
    return header;
}

std::vector<std::byte> bytes_of(const Header& header) {
    constexpr std::uint32_t kExtension = 24;  // with its type and length
    // Behind the header's end: extensions, and eight zeros, the one that ends them.
    std::vector<std::byte> bytes(kHeaderLength + kExtension + 8);
    std::byte* const at = bytes.data();
    store_be(at, kMagic);
    store_be(at + 4, header.version);
    store_be(at + 20, header.cluster_bits);
    store_be(at + 24, header.size);
    store_be(at + 36, header.l1_size);
    store_be(at + 40, header.l1_table_offset);
    store_be(at + 48, header.refcount_table_offset);
    store_be(at + 56, header.refcount_table_clusters);
    store_be(at + 96, header.refcount_order);
    store_be(at + 100, kHeaderLength);
    if (header.encryption_header) {
        store_be(at + 32, kCryptLuks);
        store_be(at + kHeaderLength, kEncryptionHeaderExtension);
        store_be(at + kHeaderLength + 4, kExtension - 8);
        store_be(at + kHeaderLength + 8, header.encryption_header->offset);
        store_be(at + kHeaderLength + 16, header.encryption_header->length);
    }
    return bytes;
}

}  // namespace

Result<std::uint64_t> new_image_bytes(std::uint64_t size, bool encrypted) {
    const Header limits;
    const std::uint64_t l1_bytes = l1_entries_for(size, limits.cluster_bits, 8) * 8;
    if (l1_bytes > kMaxL1Bytes) {
        return failure(EFBIG, fmt::format("{} bytes are more than an image can have", size));
    }
    const Geometry geometry(limits);
    return geometry.start_of(kL1Table) + geometry.round_up(l1_bytes) +
           (encrypted ? geometry.round_up(kNewLuksArea) : 0);
}

Status write_new_image(ImageFile& file, std::uint64_t size, std::span<const std::byte> luks) {
    TRY(const std::uint64_t total, new_image_bytes(size, !luks.empty()));
    const Header header = header_for(size, !luks.empty());
    const Geometry geometry(header);
    std::vector<std::byte> table(8);
    store_be(table.data(), geometry.start_of(kRefcountBlock));
    CHECK(file.write_blocking(header.refcount_table_offset, table));
    std::vector<std::byte> block(geometry.cluster_size());
    for (std::uint64_t cluster = 0; cluster < geometry.cluster_of(total); ++cluster) {
        store_refcount(block.data(), header.refcount_order, cluster, 1);
    }
    CHECK(file.write_blocking(geometry.start_of(kRefcountBlock), block));
    if (header.encryption_header) {
        CHECK(file.write_blocking(header.encryption_header->offset, luks));
    }
    CHECK(file.flush_blocking());
    CHECK(file.write_blocking(0, bytes_of(header)));
    return file.flush_blocking();
}

}  // namespace lunkit::qcow

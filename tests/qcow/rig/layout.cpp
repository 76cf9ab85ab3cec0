// SPDX-License-Identifier: Apache-2.0
#include "rig/layout.hpp"

#include <cstring>

#include "lunkit/io_request.hpp"
#include "lunkit/try.hpp"
#include "rig/big_endian.hpp"

namespace lunkit::qcow_rig {

namespace {

constexpr std::uint32_t kMagic = 0x514649fb;
constexpr std::uint32_t kBitmapsExtension = 0x23852875;
constexpr std::uint32_t kLuksExtension = 0x0537be77;
constexpr std::size_t kShortHeader = 72;
constexpr std::size_t kLongHeader = 104;

void read_extensions(ImageView image, Layout& layout) {
    std::uint64_t at = layout.header_length;
    const std::uint64_t end = std::min<std::uint64_t>(image.size(), layout.cluster());
    while (ByteRange::fits(at, 8, end)) {
        const auto type = load_be<std::uint32_t>(&image[at]);
        const auto length = load_be<std::uint32_t>(&image[at + 4]);
        at += 8;
        if (type == 0 || !ByteRange::fits(at, length, end)) {
            return;
        }
        if (type == kBitmapsExtension && length >= 24) {
            layout.bitmaps = load_be<std::uint32_t>(&image[at]);
            layout.bitmap_directory = {load_be<std::uint64_t>(&image[at + 16]),
                                       load_be<std::uint64_t>(&image[at + 8])};
        } else if (type == kLuksExtension && length >= 16) {
            layout.luks_header = {load_be<std::uint64_t>(&image[at]),
                                  load_be<std::uint64_t>(&image[at + 8])};
        }
        at += (length + 7ULL) & ~7ULL;
    }
}

void read_long_header(ImageView image, Layout& layout) {
    layout.incompatible = load_be<std::uint64_t>(&image[72]);
    layout.autoclear = load_be<std::uint64_t>(&image[88]);
    layout.refcount_order = load_be<std::uint32_t>(&image[96]);
    layout.header_length = load_be<std::uint32_t>(&image[100]);
    layout.zstd = layout.header_length > kLongHeader && image[104] == std::byte{1};
}

Result<SnapshotEntry> read_snapshot(ImageView image, const Layout& layout, std::uint64_t& at) {
    constexpr std::uint64_t kFixed = 40;
    if (!ByteRange::fits(at, kFixed, image.size())) {
        return failure(EINVAL, "the snapshot table runs out of the file");
    }
    const std::byte* const entry = &image[at];
    SnapshotEntry snapshot;
    snapshot.l1 = {load_be<std::uint64_t>(entry), load_be<std::uint32_t>(entry + 8) * 8ULL};
    const std::uint64_t id = load_be<std::uint16_t>(entry + 12);
    const std::uint64_t name = load_be<std::uint16_t>(entry + 14);
    const std::uint64_t extra = load_be<std::uint32_t>(entry + 36);
    if (!ByteRange::fits(at, kFixed + extra + id + name, image.size())) {
        return failure(EINVAL, "a snapshot entry runs out of the file");
    }
    snapshot.disk_size = extra >= 16 ? load_be<std::uint64_t>(entry + kFixed + 8) : layout.size;
    const auto* const text = reinterpret_cast<const char*>(entry + kFixed + extra);
    snapshot.id.assign(text, id);
    snapshot.name.assign(text + id, name);
    at += (kFixed + extra + id + name + 7) & ~7ULL;
    return snapshot;
}

}  // namespace

Result<Layout> read_layout(ImageView image) {
    if (image.size() < kLongHeader || load_be<std::uint32_t>(image.data()) != kMagic) {
        return failure(EINVAL, "no qcow2 magic");
    }
    Layout layout;
    layout.version = load_be<std::uint32_t>(&image[4]);
    layout.backing_name = {load_be<std::uint64_t>(&image[8]), load_be<std::uint32_t>(&image[16])};
    layout.cluster_bits = load_be<std::uint32_t>(&image[20]);
    layout.size = load_be<std::uint64_t>(&image[24]) & ~std::uint64_t{kSector - 1};
    layout.crypt_method = load_be<std::uint32_t>(&image[32]);
    layout.l1 = {load_be<std::uint64_t>(&image[40]), load_be<std::uint32_t>(&image[36]) * 8ULL};
    if (layout.version < 2 || layout.version > 3 || layout.cluster_bits < 9 ||
        layout.cluster_bits > 21) {
        return failure(EINVAL, "version or cluster_bits out of range");
    }
    layout.refcount_table = {load_be<std::uint64_t>(&image[48]),
                             load_be<std::uint32_t>(&image[56]) * layout.cluster()};
    layout.snapshots = load_be<std::uint32_t>(&image[60]);
    layout.snapshots_offset = load_be<std::uint64_t>(&image[64]);
    layout.header_length = kShortHeader;
    if (layout.version == 3) {
        read_long_header(image, layout);
    }
    if (layout.refcount_order > 6) {
        return failure(EINVAL, "refcount_order out of range");
    }
    read_extensions(image, layout);
    return layout;
}

Result<SnapshotTable> read_snapshots(ImageView image, const Layout& layout) {
    SnapshotTable table;
    std::uint64_t at = layout.snapshots_offset;
    for (std::uint32_t i = 0; i < layout.snapshots; ++i) {
        TRY(SnapshotEntry entry, read_snapshot(image, layout, at));
        table.entries.push_back(std::move(entry));
    }
    table.length = at - layout.snapshots_offset;
    return table;
}

Place compressed_place(const Layout& layout, std::uint64_t entry) {
    const std::uint32_t offset_bits = 70 - layout.cluster_bits;
    const std::uint64_t low = entry & ~(kCopied | kCompressed);
    const std::uint64_t offset = low & ((1ULL << offset_bits) - 1);
    const std::uint64_t sectors = (low >> offset_bits) + 1;
    return {offset, sectors * kSector - (offset & (kSector - 1))};
}

std::uint64_t entry_at(ImageView image, std::uint64_t offset) {
    return ByteRange::fits(offset, 8, image.size()) ? load_be<std::uint64_t>(&image[offset]) : 0;
}

}  // namespace lunkit::qcow_rig

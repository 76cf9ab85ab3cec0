// SPDX-License-Identifier: Apache-2.0
#include "qcow/snapshot_table.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fmt/format.h>

#include "lunkit/io_request.hpp"
#include "lunkit/try.hpp"
#include "qcow/big_endian.hpp"

namespace lunkit::qcow {

namespace {

constexpr std::uint64_t kFixedBytes = 40;
constexpr std::uint32_t kMaxExtraBytes = 1024;
constexpr std::uint64_t kMaxEntryBytes =
    kFixedBytes + kMaxExtraBytes + 2 * std::uint64_t{65535} + 7;

std::string text_at(std::span<const std::byte> bytes, std::uint64_t at, std::uint64_t length) {
    std::string text(length, '\0');
    std::ranges::transform(bytes.subspan(at, length), text.begin(),
                           [](std::byte b) { return static_cast<char>(b); });
    return text;
}

Status check(const Snapshot& snapshot, const Header& header, std::uint64_t file_size) {
    const std::uint64_t bytes = snapshot.l1_size * std::uint64_t{8};
    const std::uint32_t entry_size = header.has(kExtendedL2) ? 16 : 8;
    if (bytes > kMaxL1Bytes || snapshot.l1_table_offset % header.cluster_size() != 0 ||
        (bytes != 0 && snapshot.l1_table_offset == 0) ||
        !ByteRange::fits(snapshot.l1_table_offset, bytes, file_size)) {
        return failure(EINVAL,
                       fmt::format("snapshot '{}': its L1 table is not valid", snapshot.id));
    }
    if (snapshot.disk_size > static_cast<std::uint64_t>(INT64_MAX) - header.cluster_size() ||
        snapshot.l1_size < l1_entries_for(snapshot.disk_size, header.cluster_bits, entry_size)) {
        return failure(EINVAL, fmt::format("snapshot '{}': its L1 table is too small for {} bytes",
                                           snapshot.id, snapshot.disk_size));
    }
    return {};
}

/// The entry at the start of `bytes`; `used` becomes its length.
Result<Snapshot> parse_entry(std::span<const std::byte> bytes, const Header& header,
                             std::uint64_t* used) {
    if (bytes.size() < kFixedBytes) {
        return failure(EINVAL, "the snapshot table ends within an entry");
    }
    const std::byte* at = bytes.data();
    Snapshot snapshot;
    snapshot.l1_table_offset = load_be<std::uint64_t>(at);
    snapshot.l1_size = load_be<std::uint32_t>(at + 8);
    const std::uint64_t id_length = load_be<std::uint16_t>(at + 12);
    const std::uint64_t name_length = load_be<std::uint16_t>(at + 14);
    const auto extra_length = load_be<std::uint32_t>(at + 36);
    if (extra_length > kMaxExtraBytes) {
        return failure(EINVAL, fmt::format("a snapshot has {} bytes of extra data; 1024 are the "
                                           "limit",
                                           extra_length));
    }
    const std::uint64_t length = kFixedBytes + extra_length + id_length + name_length;
    if (bytes.size() < length) {
        return failure(EINVAL, "the snapshot table ends within an entry");
    }
    constexpr std::uint32_t kWithDiskSize = 16;
    snapshot.disk_size =
        extra_length >= kWithDiskSize ? load_be<std::uint64_t>(at + kFixedBytes + 8) : header.size;
    snapshot.id = text_at(bytes, kFixedBytes + extra_length, id_length);
    snapshot.name = text_at(bytes, kFixedBytes + extra_length + id_length, name_length);
    *used = std::min<std::uint64_t>((length + 7) / 8 * 8, bytes.size());
    return snapshot;
}

/// The longest that the table of `header` may be: so much of the file is enough for parsing.
std::uint64_t most_bytes(const Header& header) {
    return std::min(header.nb_snapshots * kMaxEntryBytes, kMaxSnapshotTableBytes);
}

}  // namespace

Result<SnapshotTable> parse_snapshots(std::span<const std::byte> table, const Header& header,
                                      std::uint64_t file_size) {
    SnapshotTable result;
    for (std::uint32_t i = 0; i < header.nb_snapshots; ++i) {
        std::uint64_t used = 0;
        TRY(Snapshot snapshot, parse_entry(table.subspan(result.bytes), header, &used));
        CHECK(check(snapshot, header, file_size));
        result.snapshots.push_back(std::move(snapshot));
        result.bytes += used;
    }
    return result;
}

Result<SnapshotTable> read_snapshots(const ImageFile& file, const Header& header) {
    std::vector<std::byte> bytes(
        std::min(most_bytes(header), file.end() - header.snapshots_offset));
    CHECK(file.read_blocking(header.snapshots_offset, bytes));
    return parse_snapshots(bytes, header, file.end());
}

const Snapshot* find_snapshot(const SnapshotTable& table, std::string_view wanted) {
    for (auto field : {&Snapshot::id, &Snapshot::name}) {
        const auto found = std::ranges::find(table.snapshots, wanted, field);
        if (found != table.snapshots.end()) {
            return &*found;
        }
    }
    return nullptr;
}

}  // namespace lunkit::qcow

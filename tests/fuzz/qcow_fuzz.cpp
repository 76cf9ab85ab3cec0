// SPDX-License-Identifier: Apache-2.0
// Hostile image metadata: header with extensions, snapshot table, L2 entries. What a parser accepts
// must be within the limits that the rest of the handler builds upon.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "lunkit/io_request.hpp"
#include "qcow/big_endian.hpp"
#include "qcow/header.hpp"
#include "qcow/l2_entry.hpp"
#include "qcow/qcow1_header.hpp"
#include "qcow/snapshot_table.hpp"

namespace {

using namespace lunkit;        // NOLINT(google-build-using-namespace): one small program
using namespace lunkit::qcow;  // NOLINT(google-build-using-namespace): the same

void require(bool holds) {
    if (!holds) {
        std::abort();
    }
}

void check_header(const Header& header, std::uint64_t file_size) {
    require(header.cluster_bits >= kMinClusterBits && header.cluster_bits <= kMaxClusterBits);
    require(header.size <= static_cast<std::uint64_t>(INT64_MAX));
    require(header.l1_size <= kMaxL1Bytes / 8);
    require(header.l1_size == 0 ||
            ByteRange::fits(header.l1_table_offset, header.l1_size * std::uint64_t{8}, file_size));
    require(ByteRange::fits(header.refcount_table_offset,
                            header.refcount_table_clusters * header.cluster_size(), file_size));
    require(header.refcount_order <= 6);
#ifdef LUNKIT_FUZZ_PLANT
    require(!header.backing_file);  // a bug that the fuzzer must find
#endif
}

void check_entries(const Header& header, std::span<const std::byte> bytes,
                   std::uint64_t file_size) {
    const Geometry geometry(header);
    for (; bytes.size() >= 16; bytes = bytes.subspan(geometry.l2_entry_size())) {
        const L2Entry entry = load_entry(geometry, bytes.data());
        const Result<ClusterState> state = decode(geometry, entry, file_size);
        if (!state) {
            continue;
        }
        require((state->allocated & state->zeroed) == 0);
        require(state->compressed_length <= 2 * geometry.cluster_size());
        require(state->host_offset <= geometry.round_up(file_size) + geometry.cluster_size());
        if (state->type == ClusterState::Type::kStandard) {
            require(encode(geometry, *state) == entry);
        }
    }
}

/// Version 1: the header, then everything behind it as L2 entries.
void check_version_1(std::span<const std::byte> bytes, std::uint64_t file_size) {
    const Result<Qcow1Header> header = parse_qcow1_header(bytes, file_size);
    if (!header) {
        return;
    }
    require(header->cluster_bits >= kMinClusterBits && header->cluster_bits <= 16);
    require(header->l2_bits >= 6 && header->l2_bits <= 13);
    require(header->l1_size > 0 && header->l1_size <= kMaxL1Bytes / 8);
    require(ByteRange::fits(header->l1_table_offset, header->l1_size * 8, file_size));
    for (; bytes.size() >= 8; bytes = bytes.subspan(8)) {
        const Result<Qcow1Entry> entry =
            decode_qcow1(*header, load_be<std::uint64_t>(bytes.data()), file_size);
        if (entry) {
            require(entry->host_offset < file_size);
            require(entry->compressed_length <= header->cluster_size());
        }
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
    // Inputs are short; the file that they begin is not.
    const std::uint64_t file_size = std::max<std::uint64_t>(size, 64ULL << 20U);
    if (has_magic(bytes) && format_version(bytes) == 1) {
        check_version_1(bytes, file_size);
        return 0;
    }
    const Result<Header> header =
        parse_header(bytes.first(std::min<std::size_t>(size, kMaxClusterSize)), file_size);
    if (!header) {
        return 0;
    }
    check_header(*header, file_size);
    const std::span<const std::byte> rest = bytes.subspan(header->header_length);
    const Result<SnapshotTable> table = parse_snapshots(rest, *header, file_size);
    if (table) {
        require(table->snapshots.size() == header->nb_snapshots);
        require(table->bytes <= rest.size());
    }
    check_entries(*header, rest, file_size);
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
#include "qcow/l2_entry.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fmt/format.h>

#include "lunkit/try.hpp"
#include "qcow/big_endian.hpp"

namespace lunkit::qcow {

namespace {

constexpr std::uint64_t kCompressedFlag = 1ULL << 62U;
constexpr std::uint64_t kZeroFlag = 1;
constexpr std::uint64_t kSectorMask = 511;
constexpr std::uint64_t kMaxHostOffset = 1ULL << 56U;

Status check_host_range(const Geometry& geometry, std::uint64_t offset, std::uint64_t file_end) {
    if (offset >= geometry.round_up(file_end) + geometry.cluster_size()) {
        return corruption(fmt::format("an L2 entry points to {:#x}, beyond the file's {} bytes",
                                      offset, file_end));
    }
    return {};
}

Result<ClusterState> decode_compressed(const Geometry& geometry, L2Entry entry,
                                       std::uint64_t file_end) {
    if ((entry.word & kCopiedFlag) != 0 || entry.bitmap != 0) {
        return corruption("a compressed L2 entry has the COPIED flag or a subcluster bitmap");
    }
    const std::uint32_t offset_bits = 70 - geometry.cluster_bits;  // "x" of the specification
    if (geometry.data_file) {
        return corruption("a compressed L2 entry in an image with an external data file");
    }
    ClusterState state;
    state.type = ClusterState::Type::kCompressed;
    state.placed = true;
    state.host_offset = entry.word & ((1ULL << offset_bits) - 1);
    const std::uint64_t extra_sectors = (entry.word & (kCompressedFlag - 1)) >> offset_bits;
    state.compressed_length =
        static_cast<std::uint32_t>((extra_sectors + 1) * 512 - (state.host_offset & kSectorMask));
    if (state.host_offset >= kMaxHostOffset || state.host_offset < geometry.cluster_size()) {
        return corruption("a compressed L2 entry has an invalid offset");
    }
    CHECK(check_host_range(geometry, state.host_offset, file_end));
    if (state.host_offset + state.compressed_length >
        geometry.round_up(file_end) + geometry.cluster_size()) {
        return corruption("a compressed cluster ends beyond the file");
    }
    return state;
}

Status decode_bitmap(const Geometry& geometry, L2Entry entry, ClusterState& state) {
    if (!geometry.extended_l2) {
        const bool zero = (entry.word & kZeroFlag) != 0;
        state.zeroed = zero ? 1 : 0;
        state.allocated = (!zero && state.placed) ? 1 : 0;
        return {};
    }
    state.allocated = static_cast<std::uint32_t>(entry.bitmap);
    state.zeroed = static_cast<std::uint32_t>(entry.bitmap >> 32U);
    if ((state.allocated & state.zeroed) != 0) {
        return corruption("an L2 entry calls a subcluster both allocated and zero");
    }
    if (!state.placed && state.allocated != 0) {
        return corruption("an L2 entry has allocated subclusters and no cluster");
    }
    return {};
}

}  // namespace

std::unexpected<Error> corruption(std::string what) {
    return std::unexpected<Error>(
        Error{EIO, std::move(what), LUNKIT_NO_OFFSET, ErrorClass::kInternal});
}

Geometry::Geometry(const Header& header)
    : cluster_bits(header.cluster_bits),
      refcount_order(header.refcount_order),
      version(header.version),
      extended_l2(header.has(kExtendedL2)),
      data_file(header.has(kExternalDataFile)) {}

std::uint64_t Geometry::slice_size() const {
    constexpr std::uint64_t kSlice = 4096;
    return std::min(kSlice, cluster_size());
}

Kind ClusterState::kind_of(std::uint32_t subcluster) const {
    if (type == Type::kCompressed) {
        return Kind::kCompressed;
    }
    if ((zeroed >> subcluster & 1U) != 0) {
        return Kind::kZero;
    }
    return (allocated >> subcluster & 1U) != 0 ? Kind::kData : Kind::kUnallocated;
}

L2Entry load_entry(const Geometry& geometry, const std::byte* from) {
    return {load_be<std::uint64_t>(from),
            geometry.extended_l2 ? load_be<std::uint64_t>(from + 8) : 0};
}

void store_entry(const Geometry& geometry, std::byte* to, L2Entry entry) {
    store_be(to, entry.word);
    if (geometry.extended_l2) {
        store_be(to + 8, entry.bitmap);
    }
}

Result<ClusterState> decode(const Geometry& geometry, L2Entry entry, std::uint64_t file_end) {
    if ((entry.word & kCompressedFlag) != 0) {
        return decode_compressed(geometry, entry, file_end);
    }
    const bool has_zero_flag = geometry.can_zero() && !geometry.extended_l2;
    const std::uint64_t known = kOffsetMask | kCopiedFlag | (has_zero_flag ? kZeroFlag : 0);
    if ((entry.word & ~known) != 0) {
        return corruption(fmt::format("L2 entry {:#018x} has reserved bits set", entry.word));
    }
    ClusterState state;
    state.host_offset = entry.word & kOffsetMask;
    state.copied = (entry.word & kCopiedFlag) != 0;
    if (geometry.within_cluster(state.host_offset) != 0) {
        return corruption(
            fmt::format("L2 entry {:#018x} does not point to a cluster's start", entry.word));
    }
    // The first cluster of a data file is at 0.
    state.placed = state.host_offset != 0 || (geometry.data_file && state.copied);
    if (!state.placed && state.copied) {
        return corruption("an L2 entry has the COPIED flag and no cluster");
    }
    if (state.placed && !geometry.data_file) {
        CHECK(check_host_range(geometry, state.host_offset, file_end));
    }
    CHECK(decode_bitmap(geometry, entry, state));
    return state;
}

L2Entry encode(const Geometry& geometry, const ClusterState& state) {
    L2Entry entry;
    entry.word = state.host_offset | (state.copied ? kCopiedFlag : 0);
    if (geometry.extended_l2) {
        entry.bitmap = static_cast<std::uint64_t>(state.zeroed) << 32U | state.allocated;
    } else if (state.zeroed != 0) {
        entry.word |= kZeroFlag;
    }
    return entry;
}

}  // namespace lunkit::qcow

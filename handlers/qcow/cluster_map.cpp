// SPDX-License-Identifier: Apache-2.0
#include "qcow/cluster_map.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "lunkit/try.hpp"
#include "qcow/big_endian.hpp"

namespace lunkit::qcow {

ClusterMap::ClusterMap(ImageFile& file, const Geometry& geometry, const ClusterSet& metadata,
                       std::uint64_t cache_bytes)
    : file_(file),
      geometry_(geometry),
      metadata_(metadata),
      slices_(file, geometry.slice_size(), cache_bytes) {}

Status ClusterMap::open(std::uint64_t l1_offset, std::uint32_t l1_size) {
    std::vector<std::byte> bytes(l1_size * std::uint64_t{8});
    CHECK(file_.read_blocking(l1_offset, bytes));
    l1_offset_ = l1_offset;
    l1_.resize(l1_size);
    for (std::size_t i = 0; i < l1_.size(); ++i) {
        const auto entry = load_be<std::uint64_t>(bytes.data() + i * 8);
        l1_[i] = entry;
        const std::uint64_t table = entry & kOffsetMask;
        if ((entry & ~(kOffsetMask | kCopiedFlag)) != 0 || geometry_.within_cluster(table) != 0 ||
            (table == 0 && entry != 0)) {
            return corruption(fmt::format("L1 entry {} ({:#018x}) is not valid", i, entry));
        }
        if (table != 0 && table >= file_.end()) {
            return corruption(fmt::format("L1 entry {} points to {:#x}, beyond the file's {} bytes",
                                          i, table, file_.end()));
        }
    }
    return {};
}

Status ClusterMap::claim(ClusterSet& metadata) const {
    const std::uint64_t l1_clusters = geometry_.cluster_of(geometry_.round_up(l1_.size() * 8));
    for (std::uint64_t i = 0; i < l1_clusters; ++i) {
        if (!metadata.insert(geometry_.cluster_of(l1_offset_) + i)) {
            return corruption("the L1 table overlaps other metadata");
        }
    }
    for (std::size_t i = 0; i < l1_.size(); ++i) {
        const std::uint64_t table = table_at(i);
        if (table != 0 && !metadata.insert(geometry_.cluster_of(table))) {
            return corruption(
                fmt::format("L1 entry {} points to other metadata at {:#x}", i, table));
        }
    }
    return {};
}

bool ClusterMap::has_table(std::uint64_t guest_cluster) const {
    return table_at(guest_cluster / clusters_per_table()) != 0;
}

Task<Result<ClusterMap::Place>> ClusterMap::find(Queue& queue, std::uint64_t guest_cluster) {
    const std::uint64_t l1_index = guest_cluster / clusters_per_table();
    const std::uint64_t index = guest_cluster % clusters_per_table();
    const std::uint64_t index_in_slice = index % entries_per_slice();
    for (;;) {
        const std::uint64_t table = table_at(l1_index);
        if (table == 0) {
            co_return Place{nullptr, guest_cluster - index, clusters_per_table()};
        }
        const std::uint64_t offset = table + (index - index_in_slice) * geometry_.l2_entry_size();
        CO_TRY(Slice * slice, co_await slices_.load(queue, offset));
        // While it was loaded the table may have moved, and what was read be something else.
        if (table_at(l1_index) == table) {
            co_return Place{slice, guest_cluster - index_in_slice, entries_per_slice()};
        }
    }
}

Result<ClusterState> ClusterMap::state(const Place& place, std::uint64_t guest_cluster) const {
    if (place.slice == nullptr) {
        return ClusterState{};
    }
    TRY(ClusterState state,
        decode(geometry_, load_entry(geometry_, entry_at(place, guest_cluster)), file_.end()));
    CHECK(check_place(state, guest_cluster));
    if (state.host_offset < distrusted_data_ && !geometry_.data_file) {
        state.copied = false;
    }
    return state;
}

Status ClusterMap::check_place(const ClusterState& state, std::uint64_t guest_cluster) const {
    if (!state.placed) {
        return {};
    }
    if (geometry_.data_file) {
        if (state.host_offset != geometry_.start_of(guest_cluster)) {
            return corruption(
                fmt::format("the L2 entry of guest offset {:#x} points to {:#x} of "
                            "the external data file",
                            geometry_.start_of(guest_cluster), state.host_offset));
        }
        return {};
    }
    const std::uint64_t first = geometry_.cluster_of(state.host_offset);
    const std::uint64_t last =
        state.compressed_length == 0
            ? first
            : geometry_.cluster_of(state.host_offset + state.compressed_length - 1);
    for (std::uint64_t cluster = first; cluster <= last; ++cluster) {
        if (metadata_.contains(cluster)) {
            return corruption(fmt::format("an L2 entry points to metadata at {:#x}",
                                          geometry_.start_of(cluster)));
        }
    }
    return {};
}

Result<Mapping> ClusterMap::map_within(const Place& place, std::uint64_t offset,
                                       std::uint64_t length) const {
    const std::uint64_t sub_size = geometry_.subcluster_size();
    Mapping mapping;
    while (mapping.length < length) {
        const std::uint64_t at = offset + mapping.length;
        const std::uint64_t guest_cluster = geometry_.cluster_of(at);
        if (guest_cluster >= place.end()) {
            break;
        }
        TRY(const ClusterState found, state(place, guest_cluster));
        const std::uint64_t within = geometry_.within_cluster(at);
        const Kind kind = found.kind_of(static_cast<std::uint32_t>(within / sub_size));
        if (kind == Kind::kCompressed) {
            if (mapping.length == 0) {
                mapping = {.kind = kind,
                           .length = std::min(length, geometry_.cluster_size() - within),
                           .host_offset = found.host_offset,
                           .compressed_length = found.compressed_length};
            }
            break;
        }
        const std::uint64_t host = kind == Kind::kData ? found.host_offset + within : 0;
        const bool owned = kind == Kind::kData && found.copied;
        const bool reserved = kind == Kind::kZero && found.placed;
        if (mapping.length == 0) {
            mapping = {.kind = kind, .host_offset = host, .owned = owned, .reserved = reserved};
        } else if (kind != mapping.kind || owned != mapping.owned || reserved != mapping.reserved ||
                   (kind == Kind::kData && host != mapping.host_offset + mapping.length)) {
            break;
        }
        mapping.length += std::min(length - mapping.length, sub_size - at % sub_size);
    }
    mapping.committed = !place.slice->dirty && !place.slice->committing && !l1_waits();
    return mapping;
}

Task<Result<Mapping>> ClusterMap::map(Queue& queue, std::uint64_t offset, std::uint64_t length) {
    CO_TRY(const Place place, co_await find(queue, geometry_.cluster_of(offset)));
    if (place.slice == nullptr) {
        const std::uint64_t end = geometry_.start_of(place.end());
        co_return Mapping{.kind = Kind::kUnallocated, .length = std::min(length, end - offset)};
    }
    co_return map_within(place, offset, length);
}

void ClusterMap::set_state(const Place& place, std::uint64_t guest_cluster,
                           const ClusterState& state) {
    store_entry(geometry_, entry_at(place, guest_cluster), encode(geometry_, state));
    slices_.mark_dirty(*place.slice);
}

/// Copies an L2 table, or with `from` 0 makes one without entries. Nothing points to it yet.
Task<Status> ClusterMap::fill_table(Queue& queue, std::uint64_t from, std::uint64_t to) const {
    CO_TRY(const HostBuffer table, HostBuffer::allocate(file_.host(), geometry_.cluster_size()));
    if (from == 0) {
        std::memset(table.data(), 0, table.size());
    } else {
        CO_CHECK(co_await file_.read_exact(queue, from, table.span()));
    }
    co_return co_await file_.write_bytes(queue, to, table.span());
}

Task<Status> ClusterMap::make_writable(Queue& queue, std::uint64_t guest_cluster,
                                       Refcounts& refcounts, ClusterSet& metadata,
                                       UnlinkedClusters& unlinked) {
    const std::uint64_t l1_index = guest_cluster / clusters_per_table();
    const std::uint64_t old = table_at(l1_index);
    if ((l1_[l1_index] & kCopiedFlag) != 0 && old >= distrusted_tables_) {
        co_return Status{};
    }
    CO_TRY(const Refcounts::Run run, co_await refcounts.allocate(queue, 1, 1));
    const std::uint64_t cluster = geometry_.cluster_of(run.offset);
    co_await forget(queue, cluster);
    const Status filled = co_await fill_table(queue, old, run.offset);
    if (!filled) {
        (void)co_await refcounts.release(queue, cluster);  // if that fails too, it is a leak
        co_return filled;
    }
    metadata.insert(cluster);
    l1_[l1_index] = run.offset | kCopiedFlag;
    dirty_sectors_.insert(l1_index * 8 / kSector);
    if (old != 0) {
        unlinked.push_back({geometry_.cluster_of(old), false});
    }
    co_return Status{};
}

void ClusterMap::drop_table(std::uint64_t guest_cluster, UnlinkedClusters& unlinked) {
    const std::uint64_t l1_index = guest_cluster / clusters_per_table();
    unlinked.push_back({geometry_.cluster_of(table_at(l1_index)), false});
    l1_[l1_index] = 0;
    dirty_sectors_.insert(l1_index * 8 / kSector);
}

Task<void> ClusterMap::forget(Queue& queue, std::uint64_t host_cluster) {
    const ByteRange range{geometry_.start_of(host_cluster), geometry_.cluster_size()};
    co_await slices_.forget(queue, range);
}

PendingWrite ClusterMap::l1_sector(std::uint64_t sector) const {
    PendingWrite write{l1_offset_ + sector * kSector, std::vector<std::byte>(kSector)};
    const std::uint64_t first = sector * kSector / 8;
    for (std::uint64_t i = 0; i < kSector / 8 && first + i < l1_.size(); ++i) {
        store_be(write.bytes.data() + i * 8, l1_[first + i]);
    }
    return write;
}

PendingWrite ClusterMap::header_pointer() const {
    PendingWrite write{field::kL1, std::vector<std::byte>(12)};
    store_be(write.bytes.data(), static_cast<std::uint32_t>(l1_.size()));
    store_be(write.bytes.data() + 4, l1_offset_);
    return write;
}

Task<Status> ClusterMap::write_l1(Queue& queue, std::uint64_t offset, std::uint64_t entries) const {
    std::vector<std::byte> bytes(geometry_.round_up(entries * 8));
    for (std::size_t i = 0; i < l1_.size(); ++i) {
        store_be(bytes.data() + i * 8, l1_[i]);
    }
    co_return co_await file_.write_bytes(queue, offset, bytes);
}

void ClusterMap::adopt_l1(std::uint64_t offset, std::uint64_t entries) {
    l1_offset_ = offset;
    l1_.resize(entries, 0);
    dirty_sectors_.clear();
    moved_ = true;
}

ClusterMap::Batch ClusterMap::begin_commit() {
    Batch batch;
    batch.slices = slices_.begin_commit();
    for (const std::uint64_t sector : std::exchange(dirty_sectors_, {})) {
        batch.l1.push_back(l1_sector(sector));
    }
    batch.moved = std::exchange(moved_, false);
    if (batch.moved) {
        batch.l1.push_back(header_pointer());
    }
    l1_committing_ = !batch.l1.empty();
    return batch;
}

void ClusterMap::end_commit(const Batch& batch, bool written) {
    slices_.end_commit(batch.slices, written);
    l1_committing_ = false;
    if (written) {
        return;
    }
    moved_ = moved_ || batch.moved;
    for (const PendingWrite& write : batch.l1) {
        if (write.offset >= l1_offset_ && write.offset < l1_offset_ + l1_.size() * 8) {
            dirty_sectors_.insert((write.offset - l1_offset_) / kSector);
        }
    }
}

}  // namespace lunkit::qcow

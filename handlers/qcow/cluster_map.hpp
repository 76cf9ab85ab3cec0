// SPDX-License-Identifier: Apache-2.0
// ClusterMap: where the guest's bytes are: the L1 table, in memory as a whole, and L2 tables by
// slices (qcow2.rst "Cluster mapping").
//
// Lookups may run at any time, side by side. What changes the map (make_writable, then an entry) is
// done under the image's metadata mutex, by somebody who has the guest clusters locked; changes are
// in memory until a commit writes them (see commit.hpp).
#pragma once

#include <cstdint>
#include <set>
#include <vector>

#include "lunkit/queue.hpp"
#include "lunkit/result.hpp"
#include "lunkit/task.hpp"
#include "qcow/cluster_set.hpp"
#include "qcow/image_file.hpp"
#include "qcow/l2_entry.hpp"
#include "qcow/mapping.hpp"
#include "qcow/refcounts.hpp"
#include "qcow/slice_cache.hpp"
#include "qcow/unlinked.hpp"

namespace lunkit::qcow {

class ClusterMap {
  public:
    ClusterMap(ImageFile& file, const Geometry& geometry, const ClusterSet& metadata,
               std::uint64_t cache_bytes);

    /// Reads the L1 table (worker thread, blocks) and checks it.
    Status open(std::uint64_t l1_offset, std::uint32_t l1_size);
    /// Enters the L1 table and all L2 tables into `metadata`; an overlap is an error.
    Status claim(ClusterSet& metadata) const;

    /// The state at `offset`, for at most `length` bytes.
    Task<Result<Mapping>> map(Queue& queue, std::uint64_t offset, std::uint64_t length);

    /// A slice of an L2 table that covers a guest cluster; good until the next co_await.
    struct Place {
        Slice* slice = nullptr;  ///< nullptr: there is no L2 table
        std::uint64_t first =
            0;  ///< guest cluster of the slice's (without: the table's) first entry
        std::uint64_t count = 0;  ///< entries of the slice (without: of the table)
        [[nodiscard]] std::uint64_t end() const { return first + count; }
    };
    Task<Result<Place>> find(Queue& queue, std::uint64_t guest_cluster);
    [[nodiscard]] Result<ClusterState> state(const Place& place, std::uint64_t guest_cluster) const;

    // Under the metadata mutex.

    /// Makes the L2 table of `guest_cluster` exist and belong to this L1 table alone.
    Task<Status> make_writable(Queue& queue, std::uint64_t guest_cluster, Refcounts& refcounts,
                               ClusterSet& metadata, UnlinkedClusters& unlinked);
    [[nodiscard]] bool has_table(std::uint64_t guest_cluster) const;
    /// Replaces an entry of a writable table; `place` has a slice.
    void set_state(const Place& place, std::uint64_t guest_cluster, const ClusterState& state);
    /// Forgets the L2 table of `guest_cluster`, which has one.
    void drop_table(std::uint64_t guest_cluster, UnlinkedClusters& unlinked);
    /// Moves to a larger L1 table, at `offset` and written already by write_l1().
    void adopt_l1(std::uint64_t offset, std::uint64_t entries);
    Task<Status> write_l1(Queue& queue, std::uint64_t offset, std::uint64_t entries) const;

    /// As long as the refcounts of these clusters may be wrong, so may be COPIED flags: tables
    /// below `tables_end`, and data below `data_end`, count as shared with others. 0, 0: all are
    /// right.
    void distrust(std::uint64_t tables_end, std::uint64_t data_end) {
        distrusted_tables_ = tables_end;
        distrusted_data_ = data_end;
    }

    [[nodiscard]] const std::vector<std::uint64_t>& l1() const { return l1_; }
    [[nodiscard]] std::uint64_t l1_offset() const { return l1_offset_; }
    [[nodiscard]] std::uint64_t l1_size() const { return l1_.size(); }
    /// Guest clusters that one L2 table covers.
    [[nodiscard]] std::uint64_t clusters_per_table() const { return geometry_.l2_entries(); }

    struct Batch {
        std::vector<PendingWrite> slices;
        std::vector<PendingWrite> l1;
        bool moved = false;
    };
    [[nodiscard]] bool dirty() const {
        return slices_.dirty() > 0 || !dirty_sectors_.empty() || moved_;
    }
    [[nodiscard]] std::size_t dirty_slices() const { return slices_.dirty(); }
    [[nodiscard]] Batch begin_commit();
    void end_commit(const Batch& batch, bool written);
    /// The clusters have become free.
    Task<void> forget(Queue& queue, std::uint64_t host_cluster);

  private:
    static constexpr std::uint64_t kSector = 512;

    [[nodiscard]] std::uint64_t table_at(std::uint64_t l1_index) const {
        return l1_index < l1_.size() ? l1_[l1_index] & kOffsetMask : 0;
    }
    [[nodiscard]] std::uint64_t entries_per_slice() const {
        return slices_.slice_size() / geometry_.l2_entry_size();
    }
    [[nodiscard]] std::byte* entry_at(const Place& place, std::uint64_t guest_cluster) const {
        return place.slice->data() + (guest_cluster - place.first) * geometry_.l2_entry_size();
    }
    /// A host cluster is where one may be: not in metadata.
    [[nodiscard]] Status check_place(const ClusterState& state, std::uint64_t guest_cluster) const;
    [[nodiscard]] Result<Mapping> map_within(const Place& place, std::uint64_t offset,
                                             std::uint64_t length) const;
    Task<Status> fill_table(Queue& queue, std::uint64_t from, std::uint64_t to) const;
    /// L1 entries, or where they are, are newer here than in the file.
    [[nodiscard]] bool l1_waits() const {
        return !dirty_sectors_.empty() || moved_ || l1_committing_;
    }
    [[nodiscard]] PendingWrite l1_sector(std::uint64_t sector) const;
    [[nodiscard]] PendingWrite header_pointer() const;

    ImageFile& file_;
    const Geometry& geometry_;
    const ClusterSet& metadata_;
    SliceCache slices_;
    std::vector<std::uint64_t> l1_;
    std::uint64_t l1_offset_ = 0;
    bool moved_ = false;  // the header does not say so yet
    bool l1_committing_ = false;
    std::uint64_t distrusted_tables_ = 0;  // bytes of the file
    std::uint64_t distrusted_data_ = 0;
    std::set<std::uint64_t> dirty_sectors_;
};

}  // namespace lunkit::qcow

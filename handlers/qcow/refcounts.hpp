// SPDX-License-Identifier: Apache-2.0
// Refcounts: which host clusters are in use (qcow2.rst "Host cluster management").
//
// A table of pointers to refcount blocks, each one cluster of counters. The table is in memory as a
// whole, blocks by slices. A block that is absent stands for zeros.
//
// What happens here happens in memory, and in clusters that nothing in the file points to yet: new
// blocks and new tables are written at once, at a place that was free, so that they are complete
// before the pointer to them is. The pointers, and the counters of existing blocks, go to the file
// by a commit, in the order that commit.hpp tells.
//
// A file that grows at its end has a stock: clusters whose counts went up, durably, before anybody
// wanted them, and that read as zeros. A pointer to one of them needs no barrier of its own. Stock
// is ordered (counted in memory), then counted (in the file as well), and ready when a barrier has
// followed. A crash leaks what there is, which are holes of the file; close() gives it back.
//
// While the counts of an image with the dirty bit are counted anew, what was there before is
// frozen: all that is new, blocks and tables included, goes behind it (see image_repair.cpp).
//
// allocate(), release() and reserve() change counters across awaits: the caller holds the image's
// metadata mutex.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "lunkit/queue.hpp"
#include "lunkit/result.hpp"
#include "lunkit/task.hpp"
#include "qcow/census.hpp"
#include "qcow/cluster_set.hpp"
#include "qcow/image_file.hpp"
#include "qcow/l2_entry.hpp"
#include "qcow/slice_cache.hpp"
#include "qcow/unlinked.hpp"

namespace lunkit::qcow {

class Refcounts {
  public:
    /// All references outlive this. `metadata`: clusters that must never be handed out.
    Refcounts(ImageFile& file, const Geometry& geometry, ClusterSet& metadata,
              UnlinkedClusters& unlinked, std::uint64_t cache_bytes);

    /// Reads the table (blocks; worker thread) and enters it and its blocks into `metadata`.
    Status open(std::uint64_t table_offset, std::uint32_t table_clusters);

    struct Run {
        std::uint64_t offset = 0;    ///< in the file
        std::uint64_t clusters = 0;  ///< consecutive
        bool fresh = false;          ///< never written before: reads as zeros
        bool counted = false;        ///< fresh, and its counts are durable already
    };
    /// `least` to `wanted` clusters in a row, each with a count of 1 from now on.
    Task<Result<Run>> allocate(Queue& queue, std::uint64_t wanted, std::uint64_t least);
    /// 1 to `wanted` clusters for data: from the stock, if there is one.
    Task<Result<Run>> allocate_data(Queue& queue, std::uint64_t wanted);
    [[nodiscard]] bool has_stock() const { return !stock_.empty() || on_order_; }
    [[nodiscard]] bool has_ready_stock() const { return !stock_.empty(); }
    [[nodiscard]] bool has_counted_stock() const { return counted_.clusters != 0; }
    /// Nobody needs the stock any more; the counts go down. Gives where the file may end then.
    Result<std::uint64_t> return_stock_blocking();
    /// The same for any number in a row, also where a run spans many refcount blocks.
    Task<Result<Run>> reserve(Queue& queue, std::uint64_t clusters);
    /// Lowers the count of `cluster`; gives the new one.
    Task<Result<std::uint64_t>> release(Queue& queue, std::uint64_t cluster);
    Result<std::uint64_t> release_blocking(std::uint64_t cluster);
    Task<Result<std::uint64_t>> count(Queue& queue, std::uint64_t cluster);
    /// Counts that differ from a census, of the clusters that it has.
    struct Difference {
        std::uint64_t too_high = 0;
        std::uint64_t too_low = 0;
    };
    Task<Result<Difference>> compare(Queue& queue, const Census& census);
    /// The table and its blocks are counted too.
    Status count_own(Census& census) const;
    struct Adopted {
        std::uint64_t next = 0;   ///< cluster
        std::uint64_t wrong = 0;  ///< counts that were not what they are now
    };
    /// Makes the counts of `first` and some that follow what the census says.
    Task<Result<Adopted>> adopt(Queue& queue, const Census& census, std::uint64_t first);

    /// The counts of clusters below `end` may be wrong: nothing relies on them, nothing of that is
    /// handed out, and who wants to release one waits for thaw().
    void freeze(std::uint64_t end);
    void thaw();
    [[nodiscard]] bool is_frozen(std::uint64_t cluster) const { return cluster < frozen_; }

    struct Batch {
        std::vector<PendingWrite> counters;
        bool raised = false;                 ///< one has gone up; else no link waits for them
        std::vector<PendingWrite> pointers;  ///< to be written when `counters` are durable
        bool moved = false;                  ///< the header points to another table
        /// `counters` has those of new stock. The file must reach to its end: a pointer behind the
        /// end is an error of the image.
        std::optional<PendingWrite> stock;
    };
    [[nodiscard]] bool dirty() const {
        return slices_.dirty() > 0 || !dirty_sectors_.empty() || moved_;
    }
    [[nodiscard]] std::size_t dirty_slices() const { return slices_.dirty(); }
    [[nodiscard]] Batch begin_commit();
    void end_commit(const Batch& batch, bool written);

    /// Clusters in a row, behind everything that was ever written.
    struct Stock {
        std::uint64_t first = 0;
        std::uint64_t clusters = 0;
    };
    /// There is no room for what was ordered; under the metadata mutex.
    Task<void> cancel_order(Queue& queue);
    /// Around a barrier: what is counted before it is ready behind it.
    [[nodiscard]] Stock begin_barrier() { return std::exchange(counted_, {}); }
    void end_barrier(Stock stock, bool durable);

  private:
    static constexpr std::uint64_t kSector = 512;

    /// Where a big new area begins and what it consists of, in clusters: payload, table, blocks.
    struct Layout {
        std::uint64_t start;
        std::uint64_t payload;
        std::uint64_t table;
        std::uint64_t blocks;
        [[nodiscard]] std::uint64_t total() const { return payload + table + blocks; }
        [[nodiscard]] std::uint64_t end() const { return start + total(); }
    };
    /// What a search has found so far.
    struct Search {
        std::uint64_t wanted;
        std::uint64_t least;
        std::uint64_t cluster;  // next to look at
        std::uint64_t start = 0;
        std::uint64_t length = 0;
        bool done = false;
        void restart() { length = 0; }
    };

    Task<Status> order_stock(Queue& queue);

    [[nodiscard]] std::uint64_t block_index(std::uint64_t cluster) const {
        return cluster >> geometry_.refcount_block_bits();
    }
    [[nodiscard]] std::uint64_t first_of_block(std::uint64_t index) const {
        return index << geometry_.refcount_block_bits();
    }
    [[nodiscard]] std::uint64_t counters_per_slice() const {
        return slices_.slice_size() * 8 >> geometry_.refcount_order;
    }
    /// Place in the file of the slice with the counter of `cluster`; its block is there.
    [[nodiscard]] std::uint64_t slice_of(std::uint64_t cluster) const;
    [[nodiscard]] std::uint64_t index_in_slice(std::uint64_t cluster) const {
        return cluster & (counters_per_slice() - 1);
    }
    [[nodiscard]] bool has_block(std::uint64_t cluster) const {
        return block_index(cluster) < table_.size() && table_[block_index(cluster)] != 0;
    }

    void scan(const Slice& slice, Search& search) const;
    Task<Status> describe(Queue& queue, std::uint64_t cluster);
    Task<Status> describe_frozen(Queue& queue, std::uint64_t cluster);
    Task<Status> add_block(Queue& queue, std::uint64_t index, std::uint64_t cluster);
    Task<Result<std::uint64_t>> append(Queue& queue, std::uint64_t payload, bool grow_table);
    [[nodiscard]] Result<Layout> lay_out(std::uint64_t payload, bool grow_table) const;
    Task<Status> write_blocks(Queue& queue, Layout layout);
    Task<Status> write_table(Queue& queue, std::uint64_t offset,
                             std::vector<std::uint64_t> entries);
    Status check_usable(std::uint64_t first, std::uint64_t clusters) const;
    Task<Status> take(Queue& queue, std::uint64_t first, std::uint64_t clusters);
    [[nodiscard]] Run run_at(std::uint64_t first, std::uint64_t clusters);
    Result<std::uint64_t> lower(Slice& slice, std::uint64_t cluster);
    void set_count(Slice& slice, std::uint64_t cluster, std::uint64_t count);
    Status check_counted(std::uint64_t cluster) const;
    void set_table_entry(std::uint64_t index, std::uint64_t block_offset);
    [[nodiscard]] PendingWrite table_sector(std::uint64_t sector) const;
    [[nodiscard]] PendingWrite header_pointer() const;

    ImageFile& file_;
    const Geometry& geometry_;
    ClusterSet& metadata_;
    UnlinkedClusters& unlinked_;
    SliceCache slices_;
    std::vector<std::uint64_t> table_;  // offsets of blocks; 0: absent
    std::uint64_t table_offset_ = 0;
    bool raised_ = false;                    // a counter, since the last commit
    bool moved_ = false;                     // the header does not say so yet
    std::set<std::uint64_t> dirty_sectors_;  // of the table
    std::deque<Stock> stock_;                // ready to be handed out
    Stock ordered_;                          // until a commit has written its counts
    Stock counted_;                          // until a barrier has followed that
    bool on_order_ = false;                  // from order_stock() until it is ready
    std::uint64_t stock_bytes_;              // to be ordered next
    std::uint64_t hint_ = 1;                 // no cluster below is free
    std::uint64_t fresh_from_ = 0;           // nothing at or behind this cluster was ever written
    std::uint64_t limit_ = 0;                // clusters that the file can have
    std::uint64_t frozen_ = 0;               // clusters from 0 on; see freeze()
};

}  // namespace lunkit::qcow

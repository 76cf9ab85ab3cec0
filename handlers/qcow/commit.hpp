// SPDX-License-Identifier: Apache-2.0
// Commit: how changes of metadata reach the file, so that a crash at any instant leaves an image
// that is consistent (clusters may have leaked, nothing else).
//
// What the format needs (R: a rule; "before" means: durable before the other is written):
//   R1  a cluster's count goes up       before  any pointer to the cluster
//   R2  data, and what was copied       before  the L2 entry that shows it
//   R3  a new table's contents          before  the pointer to the table
//   R4  a pointer's removal             before  the count goes down
//   R5  a pointer's removal             before  the cluster is used for something else
//   R6  a new refcount block            before  the refcount table's entry; that before R1's
//   pointers R7  a new refcount table            before  the header's pointer to it; that before
//   the same R8  a new L1 table                  before  the header's pointer to it
//
// All changes of a moment are copied and written together, whatever their number:
//   1. counters (only those that went up, or down for a removal that is durable already; where none
//      went up, they are written with 3); data and new tables have been written by those who made
//      them
//      barrier (a flush of the file), unless every new link is to a cluster of the stock (see
//      refcounts.hpp) and in the place of zeros: R1 holds already, and R2 has nothing to order.
//      New stock has its barrier behind the commit, beside the next ones
//   2. pointers to refcount blocks, the header's to the refcount table   - seldom
//      barrier
//   3. L2 entries, L1 entries, the header's pointer to the L1 table
//      barrier                                   - only if durability is asked for
// Clusters that lost a pointer in step 3 wait in quarantine until some barrier has followed it;
// then their counts go down in memory, and they may be used again. So R4 and R5 cost no barrier.
//
// Commits run one at a time; whoever asks while one runs shares the next. That one's first barrier
// begins before those whom the last one served are told: what they do next runs beside it. Nor does
// it begin for a few while most writers are still at their data: it would only delay theirs.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "lunkit/handler.h"
#include "lunkit/queue.hpp"
#include "lunkit/range_lock.hpp"
#include "lunkit/result.hpp"
#include "lunkit/task.hpp"
#include "qcow/cluster_map.hpp"
#include "qcow/cluster_set.hpp"
#include "qcow/frozen_clusters.hpp"
#include "qcow/image_file.hpp"
#include "qcow/refcounts.hpp"
#include "qcow/unlinked.hpp"

namespace lunkit::qcow {

/// What a commit works on; owned by the image.
struct Metadata {
    Metadata(ImageFile& file, const Geometry& image_geometry, std::uint64_t cache_bytes);

    const Geometry& geometry;
    ClusterSet clusters;        ///< known to be metadata
    UnlinkedClusters unlinked;  ///< since the last commit
    bool ordered = false;       ///< links since then need what was written before to be durable
    Refcounts refcounts;
    ClusterMap map;
    AsyncMutex mutex;  ///< held by those who change the above across awaits
};

class Commit {
  public:
    /// `data_file`: an external one, or nullptr; barriers cover both.
    Commit(ImageFile& file, ImageFile* data_file, Metadata& metadata)
        : file_(file), data_file_(data_file), metadata_(metadata) {}

    enum class Until : std::uint8_t {
        kLinked,   ///< what changed before the call is written; the file system may still lose it
        kDurable,  ///< everything that completed before the call is durable
    };
    /// Held by a writer between its locks and its run(); it waits for no commit meanwhile.
    class Preparing {
      public:
        explicit Preparing(Commit& commit) : commit_(commit) { ++commit_.preparing_; }
        Preparing(const Preparing&) = delete;
        Preparing& operator=(const Preparing&) = delete;
        Preparing(Preparing&&) = delete;
        Preparing& operator=(Preparing&&) = delete;
        ~Preparing() {
            --commit_.preparing_;
            commit_.begin_if_enough();
        }

      private:
        Commit& commit_;
    };

    /// The caller does not hold the metadata mutex.
    Task<Status> run(Queue& queue, Until until);
    /// Returns when no barrier of new stock is under way.
    Task<void> wait_for_stock(Queue& queue);

    /// All changes so far are durable: what an L2 entry says now is in the file.
    [[nodiscard]] bool is_clean() const;
    /// So much is waiting that whoever adds to it should commit.
    [[nodiscard]] bool is_due() const;
    /// Clusters may be free after a commit until kDurable.
    [[nodiscard]] bool has_quarantined() const;

    /// For close(), after the last request: the same, without a queue.
    Status run_blocking();

    /// After Refcounts::thaw(): some of the clusters that waited for it are released by the next
    /// commit, few enough for one. False: there are none.
    bool thaw_some();

  private:
    struct Batch {
        Refcounts::Batch counts;
        ClusterMap::Batch links;
        UnlinkedClusters unlinked;
        bool ordered;
        /// Counters and data must be durable before the links; so must new tables.
        [[nodiscard]] bool wants_barrier() const {
            return ordered || !counts.pointers.empty() || !links.l1.empty();
        }
        [[nodiscard]] bool has_links() const { return !links.slices.empty() || !links.l1.empty(); }
    };
    /// Somebody who asked while a commit ran.
    struct Waiting {
        std::uint64_t ticket;
        Until until;
        Queue* queue;
        lunkit_completion* completion;
    };
    [[nodiscard]] bool covers(std::uint64_t ticket, Until until) const {
        return ticket <= (until == Until::kDurable ? durable_ : linked_);
    }
    void pass_on();
    [[nodiscard]] bool has_enough() const;
    void begin_if_enough();
    [[nodiscard]] Batch begin();
    void end(Batch& batch, bool written);
    Task<Status> run_next(Queue& queue, std::uint64_t ticket, Until until);
    Task<Status> lead(Queue& queue, Until until);
    Task<Status> write_counts(Queue& queue, Batch& batch);
    Task<Status> write_raised(Queue& queue, Batch& batch);
    Task<bool> extend_for_stock(Queue& queue, const PendingWrite& end);
    Task<Status> write_links(Queue& queue, const Batch& batch, Until until);
    Task<Status> flush(Queue& queue);
    Task<Status> barrier(Queue& queue);
    Task<void> make_stock_ready(Queue& queue);
    [[nodiscard]] Status barrier_blocking() const;
    Task<Status> release(Queue& queue);
    [[nodiscard]] UnlinkedClusters take_releasable();
    Task<void> punch(Queue& queue, const UnlinkedClusters& released);
    Status write_blocking(const Batch& batch);
    Status release_blocking();

    ImageFile& file_;
    ImageFile* const data_file_;
    Metadata& metadata_;
    bool led_ = false;              // somebody leads a commit, or is about to
    std::vector<Waiting> waiting_;  // in the order of their tickets
    std::vector<Waiting> told_;     // pass_on()'s own; it keeps its memory
    std::size_t preparing_ = 0;
    std::optional<Waiting> gathers_;  // the one who leads, until enough have come
    RangeLock stock_barrier_;         // held exclusively during one
    std::uint64_t asked_ = 0;         // number of the latest call
    std::uint64_t linked_ = 0;        // calls up to this one are done, if they wanted kLinked
    std::uint64_t durable_ = 0;       // the same for kDurable
    // Links have been written since the last barrier; before the first, by a process that was
    // killed perhaps.
    bool unsynced_ = true;
    bool running_ = false;         // a batch is on its way
    std::uint64_t under_way_ = 0;  // calls of run()
    bool can_punch_ = true;
    UnlinkedClusters written_;     // removal written, no barrier begun since
    UnlinkedClusters releasable_;  // removal durable
    FrozenClusters frozen_;        // the same, but their counts may be wrong yet
};

}  // namespace lunkit::qcow

// SPDX-License-Identifier: Apache-2.0
// Image: a qcow2 image, read and written on one queue.
//
// Locks, in the order in which they are taken:
//   the guest range   reads, and writes to places that belong to the image alone: shared. What
//                     moves or drops a host cluster (allocation, copy on write, discard, zeroing):
//                     exclusive, in whole clusters. So nobody is still reading or writing a host
//                     cluster that loses its pointer.
//   metadata.mutex    counters, tables and entries, across awaits; never across data I/O, a barrier
//                     or a commit.
// A commit takes neither while it writes, so requests go on.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lunkit/block_device.hpp"
#include "lunkit/host_buffer.hpp"
#include "lunkit/io_request.hpp"
#include "lunkit/queue.hpp"
#include "lunkit/range_lock.hpp"
#include "lunkit/result.hpp"
#include "lunkit/task.hpp"
#include "qcow/background.hpp"
#include "qcow/census.hpp"
#include "qcow/commit.hpp"
#include "qcow/disk.hpp"
#include "qcow/guest_data.hpp"
#include "qcow/header.hpp"
#include "qcow/image_file.hpp"
#include "qcow/l2_entry.hpp"
#include "qcow/sector_cipher.hpp"
#include "qcow/snapshot_table.hpp"
#include "qcow/source.hpp"

namespace lunkit::qcow {

class Image final : public Disk {
  public:
    struct Options {
        bool read_only = false;
        std::string snapshot;  ///< id or name of an internal snapshot; read_only
        std::uint64_t cache_bytes = 32ULL << 20U;
        bool lazy = false;    ///< changed metadata may wait in memory for a flush
        bool counts = false;  ///< verify() is called: needs refcounts, read_only or not
    };
    /// What else an image consists of, as its header names it.
    struct Parts {
        std::unique_ptr<Source> backing;     ///< or nullptr
        std::optional<ImageFile> data_file;  ///< there when the header has one; open as the image
        /// Of an encrypted image. Without: its metadata can be looked at, its data is ENOKEY.
        std::unique_ptr<SectorCipher> cipher;
    };

    /// Worker thread; blocks; reads only. `file` is open for writing unless options.read_only.
    static Result<std::unique_ptr<Image>> open(ImageFile file, Header header, Options options,
                                               Parts parts);
    /// Worker thread, after the last request; blocks. Commits what a flush has not.
    ~Image() override;
    Image(const Image&) = delete;
    Image& operator=(const Image&) = delete;
    Image(Image&&) = delete;
    Image& operator=(Image&&) = delete;

    [[nodiscard]] std::uint64_t size() const override { return size_.load(); }
    [[nodiscard]] bool read_only() const override { return options_.read_only; }
    [[nodiscard]] Status check_writable() const override;
    [[nodiscard]] bool can_clear() const override {
        return geometry_.can_zero() || backing_ == nullptr;
    }

    Task<Status> read(Queue& queue, const IoRequest& io) override;
    Task<Status> write(Queue& queue, const IoRequest& io, bool durable) override;
    Task<Status> clear(Queue& queue, ByteRange range, Space space, bool durable) override;
    Task<Status> write_zeros(Queue& queue, ByteRange range, bool durable) override;
    Task<Status> flush(Queue& queue) override;
    /// Options::counts.
    Task<Result<Verdict>> verify(Queue& queue, bool repair) override;
    Task<Status> grow(Queue& queue, std::uint64_t size) override;
    Task<Status> shrink(Queue& queue, std::uint64_t size) override;

  private:
    /// Consecutive guest clusters and the host clusters they are about to get.
    struct Target {
        std::uint64_t guest_cluster = 0;
        Refcounts::Run run;
        bool own = false;  // the guest cluster's already, by its entry or as in every data file
        bool copy_whole_first = false;  // the old cluster goes: all of it must be copied
        bool copy_whole_last = false;
    };
    /// The part of a request that goes to a Target, with what surrounds it.
    struct Copy {
        std::uint64_t begin = 0;  // guest bytes, from and to which the host clusters are filled
        std::uint64_t end = 0;
        HostBuffer head;  // before the request's data; empty: nothing
        HostBuffer tail;
    };

    Image(ImageFile file, Header header, Options options, Parts parts);
    Status load();
    Status load_snapshots();
    /// Nobody else's data or table is in these clusters: they are known to be metadata.
    bool claim(std::uint64_t offset, std::uint64_t length);

    // image_repair.cpp
    /// An image with the dirty bit while its clusters are counted.
    struct Repair {
        Census census;
        std::vector<std::uint64_t> l1;  // as it was before our first change
        bool counted = false;           // the census is complete
        bool adopted = false;           // the counts are right, in the file and here
        std::uint64_t wrong = 0;        // counts that were not
    };
    Status begin_repair();
    Task<Status> repair(Queue& queue);
    Detached repair_behind(lunkit_queue* handle);
    Task<Status> mend(Queue& queue);
    void freeze(std::uint64_t end);
    Task<Status> wait_for_census(Queue& queue);
    Task<Status> make_room_behind_used(Queue& queue);
    Task<Status> release_frozen(Queue& queue);
    Task<Status> adopt(Queue& queue, const Census& census, std::uint64_t first,
                       std::uint64_t& wrong);
    /// A flush has failed, and so will all others.
    [[nodiscard]] bool has_lost() const {
        return file_.has_lost() || (data_file_ && data_file_->has_lost());
    }
    void log_repair(int level, std::string_view text) const;
    Task<Status> clear_dirty_bit(Queue& queue);
    Status give_up(const Error& error);
    Status count_own(Census& census) const;
    Task<Status> count_tables(Queue& queue, Census& census, std::span<const std::uint64_t> l1);

    /// Before the first change of the file.
    Task<Status> prepare(Queue& queue);
    Task<Status> clear_autoclear_features(Queue& queue);
    Task<Result<bool>> mark_bitmaps(Queue& queue);
    /// Every result of an operation passes here: damage that was found is remembered in the header.
    Task<Status> settle(Queue& queue, Status status);
    /// `cleared`: bits that go; here too, once they have gone from the file.
    Task<Status> write_features(Queue& queue, std::uint64_t cleared = 0);
    /// `uncommitted`: entries that this request depends upon are not in the file.
    Task<Status> finish_change(Queue& queue, bool durable, bool uncommitted);
    [[nodiscard]] ByteRange lock_range(ByteRange range) const;

    Task<Result<Mapping>> map(Queue& queue, std::uint64_t offset, std::uint64_t length) override {
        return metadata_.map.map(queue, offset, length);
    }
    /// Whole clusters have an entry, also where the disk ends within the last.
    [[nodiscard]] std::uint64_t mapped_end() const override { return geometry_.round_up(size()); }
    Task<Status> read_data(Queue& queue, std::uint64_t host_offset, const lunkit_data& data,
                           std::uint64_t data_offset, std::uint64_t length) override {
        return data_.read(queue, host_offset, data, data_offset, length);
    }

    // image_write.cpp; what is called *_locked has the range exclusively
    /// How far a request was written in place, and what of that holds already.
    struct InPlace {
        std::uint64_t done = 0;
        bool durable = true;
        bool committed = true;  // the entries that lead to it are in the file
    };
    Task<Result<InPlace>> write_in_place(Queue& queue, const IoRequest& io, bool durable);
    Task<Status> write_locked(Queue& queue, const IoRequest& io);
    Task<Result<std::uint64_t>> write_new(Queue& queue, const IoRequest& io);
    Task<Result<std::uint64_t>> try_write_new(Queue& queue, const IoRequest& io);
    Task<Result<Target>> choose_target(Queue& queue, ByteRange range);
    Task<Result<Copy>> read_surroundings(Queue& queue, Target target, ByteRange data);
    Task<Result<HostBuffer>> read_piece(Queue& queue, ByteRange range, bool skip_zeros);
    Task<Result<bool>> reads_as_zeros(Queue& queue, ByteRange range);
    Task<Status> write_copy(Queue& queue, Target target, const Copy& copy, const IoRequest& io);
    [[nodiscard]] bool is_zeros(const ClusterState& state, std::uint64_t guest_cluster) const;
    Task<Status> link(Queue& queue, Target target, ByteRange filled);
    Task<void> give_back(Queue& queue, Target target);
    void unlink(const ClusterState& old, bool punch, UnlinkedClusters& to) const;

    // image_clear.cpp
    Task<Status> clear_locked(Queue& queue, ByteRange range, Space space, std::uint64_t disk_end);
    Task<Status> clear_clusters(Queue& queue, std::uint64_t first, std::uint64_t end, Space space);
    Task<Status> clear_raw_data(Queue& queue, ByteRange range, Space space);
    Task<void> discard_data(Queue& queue, ByteRange range);
    Task<Result<std::uint64_t>> clear_slice(Queue& queue, std::uint64_t first, std::uint64_t end,
                                            Space space);
    [[nodiscard]] ClusterState cleared(const ClusterState& old, std::uint64_t guest_cluster,
                                       Space space) const;
    Task<Status> clear_part(Queue& queue, ByteRange range);

    // image_resize.cpp
    [[nodiscard]] Status check_resizable() const;
    Task<Status> write_size(Queue& queue, std::uint64_t size);
    Task<Status> make_room(Queue& queue, std::uint64_t size, std::uint64_t l1_entries);
    Task<Status> grow_l1(Queue& queue, std::uint64_t entries);
    Task<Status> drop(Queue& queue, ByteRange range);
    Task<Status> drop_clusters(Queue& queue, std::uint64_t first, std::uint64_t end);
    Task<Result<bool>> drop_table(Queue& queue, std::uint64_t first, std::uint64_t end);

    /// Where host clusters of data are.
    [[nodiscard]] ImageFile& data_file() { return data_file_ ? *data_file_ : file_; }

    std::optional<ImageFile> data_file_;
    Header header_;
    Geometry geometry_;
    Options options_;
    GuestData data_;  // the only way to what host clusters of data hold
    std::atomic<std::uint64_t> size_{0};
    Metadata metadata_;
    Commit commit_;
    RangeLock ranges_;
    AsyncMutex prepare_mutex_;
    AsyncMutex resize_mutex_;
    AsyncMutex features_mutex_;  // of incompatible_features in the file
    bool prepared_ = false;
    std::unique_ptr<Repair> repair_;
    bool waits_for_census_ = false;  // what needs room does
    RangeLock counting_;             // held exclusively while the census is taken
    bool unrepairable_ = false;
    SnapshotTable snapshots_;
    bool corrupt_ = false;
    Background background_{ranges_};
};

}  // namespace lunkit::qcow

// SPDX-License-Identifier: Apache-2.0
// Image: another size of the disk. The order (R8, R10):
//   growing    a larger L1 table if it takes one; what lies behind the old end made to read as
//              zeros; all of that durable; then the size in the header;
//   shrinking  the size in the header, durably; then what lies behind loses its tables and entries,
//              and its clusters become free as all others do: when that is durable.
// A crash leaves the old disk with all its data, or the new one. One between the size and the
// removals leaves clusters behind the end that nobody sees, with their counts: no leak to qemu-img
// check. The next growing frees them; until then they take space.
#include <algorithm>
#include <cerrno>
#include <vector>

#include <fmt/format.h>

#include "lunkit/try.hpp"
#include "qcow/big_endian.hpp"
#include "qcow/image.hpp"

namespace lunkit::qcow {

Status Image::check_resizable() const {
    if (options_.read_only) {
        return failure(EROFS, file_.path() + " is served read-only");
    }
    if (geometry_.version < 3 && (header_.nb_snapshots > 0 || backing_ != nullptr)) {
        return failure(EOPNOTSUPP, file_.path() +
                                       ": the disk of an image of version 2 with snapshots or a "
                                       "backing file cannot be resized");
    }
    return {};
}

/// Durably. When it fails, the file has the old size again, as far as it can be written.
Task<Status> Image::write_size(Queue& queue, std::uint64_t size) {
    std::vector<std::byte> bytes(8);
    store_be(bytes.data(), size);
    Status written = co_await file_.write_bytes(queue, field::kSize, bytes);
    if (written) {
        written = co_await file_.flush(queue);
    }
    if (!written) {
        store_be(bytes.data(), header_.size);
        (void)co_await file_.write_bytes(queue, field::kSize, bytes);
        co_return written;
    }
    header_.size = size;
    size_ = size;
    co_return Status{};
}

Task<Status> Image::grow(Queue& queue, std::uint64_t size) {
    AsyncMutex::Guard guard(resize_mutex_);
    co_await guard.acquire(queue);
    if (size == size_.load()) {
        co_return Status{};
    }
    CO_CHECK(check_resizable());
    const std::uint64_t entries =
        l1_entries_for(size, geometry_.cluster_bits, geometry_.l2_entry_size());
    if (entries * 8 > kMaxL1Bytes || size > static_cast<std::uint64_t>(INT64_MAX) / 2) {
        co_return failure(EFBIG, fmt::format("{}: {} bytes are more than the format allows with "
                                             "clusters of {}",
                                             file_.path(), size, geometry_.cluster_size()));
    }
    CO_CHECK(co_await prepare(queue));
    CO_CHECK(co_await wait_for_census(queue));
    Status made = co_await make_room(queue, size, entries);
    if (made) {
        made = co_await write_size(queue, size);
    }
    co_return co_await settle(queue, std::move(made));
}

/// For a disk of `size`: all that comes before the size, durably.
Task<Status> Image::make_room(Queue& queue, std::uint64_t size, std::uint64_t l1_entries) {
    if (l1_entries > metadata_.map.l1_size()) {
        CO_CHECK(co_await grow_l1(queue, l1_entries));
    }
    // Behind the old end there may be remains in the last cluster, clusters of a disk that was
    // larger once, and a longer backing file.
    {
        const std::uint64_t old_size = size_.load();
        const ByteRange range{old_size, size - old_size};
        RangeLock::Guard lock(ranges_, lock_range(range), RangeLock::Mode::kExclusive);
        co_await lock.acquire(queue);
        CO_CHECK(co_await clear_locked(queue, range, Space::kRelease, size));
    }
    if (header_.raw_data_file() && data_file().end() < size) {
        CO_CHECK(co_await data_file().resize(queue, size));
    }
    co_return co_await commit_.run(queue, Commit::Until::kDurable);
}

Task<Status> Image::grow_l1(Queue& queue, std::uint64_t entries) {
    AsyncMutex::Guard guard(metadata_.mutex);
    co_await guard.acquire(queue);
    const std::uint64_t clusters = geometry_.cluster_of(geometry_.round_up(entries * 8));
    CO_TRY(const Refcounts::Run run, co_await metadata_.refcounts.reserve(queue, clusters));
    const std::uint64_t first = geometry_.cluster_of(run.offset);
    const Status written = co_await metadata_.map.write_l1(queue, run.offset, entries);
    if (!written) {
        for (std::uint64_t i = 0; i < clusters; ++i) {
            (void)co_await metadata_.refcounts.release(queue, first + i);  // else it leaks, no more
        }
        co_return written;
    }
    const std::uint64_t old_first = geometry_.cluster_of(metadata_.map.l1_offset());
    const std::uint64_t old_clusters =
        geometry_.cluster_of(geometry_.round_up(metadata_.map.l1_size() * 8));
    for (std::uint64_t i = 0; i < old_clusters; ++i) {
        metadata_.unlinked.push_back({old_first + i, false});
    }
    for (std::uint64_t i = 0; i < clusters; ++i) {
        metadata_.clusters.insert(first + i);
    }
    metadata_.map.adopt_l1(run.offset, entries);
    co_return Status{};
}

Task<Status> Image::shrink(Queue& queue, std::uint64_t size) {
    AsyncMutex::Guard guard(resize_mutex_);
    co_await guard.acquire(queue);
    const std::uint64_t old_size = size_.load();
    if (size >= old_size) {
        co_return failure(EINVAL, fmt::format("{}: {} bytes are no smaller disk than {}",
                                              file_.path(), size, old_size));
    }
    CO_CHECK(check_resizable());
    CO_CHECK(co_await prepare(queue));
    CO_CHECK(co_await wait_for_census(queue));
    CO_CHECK(co_await write_size(queue, size));
    const std::uint64_t begin = geometry_.round_up(size);
    Status dropped;
    if (begin < geometry_.round_up(old_size)) {
        dropped = co_await drop(queue, {begin, geometry_.round_up(old_size) - begin});
    }
    if (dropped && header_.raw_data_file() && data_file().end() > size) {
        dropped = co_await data_file().resize(queue, size);
    }
    if (dropped) {
        dropped = co_await commit_.run(queue, Commit::Until::kDurable);
    }
    dropped = co_await settle(queue, std::move(dropped));
    if (!dropped) {
        // The disk is smaller all the same.
        const std::string text =
            fmt::format("{}: the space behind the disk's new end cannot be freed: {}", file_.path(),
                        dropped.error().what.empty() ? fmt::format("error {}", dropped.error().code)
                                                     : dropped.error().what);
        file_.host().log(nullptr, LUNKIT_LOG_WARNING, text.c_str());
    }
    co_return Status{};
}

/// Whole clusters, which nobody sees any more.
Task<Status> Image::drop(Queue& queue, ByteRange range) {
    RangeLock::Guard lock(ranges_, range, RangeLock::Mode::kExclusive);
    co_await lock.acquire(queue);
    CO_CHECK(co_await drop_clusters(queue, geometry_.cluster_of(range.offset),
                                    geometry_.cluster_of(range.end())));
    co_await discard_data(queue, range);
    co_return Status{};
}

Task<Status> Image::drop_clusters(Queue& queue, std::uint64_t first, std::uint64_t end) {
    const std::uint64_t per_table = metadata_.map.clusters_per_table();
    while (first < end) {
        const std::uint64_t stop = std::min(end, (first / per_table + 1) * per_table);
        bool dropped = !metadata_.map.has_table(first);
        if (!dropped && first % per_table == 0) {
            CO_TRY(dropped, co_await drop_table(queue, first, stop));
        }
        if (!dropped) {
            CO_CHECK(co_await clear_clusters(queue, first, stop, Space::kRelease));
        }
        if (commit_.is_due()) {
            CO_CHECK(co_await commit_.run(queue, Commit::Until::kLinked));
        }
        first = stop;
    }
    co_return Status{};
}

/// The table that begins with `first`, and what its entries lead to. False: it has entries from
/// `end` on, which are somebody's (the state of a virtual machine lies behind the disk).
Task<Result<bool>> Image::drop_table(Queue& queue, std::uint64_t first, std::uint64_t end) {
    AsyncMutex::Guard guard(metadata_.mutex);
    co_await guard.acquire(queue);
    UnlinkedClusters unlinked;  // nothing changes before everything that could fail has not
    const std::uint64_t table_end = first + metadata_.map.clusters_per_table();
    for (std::uint64_t cluster = first; cluster < table_end;) {
        CO_TRY(const ClusterMap::Place place, co_await metadata_.map.find(queue, cluster));
        for (; cluster < place.end(); ++cluster) {
            CO_TRY(const ClusterState state, metadata_.map.state(place, cluster));
            if (cluster >= end && state != ClusterState{}) {
                co_return false;
            }
            if (!geometry_.data_file) {
                unlink(state, true, unlinked);
            }
        }
    }
    metadata_.unlinked.insert(metadata_.unlinked.end(), unlinked.begin(), unlinked.end());
    metadata_.map.drop_table(first, metadata_.unlinked);
    co_return true;
}

}  // namespace lunkit::qcow

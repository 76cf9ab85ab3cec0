// SPDX-License-Identifier: Apache-2.0
// Image: discard and write zeroes. Both leave a range that reads as zeros; they differ in what
// becomes of its space. Whole clusters only change their entries; the rest is written.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "lunkit/try.hpp"
#include "qcow/image.hpp"

namespace lunkit::qcow {

Task<Status> Image::clear(Queue& queue, ByteRange range, Space space, bool durable) {
    if (!can_clear()) {
        co_return failure(EOPNOTSUPP);
    }
    CO_CHECK(co_await prepare(queue));
    CO_CHECK(co_await wait_for_census(queue));
    Status status;
    {
        RangeLock::Guard guard(ranges_, lock_range(range), RangeLock::Mode::kExclusive);
        co_await guard.acquire(queue);
        status = co_await clear_locked(queue, range, space, size());
    }
    if (status) {
        status = co_await finish_change(queue, durable, true);
    }
    co_return co_await settle(queue, std::move(status));
}

Task<Status> Image::write_zeros(Queue& queue, ByteRange range, bool durable) {
    CO_CHECK(co_await prepare(queue));
    CO_CHECK(co_await wait_for_census(queue));
    Status status;
    {
        RangeLock::Guard guard(ranges_, lock_range(range), RangeLock::Mode::kExclusive);
        co_await guard.acquire(queue);
        for (std::uint64_t done = 0; done < range.length && status;) {
            const std::uint64_t at = range.offset + done;
            const std::uint64_t piece = std::min(
                range.length - done, geometry_.cluster_size() - geometry_.within_cluster(at));
            status = co_await clear_part(queue, {at, piece});
            done += piece;
        }
    }
    if (status) {
        status = co_await finish_change(queue, durable, true);
    }
    co_return co_await settle(queue, std::move(status));
}

/// `disk_end`: what is behind it in the last cluster is nobody's.
Task<Status> Image::clear_locked(Queue& queue, ByteRange range, Space space,
                                 std::uint64_t disk_end) {
    const std::uint64_t first = geometry_.cluster_of(geometry_.round_up(range.offset));
    const std::uint64_t end = geometry_.cluster_of(
        range.end() >= disk_end ? geometry_.round_up(range.end()) : range.end());
    if (first >= end) {
        // Nothing whole: one or two parts of clusters.
        const std::uint64_t border = std::min(geometry_.start_of(first), range.end());
        CO_CHECK(co_await clear_part(queue, {range.offset, border - range.offset}));
        co_return co_await clear_part(queue, {border, range.end() - border});
    }
    CO_CHECK(co_await clear_part(queue, {range.offset, geometry_.start_of(first) - range.offset}));
    CO_CHECK(co_await clear_clusters(queue, first, end, space));
    const std::uint64_t tail = geometry_.start_of(end);
    if (tail < range.end()) {
        co_return co_await clear_part(queue, {tail, range.end() - tail});
    }
    co_return Status{};
}

/// A part of one cluster.
Task<Status> Image::clear_part(Queue& queue, ByteRange range) {
    if (range.length == 0) {
        co_return Status{};
    }
    CO_TRY(const bool zeros, co_await reads_as_zeros(queue, range));
    if (zeros) {
        co_return Status{};
    }
    CO_TRY(const HostBuffer buffer, HostBuffer::allocate(file_.host(), range.length));
    std::memset(buffer.data(), 0, buffer.size());
    const SingleData data(buffer.span());
    const IoRequest io(range.offset, data);
    co_return co_await write_locked(queue, io);
}

Task<Status> Image::clear_clusters(Queue& queue, std::uint64_t first, std::uint64_t end,
                                   Space space) {
    const ByteRange range{geometry_.start_of(first), geometry_.start_of(end - first)};
    CO_CHECK(co_await clear_raw_data(queue, range, space));
    while (first < end) {
        if (!metadata_.map.has_table(first) && !backing_covers(geometry_.start_of(first))) {
            // Zeros already, as far as this table reaches and the backing file does not.
            const std::uint64_t per_table = metadata_.map.clusters_per_table();
            first = (first / per_table + 1) * per_table;
            continue;
        }
        CO_TRY(first, co_await clear_slice(queue, first, end, space));
        if (commit_.is_due()) {
            CO_CHECK(co_await commit_.run(queue, Commit::Until::kLinked));
        }
    }
    if (space == Space::kRelease) {
        co_await discard_data(queue, range);
    }
    co_return Status{};
}

/// A data file that is a raw image must hold the zeros too.
Task<Status> Image::clear_raw_data(Queue& queue, ByteRange range, Space space) {
    if (!header_.raw_data_file() || range.offset >= data_file().end()) {
        co_return Status{};
    }
    const std::uint64_t length = std::min(range.length, data_file().end() - range.offset);
    co_return co_await data_file().zero(queue, range.offset, length,
                                        space == Space::kRelease ? LUNKIT_ZERO_MAY_UNMAP : 0U);
}

/// Gives space in the data file back. The range is locked, so nobody writes to it; that its entries
/// are not durable does no harm, since what nobody flushed may as well be zeros already.
Task<void> Image::discard_data(Queue& queue, ByteRange range) {
    if (!geometry_.data_file || header_.raw_data_file() || range.offset >= data_file().end()) {
        co_return;
    }
    const std::uint64_t length = std::min(range.length, data_file().end() - range.offset);
    (void)co_await data_file().discard(queue, range.offset, length);  // a favour, no more
}

/// Clears what one slice of an L2 table covers; gives the next cluster.
Task<Result<std::uint64_t>> Image::clear_slice(Queue& queue, std::uint64_t first, std::uint64_t end,
                                               Space space) {
    AsyncMutex::Guard guard(metadata_.mutex);
    co_await guard.acquire(queue);
    CO_CHECK(co_await metadata_.map.make_writable(queue, first, metadata_.refcounts,
                                                  metadata_.clusters, metadata_.unlinked));
    CO_TRY(const ClusterMap::Place place, co_await metadata_.map.find(queue, first));
    for (; first < end && first < place.end(); ++first) {
        CO_TRY(const ClusterState old, metadata_.map.state(place, first));
        const ClusterState state = cleared(old, first, space);
        if (state == old) {
            continue;
        }
        metadata_.map.set_state(place, first, state);
        if (!state.placed && !geometry_.data_file) {
            unlink(old, true, metadata_.unlinked);
        }
    }
    co_return first;
}

ClusterState Image::cleared(const ClusterState& old, std::uint64_t guest_cluster,
                            Space space) const {
    ClusterState state;
    if (geometry_.can_zero()) {
        const bool nothing_there = old == ClusterState{};
        if (nothing_there && !backing_covers(geometry_.start_of(guest_cluster))) {
            return old;
        }
        state.zeroed = geometry_.all_subclusters();
    }
    if (space == Space::kKeep && old.owns_host_cluster() && geometry_.can_zero()) {
        state.host_offset = old.host_offset;
        state.placed = true;
        state.copied = true;
    }
    return state;
}

}  // namespace lunkit::qcow

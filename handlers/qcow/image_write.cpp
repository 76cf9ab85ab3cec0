// SPDX-License-Identifier: Apache-2.0
// Image: writing.
//
// A write first goes as far as it can in place, beside others: where the host clusters belong to
// this image alone and hold data. What is left needs host clusters, or entries that say something
// else, and takes the range exclusively:
//   1. under the metadata mutex: L2 table made writable, host clusters allocated (counts up, R1);
//   2. without it: what surrounds the data in its (sub)clusters is read, everything is written
//   (R2);
//   3. under it again: the entries are changed, in memory; the old host clusters are quarantined.
// A crash anywhere leaves the old entries in the file; a commit makes the new ones durable in
// order.
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "lunkit/try.hpp"
#include "qcow/image.hpp"

namespace lunkit::qcow {

namespace {

/// Whether replacing `old` loses a host cluster whose content is still wanted.
bool must_copy_whole(const Geometry& geometry, const ClusterState& old) {
    return !geometry.extended_l2 || old.type == ClusterState::Type::kCompressed ||
           (old.placed && !old.copied);
}

/// Bits of the subclusters of a cluster that [begin, end), offsets in it, covers.
std::uint32_t subcluster_bits(const Geometry& geometry, std::uint64_t begin, std::uint64_t end) {
    const std::uint64_t first = begin / geometry.subcluster_size();
    const std::uint64_t last = (end - 1) / geometry.subcluster_size();
    const std::uint64_t below_end = last == 63 ? UINT64_MAX : (1ULL << (last + 1)) - 1;
    return static_cast<std::uint32_t>(below_end & ~((1ULL << first) - 1));
}

}  // namespace

Task<Status> Image::write(Queue& queue, const IoRequest& io, bool durable) {
    CO_CHECK(co_await prepare(queue));
    Result<InPlace> in_place = co_await write_in_place(queue, io, durable);
    Status status;
    if (!in_place) {
        status = std::unexpected(in_place.error());
    } else if (in_place->done < io.length) {
        in_place->durable = false;
        in_place->committed = false;
        CO_CHECK(co_await wait_for_census(queue));
        const IoRequest rest = io.part(in_place->done, io.length - in_place->done);
        RangeLock::Guard guard(ranges_, lock_range(rest.range()), RangeLock::Mode::kExclusive);
        co_await guard.acquire(queue);
        const Commit::Preparing preparing(commit_);
        status = co_await write_locked(queue, rest);
    }
    if (status) {
        status = co_await finish_change(queue, durable && !in_place->durable, !in_place->committed);
    }
    co_return co_await settle(queue, std::move(status));
}

Task<Result<Image::InPlace>> Image::write_in_place(Queue& queue, const IoRequest& io,
                                                   bool durable) {
    RangeLock::Guard guard(ranges_, lock_range(io.range()), RangeLock::Mode::kShared);
    co_await guard.acquire(queue);
    InPlace result;
    while (result.done < io.length) {
        CO_TRY(const Mapping mapping,
               co_await metadata_.map.map(queue, io.offset + result.done, io.length - result.done));
        if (mapping.kind != Kind::kData || !mapping.owned) {
            break;
        }
        // Durable data behind an entry that is not would still be lost; so would be data behind
        // the entry of a neighbour's write that has not been committed, if this process died.
        const bool at_once = durable && commit_.is_clean();
        result.durable = result.durable && at_once;
        result.committed = result.committed && mapping.committed;
        CO_CHECK(co_await data_.write(queue, mapping.host_offset, *io.data,
                                      io.data_offset + result.done, mapping.length,
                                      at_once ? LUNKIT_IO_FUA : 0U));
        result.done += mapping.length;
    }
    co_return result;
}

Task<Status> Image::write_locked(Queue& queue, const IoRequest& io) {
    for (std::uint64_t done = 0; done < io.length;) {
        CO_TRY(const Mapping mapping,
               co_await metadata_.map.map(queue, io.offset + done, io.length - done));
        if (mapping.kind == Kind::kData && mapping.owned) {
            CO_CHECK(co_await data_.write(queue, mapping.host_offset, *io.data,
                                          io.data_offset + done, mapping.length));
            done += mapping.length;
            continue;
        }
        const IoRequest rest = io.part(done, io.length - done);
        CO_TRY(const std::uint64_t written, co_await write_new(queue, rest));
        done += written;
    }
    co_return Status{};
}

/// Writes the start of `io`, whose first cluster needs another entry; gives how many bytes.
Task<Result<std::uint64_t>> Image::write_new(Queue& queue, const IoRequest& io) {
    Result<std::uint64_t> written = co_await try_write_new(queue, io);
    if (written || written.error().code != ENOSPC || !commit_.has_quarantined()) {
        co_return written;
    }
    // What was discarded before is free when that is durable.
    CO_CHECK(co_await commit_.run(queue, Commit::Until::kDurable));
    co_return co_await try_write_new(queue, io);
}

Task<Result<std::uint64_t>> Image::try_write_new(Queue& queue, const IoRequest& io) {
    CO_TRY(const Target target, co_await choose_target(queue, io.range()));
    const std::uint64_t target_end = geometry_.start_of(target.guest_cluster + target.run.clusters);
    const ByteRange data{io.offset, std::min(io.length, target_end - io.offset)};
    const IoRequest part = io.part(0, data.length);
    Status status;
    Result<Copy> copy = co_await read_surroundings(queue, target, data);
    if (copy) {
        status = co_await write_copy(queue, target, *copy, part);
    } else {
        status = std::unexpected(copy.error());
    }
    if (status) {
        const ByteRange filled{copy->begin, copy->end - copy->begin};
        status = co_await link(queue, target, filled);
    }
    if (!status) {
        co_await give_back(queue, target);
        co_return std::unexpected(std::move(status).error());
    }
    co_return data.length;
}

Task<Result<Image::Target>> Image::choose_target(Queue& queue, ByteRange range) {
    if (!metadata_.refcounts.has_ready_stock()) {
        co_await commit_.wait_for_stock(queue);
    }
    AsyncMutex::Guard guard(metadata_.mutex);
    co_await guard.acquire(queue);
    const std::uint64_t first = geometry_.cluster_of(range.offset);
    const std::uint64_t last = geometry_.cluster_of(range.end() - 1);
    CO_CHECK(co_await metadata_.map.make_writable(queue, first, metadata_.refcounts,
                                                  metadata_.clusters, metadata_.unlinked));
    CO_TRY(const ClusterMap::Place place, co_await metadata_.map.find(queue, first));
    CO_TRY(const ClusterState old, metadata_.map.state(place, first));
    Target target;
    target.guest_cluster = first;
    if (old.owns_host_cluster()) {
        target.run = {old.host_offset, 1, false};
        target.own = true;
        target.copy_whole_first = !geometry_.extended_l2;
        target.copy_whole_last = target.copy_whole_first;
        co_return target;
    }
    target.copy_whole_first = must_copy_whole(geometry_, old);
    std::vector<bool> copy_whole{target.copy_whole_first};
    for (std::uint64_t cluster = first + 1; cluster <= last && cluster < place.end(); ++cluster) {
        CO_TRY(const ClusterState next, metadata_.map.state(place, cluster));
        if (next.owns_host_cluster()) {
            break;
        }
        copy_whole.push_back(must_copy_whole(geometry_, next));
    }
    if (geometry_.data_file) {
        target.run = {geometry_.start_of(first), copy_whole.size(), false};
        target.own = true;
    } else {
        CO_TRY(target.run, co_await metadata_.refcounts.allocate_data(queue, copy_whole.size()));
    }
    target.copy_whole_last = copy_whole[target.run.clusters - 1];
    co_return target;
}

/// What of the first and the last (sub)cluster must be copied because the data does not cover it.
Task<Result<Image::Copy>> Image::read_surroundings(Queue& queue, Target target, ByteRange data) {
    const std::uint64_t head_unit =
        target.copy_whole_first ? geometry_.cluster_size() : geometry_.subcluster_size();
    const std::uint64_t tail_unit =
        target.copy_whole_last ? geometry_.cluster_size() : geometry_.subcluster_size();
    Copy copy;
    copy.begin = data.offset / head_unit * head_unit;
    copy.end = (data.end() + tail_unit - 1) / tail_unit * tail_unit;
    if (target.run.clusters == 1 && (target.copy_whole_first || target.copy_whole_last)) {
        copy.begin = geometry_.start_of(target.guest_cluster);
        copy.end = copy.begin + geometry_.cluster_size();
    }
    const ByteRange head{copy.begin, data.offset - copy.begin};
    const ByteRange tail{data.end(), copy.end - data.end()};
    const bool reads_as_zeros = target.run.fresh && !data_.encrypted();
    CO_TRY(copy.head, co_await read_piece(queue, head, reads_as_zeros));
    CO_TRY(copy.tail, co_await read_piece(queue, tail, reads_as_zeros));
    co_return copy;
}

/// `skip_zeros`: an empty buffer when they would be all zeros.
Task<Result<HostBuffer>> Image::read_piece(Queue& queue, ByteRange range, bool skip_zeros) {
    if (range.length == 0) {
        co_return HostBuffer{};
    }
    if (skip_zeros) {
        CO_TRY(const bool zeros, co_await reads_as_zeros(queue, range));
        if (zeros) {
            co_return HostBuffer{};
        }
    }
    CO_TRY(HostBuffer piece, HostBuffer::allocate(file_.host(), range.length));
    const SingleData into(piece.span());
    CO_CHECK(co_await read_range(queue, range.offset, into, 0, range.length));
    co_return std::move(piece);
}

/// As far as metadata tells.
Task<Result<bool>> Image::reads_as_zeros(Queue& queue, ByteRange range) {
    for (std::uint64_t done = 0; done < range.length;) {
        const std::uint64_t at = range.offset + done;
        CO_TRY(const Mapping mapping, co_await metadata_.map.map(queue, at, range.length - done));
        const bool zero = mapping.kind == Kind::kZero ||
                          (mapping.kind == Kind::kUnallocated && !backing_covers(at));
        if (!zero) {
            co_return false;
        }
        done += mapping.length;
    }
    co_return true;
}

/// One write where the data is in memory, else up to three.
Task<Status> Image::write_copy(Queue& queue, Target target, const Copy& copy, const IoRequest& io) {
    const auto host_of = [&](std::uint64_t guest) {
        return target.run.offset + (guest - geometry_.start_of(target.guest_cluster));
    };
    const std::uint64_t head = copy.head.size();
    const std::uint64_t tail = copy.tail.size();
    if (head + tail == 0 || io.data->kind != LUNKIT_DATA_IOV) {
        if (head > 0) {
            CO_CHECK(co_await data_.write_bytes(queue, host_of(copy.begin), copy.head.span()));
        }
        CO_CHECK(
            co_await data_.write(queue, host_of(io.offset), *io.data, io.data_offset, io.length));
        if (tail > 0) {
            CO_CHECK(co_await data_.write_bytes(queue, host_of(io.offset + io.length),
                                                copy.tail.span()));
        }
        co_return Status{};
    }
    std::vector<iovec> pieces;
    pieces.reserve(io.data->iov_count + 2);
    if (head > 0) {
        pieces.push_back({copy.head.data(), copy.head.size()});
    }
    for_each_piece(*io.data, io.data_offset, io.length,
                   [&pieces](std::byte* at, std::size_t size) { pieces.push_back({at, size}); });
    if (tail > 0) {
        pieces.push_back({copy.tail.data(), copy.tail.size()});
    }
    const Data data(pieces, head + io.length + tail);
    co_return co_await data_.write(queue, host_of(io.offset - head), data, 0, data.length);
}

/// A whole cluster that has no host cluster and reads as zeros.
bool Image::is_zeros(const ClusterState& state, std::uint64_t guest_cluster) const {
    return !state.placed && (state.zeroed == geometry_.all_subclusters() ||
                             !backing_covers(geometry_.start_of(guest_cluster)));
}

/// Makes the entries point to the target; `filled`: the guest bytes that have been written there.
Task<Status> Image::link(Queue& queue, Target target, ByteRange filled) {
    AsyncMutex::Guard guard(metadata_.mutex);
    co_await guard.acquire(queue);
    // Nothing changes before everything that could fail has not.
    CO_TRY(const ClusterMap::Place place, co_await metadata_.map.find(queue, target.guest_cluster));
    std::vector<ClusterState> old(target.run.clusters);
    for (std::uint64_t i = 0; i < old.size(); ++i) {
        CO_TRY(old[i], metadata_.map.state(place, target.guest_cluster + i));
    }
    for (std::uint64_t i = 0; i < old.size(); ++i) {
        const std::uint64_t guest_cluster = target.guest_cluster + i;
        const std::uint64_t start = geometry_.start_of(guest_cluster);
        const std::uint64_t begin = std::max(filled.offset, start) - start;
        const std::uint64_t end = std::min(filled.end(), start + geometry_.cluster_size()) - start;
        const std::uint32_t bits = subcluster_bits(geometry_, begin, end);
        metadata_.ordered =
            metadata_.ordered || !target.run.counted || !is_zeros(old[i], guest_cluster) ||
            data_.encrypted();  // zeros that were not written decrypt to something else
        ClusterState state =
            old[i].type == ClusterState::Type::kCompressed ? ClusterState{} : old[i];
        state.host_offset = target.run.offset + geometry_.start_of(i);
        state.placed = true;
        state.copied = true;
        state.allocated |= bits;
        state.zeroed &= ~bits;
        metadata_.map.set_state(place, guest_cluster, state);
        if (!target.own) {
            unlink(old[i], false, metadata_.unlinked);
        }
    }
    co_return Status{};
}

/// The target is not needed after all; nothing has ever pointed to it.
Task<void> Image::give_back(Queue& queue, Target target) {
    if (target.own) {
        co_return;
    }
    AsyncMutex::Guard guard(metadata_.mutex);
    co_await guard.acquire(queue);
    const std::uint64_t first = geometry_.cluster_of(target.run.offset);
    for (std::uint64_t i = 0; i < target.run.clusters; ++i) {
        (void)co_await metadata_.refcounts.release(queue, first + i);  // else it leaks, no more
    }
}

/// The host clusters of an entry that has been replaced. Compressed data may lie in two.
void Image::unlink(const ClusterState& old, bool punch, UnlinkedClusters& to) const {
    if (!old.placed) {
        return;
    }
    const bool compressed = old.type == ClusterState::Type::kCompressed;
    const std::uint64_t last_byte =
        old.host_offset + (compressed ? old.compressed_length : geometry_.cluster_size()) - 1;
    for (std::uint64_t cluster = geometry_.cluster_of(old.host_offset);
         cluster <= geometry_.cluster_of(last_byte); ++cluster) {
        to.push_back({cluster, punch});
    }
}

}  // namespace lunkit::qcow

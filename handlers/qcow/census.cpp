// SPDX-License-Identifier: Apache-2.0
#include "qcow/census.hpp"

#include <cerrno>

#include <fmt/format.h>

#include "lunkit/io_request.hpp"
#include "lunkit/try.hpp"
#include "qcow/big_endian.hpp"
#include "qcow/buffer.hpp"

namespace lunkit::qcow {

Status Census::begin() {
    const std::uint64_t clusters = geometry_.cluster_of(geometry_.round_up(file_.end()));
    if (clusters > kMostClusters) {
        return failure(ENOTSUP, fmt::format("{} clusters are too many to be counted", clusters));
    }
    // An entry may point a little behind the end: nothing has been written there yet.
    counts_.assign(clusters + 2, 0);
    copied_.assign(clusters + 2, false);
    return {};
}

Status Census::add(std::uint64_t offset, std::uint64_t length) {
    if (length == 0) {
        return {};
    }
    const std::uint64_t last = geometry_.cluster_of(offset + length - 1);
    if (last >= counts_.size()) {
        return corruption(fmt::format("something at {:#x} lies beyond the file", offset));
    }
    for (std::uint64_t cluster = geometry_.cluster_of(offset); cluster <= last; ++cluster) {
        if (++counts_[cluster] == 0) {
            return corruption(fmt::format("the cluster at {:#x} is referenced too often",
                                          geometry_.start_of(cluster)));
        }
    }
    return {};
}

Task<Status> Census::add_l1(Queue& queue, std::uint64_t offset, std::uint64_t entries,
                            bool active) {
    if (entries == 0) {
        co_return Status{};
    }
    CO_CHECK(add(offset, entries * 8));
    CO_TRY(const Buffer table, Buffer::allocate(file_.host(), entries * 8));
    CO_CHECK(co_await file_.read_exact(queue, offset, table.span()));
    for (std::uint64_t i = 0; i < entries; ++i) {
        const auto entry = load_be<std::uint64_t>(table.data() + i * 8);
        const std::uint64_t l2 = entry & kOffsetMask;
        if (l2 == 0) {
            continue;
        }
        if (geometry_.within_cluster(l2) != 0) {
            co_return corruption(fmt::format("L1 entry {} ({:#018x}) is not valid", i, entry));
        }
        CO_CHECK(add(l2, geometry_.cluster_size()));
        if (active && (entry & kCopiedFlag) != 0) {
            copied_[geometry_.cluster_of(l2)] = true;
        }
        CO_CHECK(co_await add_l2(queue, l2, active));
    }
    co_return Status{};
}

Task<Status> Census::add_l2(Queue& queue, std::uint64_t offset, bool active) {
    CO_TRY(const Buffer table, Buffer::allocate(file_.host(), geometry_.cluster_size()));
    CO_CHECK(co_await file_.read_exact(queue, offset, table.span()));
    for (std::uint64_t i = 0; i < geometry_.l2_entries(); ++i) {
        const std::byte* const at = table.data() + i * geometry_.l2_entry_size();
        CO_TRY(const ClusterState state, decode(geometry_, load_entry(geometry_, at), file_.end()));
        if (!state.placed || geometry_.data_file) {
            continue;
        }
        const bool compressed = state.type == ClusterState::Type::kCompressed;
        CO_CHECK(add(state.host_offset,
                     compressed ? state.compressed_length : geometry_.cluster_size()));
        if (active && state.copied) {
            copied_[geometry_.cluster_of(state.host_offset)] = true;
        }
    }
    co_return Status{};
}

Status Census::check_copied() const {
    for (std::uint64_t cluster = 0; cluster < counts_.size(); ++cluster) {
        if (copied_[cluster] && counts_[cluster] != 1) {
            return corruption(fmt::format("the cluster at {:#x} has the COPIED flag and {} users",
                                          geometry_.start_of(cluster), counts_[cluster]));
        }
    }
    return {};
}

}  // namespace lunkit::qcow

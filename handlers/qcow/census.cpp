// SPDX-License-Identifier: Apache-2.0
#include "qcow/census.hpp"

#include <cerrno>

#include <fmt/format.h>

#include "lunkit/host_buffer.hpp"
#include "lunkit/io_request.hpp"
#include "lunkit/try.hpp"
#include "qcow/big_endian.hpp"

namespace lunkit::qcow {

Status Census::begin() {
    end_ = file_.end();
    const std::uint64_t clusters = geometry_.cluster_of(geometry_.round_up(end_));
    if (clusters > kMostClusters) {
        return failure(ENOTSUP, fmt::format("{} clusters are too many to be counted", clusters));
    }
    // An entry may point a little behind the end: nothing has been written there yet.
    clusters_ = clusters + 2;
    pages_.resize((clusters_ + kPage - 1) / kPage);
    return {};
}

Census::Page& Census::page_of(std::uint64_t cluster) {
    std::unique_ptr<Page>& page = pages_[cluster / kPage];
    if (page == nullptr) {
        page = std::make_unique<Page>();
    }
    return *page;
}

Status Census::add(std::uint64_t offset, std::uint64_t length) {
    if (length == 0) {
        return {};
    }
    const std::uint64_t last = geometry_.cluster_of(offset + length - 1);
    if (last >= clusters_) {
        return corruption(fmt::format("something at {:#x} lies beyond the file", offset));
    }
    for (std::uint64_t cluster = geometry_.cluster_of(offset); cluster <= last; ++cluster) {
        if (++page_of(cluster).counts[cluster % kPage] == 0) {
            return corruption(fmt::format("the cluster at {:#x} is referenced too often",
                                          geometry_.start_of(cluster)));
        }
    }
    return {};
}

Status Census::add_own(std::uint64_t offset, std::uint64_t length) {
    CHECK(add(offset, length));
    own_.push_back({offset, length});
    return {};
}

void Census::restart() {
    for (std::unique_ptr<Page>& page : pages_) {
        page.reset();
    }
    for (const ByteRange range : own_) {
        // As it could be added before.
        [[maybe_unused]] const Status added = add(range.offset, range.length);
    }
}

Task<Status> Census::add_l1(Queue& queue, std::uint64_t offset, std::uint64_t entries) {
    if (entries == 0) {
        co_return Status{};
    }
    CO_CHECK(add(offset, entries * 8));
    CO_TRY(const HostBuffer table, HostBuffer::allocate(file_.host(), entries * 8));
    CO_CHECK(co_await file_.read_exact(queue, offset, table.span()));
    std::vector<std::uint64_t> l1(entries);
    for (std::uint64_t i = 0; i < entries; ++i) {
        l1[i] = load_be<std::uint64_t>(table.data() + i * 8);
    }
    co_return co_await add_tables(queue, l1, false);
}

Task<Status> Census::add_tables(Queue& queue, std::span<const std::uint64_t> l1, bool active) {
    for (std::size_t i = 0; i < l1.size(); ++i) {
        const std::uint64_t l2 = l1[i] & kOffsetMask;
        if (l2 == 0) {
            continue;
        }
        CO_CHECK(co_await background_.rest(queue));
        if (geometry_.within_cluster(l2) != 0) {
            co_return corruption(fmt::format("L1 entry {} ({:#018x}) is not valid", i, l1[i]));
        }
        CO_CHECK(add(l2, geometry_.cluster_size()));
        if (active && (l1[i] & kCopiedFlag) != 0) {
            const std::uint64_t cluster = geometry_.cluster_of(l2);
            page_of(cluster).copied.set(cluster % kPage);
        }
        CO_CHECK(co_await add_l2(queue, l2, active));
    }
    co_return Status{};
}

/// Thousands of entries are looked at by a worker, so that other devices of the queue do not wait.
Task<Status> Census::add_l2(Queue& queue, std::uint64_t offset, bool active) {
    CO_TRY(const HostBuffer table, HostBuffer::allocate(file_.host(), geometry_.cluster_size()));
    CO_CHECK(co_await file_.read_exact(queue, offset, table.span()));
    Status added;
    const auto work = [this, &table, &added, active]() -> std::int64_t {
        added = add_entries(table.span(), active);
        return 0;
    };
    const Outcome outcome = co_await queue.offload(this, work);
    CO_CHECK(to_status(outcome));
    co_return added;
}

Status Census::add_entries(std::span<const std::byte> table, bool active) {
    for (std::uint64_t i = 0; i < geometry_.l2_entries(); ++i) {
        const std::byte* const at = table.data() + i * geometry_.l2_entry_size();
        TRY(const ClusterState state, decode(geometry_, load_entry(geometry_, at), end_));
        if (!state.placed || geometry_.data_file) {
            continue;
        }
        const bool compressed = state.type == ClusterState::Type::kCompressed;
        CHECK(add(state.host_offset,
                  compressed ? state.compressed_length : geometry_.cluster_size()));
        if (active && state.copied) {
            const std::uint64_t cluster = geometry_.cluster_of(state.host_offset);
            page_of(cluster).copied.set(cluster % kPage);
        }
    }
    return {};
}

std::uint64_t Census::used_end() const {
    std::uint64_t end = clusters_;
    while (end > 0 && count(end - 1) == 0) {
        // Clusters without a page are many where a device is much larger than what is in it.
        end -= pages_[(end - 1) / kPage] == nullptr ? (end - 1) % kPage + 1 : 1;
    }
    return end;
}

Task<Status> Census::check_copied(Queue& queue) const {
    for (std::uint64_t number = 0; number < pages_.size(); ++number) {
        const Page* const page = pages_[number].get();
        if (page == nullptr) {
            continue;
        }
        for (std::uint64_t i = 0; i < kPage; ++i) {
            if (page->copied[i] && page->counts[i] != 1) {
                co_return corruption(
                    fmt::format("the cluster at {:#x} has the COPIED flag and {} users",
                                geometry_.start_of(number * kPage + i), page->counts[i]));
            }
        }
        CO_CHECK(co_await background_.rest(queue));
    }
    co_return Status{};
}

}  // namespace lunkit::qcow

// SPDX-License-Identifier: Apache-2.0
// Refcounts: more blocks, and a larger table.
//
// A new block lies in the first cluster of those it describes, which is free because the block was
// absent, and counts itself. A larger table cannot do so: it needs a run of clusters, which itself
// wants blocks, for which there may be no room in the old table. So one area behind all described
// clusters takes everything: the payload, the new table, and the blocks that describe the area.
//
// Where counts are frozen, what is absent or not described may be in use all the same: then a block
// and an area begin behind that.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "lunkit/try.hpp"
#include "qcow/big_endian.hpp"
#include "qcow/refcount_width.hpp"
#include "qcow/refcounts.hpp"

namespace lunkit::qcow {

/// Makes a block for `cluster`, which has none.
Task<Status> Refcounts::describe(Queue& queue, std::uint64_t cluster) {
    const std::uint64_t index = block_index(cluster);
    if (index < table_.size()) {
        co_return co_await add_block(queue, index, std::max(first_of_block(index), frozen_));
    }
    CO_CHECK(co_await append(queue, 0, true));
    co_return Status{};
}

/// The same for one that is frozen: its block is elsewhere.
Task<Status> Refcounts::describe_frozen(Queue& queue, std::uint64_t cluster) {
    const std::uint64_t index = block_index(cluster);
    if (index >= table_.size()) {
        co_return check_counted(cluster);
    }
    CO_TRY(const Run run, co_await allocate(queue, 1, 1));
    if (has_block(cluster)) {
        (void)co_await release(queue, geometry_.cluster_of(run.offset));  // else it leaks, no more
        co_return Status{};  // the new cluster's own block is this one
    }
    CO_TRY(const HostBuffer block, HostBuffer::allocate(file_.host(), geometry_.cluster_size()));
    std::memset(block.data(), 0, block.size());
    co_await slices_.forget(queue, {run.offset, geometry_.cluster_size()});
    CO_CHECK(co_await file_.write_bytes(queue, run.offset, block.span()));
    set_table_entry(index, run.offset);
    co_return Status{};
}

/// Block `index`, which counts `cluster`, where it lies.
Task<Status> Refcounts::add_block(Queue& queue, std::uint64_t index, std::uint64_t cluster) {
    CO_CHECK(check_usable(cluster, 1));
    const std::uint64_t offset = geometry_.start_of(cluster);
    CO_TRY(const HostBuffer block, HostBuffer::allocate(file_.host(), geometry_.cluster_size()));
    std::memset(block.data(), 0, block.size());
    store_refcount(block.data(), geometry_.refcount_order, cluster - first_of_block(index), 1);
    co_await slices_.forget(queue, {offset, geometry_.cluster_size()});
    CO_CHECK(co_await file_.write_bytes(queue, offset, block.span()));
    (void)run_at(cluster, 1);  // it is not fresh any more
    set_table_entry(index, offset);
    co_return Status{};
}

Result<Refcounts::Layout> Refcounts::lay_out(std::uint64_t payload, bool grow_table) const {
    const std::uint64_t entries_per_cluster = geometry_.cluster_size() / 8;
    std::uint64_t described = table_.size();
    while (described > 0 && table_[described - 1] == 0) {
        --described;
    }
    Layout layout{std::max({first_of_block(described), frozen_, std::uint64_t{1}}), payload, 0, 0};
    const std::uint64_t first = block_index(layout.start);
    for (;;) {
        const Layout before = layout;
        const std::uint64_t last =
            block_index(layout.end() > layout.start ? layout.end() - 1 : layout.start);
        layout.blocks = last - first + 1;
        if (grow_table || last >= table_.size()) {
            const std::uint64_t entries =
                std::max<std::uint64_t>(table_.size() + table_.size() / 2, last + 1);
            layout.table =
                std::max((entries + entries_per_cluster - 1) / entries_per_cluster, layout.table);
        }
        if (layout.total() == before.total()) {
            break;
        }
    }
    if (layout.table * geometry_.cluster_size() > kMaxRefcountTableBytes) {
        return failure(EFBIG, fmt::format("{}: the refcount table cannot grow any more; the format "
                                          "allows no larger file with these clusters",
                                          file_.path()));
    }
    return layout;
}

/// Writes the blocks of a new area: everything in it has a count of 1.
Task<Status> Refcounts::write_blocks(Queue& queue, Layout layout) {
    CO_TRY(const HostBuffer block, HostBuffer::allocate(file_.host(), geometry_.cluster_size()));
    const std::uint64_t described = block_index(layout.start);
    for (std::uint64_t i = 0; i < layout.blocks; ++i) {
        std::memset(block.data(), 0, block.size());
        const std::uint64_t first = first_of_block(described + i);
        const std::uint64_t from = std::max(first, layout.start);
        const std::uint64_t to = std::min(first_of_block(described + i + 1), layout.end());
        for (std::uint64_t cluster = from; cluster < to; ++cluster) {
            store_refcount(block.data(), geometry_.refcount_order, cluster - first, 1);
        }
        const std::uint64_t offset =
            geometry_.start_of(layout.start + layout.payload + layout.table + i);
        CO_CHECK(co_await file_.write_bytes(queue, offset, block.span()));
    }
    co_return Status{};
}

Task<Status> Refcounts::write_table(Queue& queue, std::uint64_t offset,
                                    std::vector<std::uint64_t> entries) {
    std::vector<std::byte> bytes(entries.size() * 8);
    for (std::size_t i = 0; i < entries.size(); ++i) {
        store_be(bytes.data() + i * 8, entries[i]);
    }
    co_return co_await file_.write_bytes(queue, offset, bytes);
}

/// A new area with `payload` clusters at its start; gives its first cluster.
Task<Result<std::uint64_t>> Refcounts::append(Queue& queue, std::uint64_t payload,
                                              bool grow_table) {
    CO_TRY(const Layout layout, lay_out(payload, grow_table));
    CO_CHECK(check_usable(layout.start, layout.total()));
    const ByteRange area{geometry_.start_of(layout.start), geometry_.start_of(layout.total())};
    co_await slices_.forget(queue, area);
    (void)run_at(layout.start, layout.total());  // not fresh any more, whatever comes of it
    CO_CHECK(co_await write_blocks(queue, layout));

    const std::uint64_t first_index = block_index(layout.start);
    const std::uint64_t first_block = layout.start + layout.payload + layout.table;
    if (layout.table != 0) {
        std::vector<std::uint64_t> entries = table_;
        entries.resize(layout.table * geometry_.cluster_size() / 8, 0);
        for (std::uint64_t i = 0; i < layout.blocks; ++i) {
            entries[first_index + i] = geometry_.start_of(first_block + i);
        }
        const std::uint64_t offset = geometry_.start_of(layout.start + layout.payload);
        CO_CHECK(co_await write_table(queue, offset, entries));
        const std::uint64_t old_clusters = table_.size() * 8 / geometry_.cluster_size();
        for (std::uint64_t i = 0; i < old_clusters; ++i) {
            unlinked_.push_back({geometry_.cluster_of(table_offset_) + i, false});
        }
        for (std::uint64_t i = 0; i < layout.table; ++i) {
            metadata_.insert(geometry_.cluster_of(offset) + i);
        }
        table_ = std::move(entries);
        table_offset_ = offset;
        dirty_sectors_.clear();
        moved_ = true;
    }
    for (std::uint64_t i = 0; i < layout.blocks; ++i) {
        const std::uint64_t offset = geometry_.start_of(first_block + i);
        if (layout.table == 0) {
            set_table_entry(first_index + i, offset);
        } else {
            metadata_.insert(geometry_.cluster_of(offset));
        }
    }
    co_return layout.start;
}

}  // namespace lunkit::qcow

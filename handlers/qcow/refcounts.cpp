// SPDX-License-Identifier: Apache-2.0
#include "qcow/refcounts.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fmt/format.h>

#include "lunkit/try.hpp"
#include "qcow/big_endian.hpp"
#include "qcow/refcount_width.hpp"

namespace lunkit::qcow {

namespace {
constexpr std::uint64_t kLeastStock = 256ULL << 10U;  // bytes
constexpr std::uint64_t kMostStock = 64ULL << 20U;
}  // namespace

Refcounts::Refcounts(ImageFile& file, const Geometry& geometry, ClusterSet& metadata,
                     UnlinkedClusters& unlinked, std::uint64_t cache_bytes)
    : file_(file),
      geometry_(geometry),
      metadata_(metadata),
      unlinked_(unlinked),
      slices_(file, geometry.slice_size(), cache_bytes),
      stock_bytes_(kLeastStock) {
    constexpr std::uint64_t kMaxFile = 1ULL << 56U;  // what an L2 entry can point to
    const std::uint64_t most = file.is_block_device() ? file.end() : kMaxFile;
    limit_ = geometry.cluster_of(most);
    fresh_from_ =
        file.is_block_device() ? UINT64_MAX : geometry.cluster_of(geometry.round_up(file.end()));
}

Status Refcounts::open(std::uint64_t table_offset, std::uint32_t table_clusters) {
    table_offset_ = table_offset;
    std::vector<std::byte> bytes(table_clusters * geometry_.cluster_size());
    CHECK(file_.read_blocking(table_offset, bytes));
    for (std::uint64_t i = 0; i < table_clusters; ++i) {
        metadata_.insert(geometry_.cluster_of(table_offset) + i);
    }
    table_.resize(bytes.size() / 8);
    for (std::size_t i = 0; i < table_.size(); ++i) {
        const auto entry = load_be<std::uint64_t>(bytes.data() + i * 8);
        table_[i] = entry;
        if (entry == 0) {
            continue;
        }
        if (geometry_.within_cluster(entry) != 0 || entry > static_cast<std::uint64_t>(INT64_MAX) ||
            entry >= file_.end()) {
            return corruption(
                fmt::format("refcount table entry {} ({:#x}) is not valid", i, entry));
        }
        if (!metadata_.insert(geometry_.cluster_of(entry))) {
            return corruption(
                fmt::format("refcount table entry {} points to other metadata at {:#x}", i, entry));
        }
    }
    return {};
}

std::uint64_t Refcounts::slice_of(std::uint64_t cluster) const {
    const std::uint64_t index = cluster - first_of_block(block_index(cluster));
    return table_[block_index(cluster)] + index / counters_per_slice() * slices_.slice_size();
}

/// Goes on with the search over the counters of one slice.
void Refcounts::scan(const Slice& slice, Search& search) const {
    const std::uint64_t end = (search.cluster & ~(counters_per_slice() - 1)) + counters_per_slice();
    for (; search.cluster < end && !search.done; ++search.cluster) {
        const std::uint64_t counter =
            load_refcount(slice.data(), geometry_.refcount_order, index_in_slice(search.cluster));
        if (counter != 0) {
            search.done = search.length >= search.least;
            if (!search.done) {
                search.restart();
            }
            continue;
        }
        if (search.length == 0) {
            search.start = search.cluster;
        }
        ++search.length;
        search.done = search.length == search.wanted;
    }
}

Task<Result<Refcounts::Run>> Refcounts::allocate(Queue& queue, std::uint64_t wanted,
                                                 std::uint64_t least) {
    Search search{wanted, least, hint_};
    while (!search.done) {
        if (search.cluster >= limit_ || !has_block(search.cluster)) {
            if (search.length >= least) {
                break;
            }
            if (search.cluster >= limit_) {
                co_return failure(ENOSPC, file_.path() + ": no free cluster is left");
            }
            search.restart();
            CO_CHECK(co_await describe(queue, search.cluster));
            continue;
        }
        CO_TRY(const Slice* slice, co_await slices_.load(queue, slice_of(search.cluster)));
        scan(*slice, search);
    }
    CO_CHECK(check_usable(search.start, search.length));
    CO_CHECK(co_await take(queue, search.start, search.length));
    if (least == 1 || search.start == hint_) {
        hint_ = search.start + search.length;
    }
    co_return run_at(search.start, search.length);
}

Task<Result<Refcounts::Run>> Refcounts::allocate_data(Queue& queue, std::uint64_t wanted) {
    if (stock_.empty()) {
        CO_TRY(const Run run, co_await allocate(queue, wanted, 1));
        (void)co_await order_stock(queue);  // if there is none, each link has a barrier
        co_return run;
    }
    Stock& stock = stock_.front();
    const Run run{geometry_.start_of(stock.first), std::min(wanted, stock.clusters), true, true};
    stock.first += run.clusters;
    stock.clusters -= run.clusters;
    if (stock.clusters == 0) {
        stock_.pop_front();
    }
    if (stock_.size() <= 1) {
        (void)co_await order_stock(queue);  // the same
    }
    co_return run;
}

/// Only where there is nothing free before the end of the file.
Task<Status> Refcounts::order_stock(Queue& queue) {
    constexpr std::uint64_t kMost = 1024;
    if (on_order_ || hint_ < fresh_from_) {
        co_return Status{};
    }
    const std::uint64_t wanted =
        std::clamp<std::uint64_t>(geometry_.cluster_of(stock_bytes_), 1, kMost);
    CO_TRY(const Run run, co_await allocate(queue, wanted, 1));
    ordered_ = {geometry_.cluster_of(run.offset), run.clusters};
    on_order_ = true;
    stock_bytes_ = std::min(2 * stock_bytes_, kMostStock);
    co_return Status{};
}

Task<void> Refcounts::cancel_order(Queue& queue) {
    on_order_ = false;
    const Stock stock = std::exchange(ordered_, {});
    for (std::uint64_t i = 0; i < stock.clusters; ++i) {
        (void)co_await release(queue, stock.first + i);  // else it leaks, no more
    }
}

void Refcounts::end_barrier(Stock stock, bool durable) {
    if (stock.clusters == 0) {
        return;
    }
    if (!durable) {
        counted_ = stock;
        return;
    }
    stock_.push_back(stock);
    on_order_ = false;
}

Result<std::uint64_t> Refcounts::return_stock_blocking() {
    std::deque<Stock> all = std::exchange(stock_, {});
    all.push_back(std::exchange(counted_, {}));
    all.push_back(std::exchange(ordered_, {}));
    on_order_ = false;
    std::uint64_t end = fresh_from_;
    for (; !all.empty(); all.pop_back()) {  // from the end of the file
        const Stock stock = all.back();
        for (std::uint64_t i = 0; i < stock.clusters; ++i) {
            CHECK(release_blocking(stock.first + i));
        }
        end = stock.first + stock.clusters == end ? stock.first : end;
    }
    const bool is_tail = end < fresh_from_ && file_.end() <= geometry_.start_of(fresh_from_);
    return is_tail ? geometry_.start_of(end) : file_.end();
}

Task<Result<Refcounts::Run>> Refcounts::reserve(Queue& queue, std::uint64_t clusters) {
    if (clusters <= first_of_block(1) / 2) {
        co_return co_await allocate(queue, clusters, clusters);
    }
    CO_TRY(const std::uint64_t first, co_await append(queue, clusters, false));
    co_return run_at(first, clusters);
}

Refcounts::Run Refcounts::run_at(std::uint64_t first, std::uint64_t clusters) {
    const bool fresh = first >= fresh_from_;
    if (!file_.is_block_device()) {
        fresh_from_ = std::max(fresh_from_, first + clusters);
    }
    return {geometry_.start_of(first), clusters, fresh, false};
}

/// Damaged counts may call clusters free that are in use; those that we know of are not given away.
Status Refcounts::check_usable(std::uint64_t first, std::uint64_t clusters) const {
    for (std::uint64_t cluster = first; cluster < first + clusters; ++cluster) {
        if (cluster == 0 || metadata_.contains(cluster)) {
            return corruption(fmt::format("the refcounts call the metadata cluster at {:#x} free",
                                          geometry_.start_of(cluster)));
        }
    }
    if (first + clusters > limit_) {
        return failure(ENOSPC, file_.path() + ": no free cluster is left");
    }
    return {};
}

/// Sets the counts of free clusters to 1.
Task<Status> Refcounts::take(Queue& queue, std::uint64_t first, std::uint64_t clusters) {
    for (std::uint64_t cluster = first; cluster < first + clusters;) {
        CO_TRY(Slice * slice, co_await slices_.load(queue, slice_of(cluster)));
        const std::uint64_t end = std::min(
            first + clusters, (cluster & ~(counters_per_slice() - 1)) + counters_per_slice());
        for (; cluster < end; ++cluster) {
            set_count(*slice, cluster, 1);
        }
    }
    co_return Status{};
}

void Refcounts::set_count(Slice& slice, std::uint64_t cluster, std::uint64_t count) {
    const std::uint64_t index = index_in_slice(cluster);
    raised_ = raised_ || count > load_refcount(slice.data(), geometry_.refcount_order, index);
    store_refcount(slice.data(), geometry_.refcount_order, index, count);
    slices_.mark_dirty(slice);
}

Status Refcounts::check_counted(std::uint64_t cluster) const {
    if (!has_block(cluster)) {
        return corruption(fmt::format("the cluster at {:#x} is in use and has no refcount",
                                      geometry_.start_of(cluster)));
    }
    return {};
}

Result<std::uint64_t> Refcounts::lower(Slice& slice, std::uint64_t cluster) {
    const std::uint64_t index = index_in_slice(cluster);
    const std::uint64_t before = load_refcount(slice.data(), geometry_.refcount_order, index);
    if (before == 0) {
        return corruption(fmt::format("the cluster at {:#x} is in use and has a refcount of 0",
                                      geometry_.start_of(cluster)));
    }
    set_count(slice, cluster, before - 1);
    if (before == 1) {
        hint_ = std::min(hint_, cluster);
    }
    return before - 1;
}

Task<Result<std::uint64_t>> Refcounts::release(Queue& queue, std::uint64_t cluster) {
    CO_CHECK(check_counted(cluster));
    CO_TRY(Slice * slice, co_await slices_.load(queue, slice_of(cluster)));
    co_return lower(*slice, cluster);
}

Result<std::uint64_t> Refcounts::release_blocking(std::uint64_t cluster) {
    CHECK(check_counted(cluster));
    TRY(Slice * slice, slices_.load_blocking(slice_of(cluster)));
    return lower(*slice, cluster);
}

Task<Result<std::uint64_t>> Refcounts::count(Queue& queue, std::uint64_t cluster) {
    if (!has_block(cluster)) {
        co_return std::uint64_t{0};
    }
    CO_TRY(const Slice* slice, co_await slices_.load(queue, slice_of(cluster)));
    co_return load_refcount(slice->data(), geometry_.refcount_order, index_in_slice(cluster));
}

Status Refcounts::count_own(Census& census) const {
    CHECK(census.add_own(table_offset_, table_.size() * 8));
    for (const std::uint64_t block : table_) {
        if (block != 0) {
            CHECK(census.add_own(block, geometry_.cluster_size()));
        }
    }
    return {};
}

Task<Result<Refcounts::Difference>> Refcounts::compare(Queue& queue, const Census& census) {
    Difference difference;
    for (std::uint64_t cluster = 0; cluster < census.clusters(); ++cluster) {
        CO_TRY(const std::uint64_t said, co_await count(queue, cluster));
        difference.too_high += said > census.count(cluster) ? 1 : 0;
        difference.too_low += said < census.count(cluster) ? 1 : 0;
    }
    co_return difference;
}

Task<Result<Refcounts::Adopted>> Refcounts::adopt(Queue& queue, const Census& census,
                                                  std::uint64_t first) {
    const std::uint64_t end =
        std::min(census.clusters(), (first & ~(counters_per_slice() - 1)) + counters_per_slice());
    Adopted adopted{end, 0};
    for (std::uint64_t cluster = first; cluster < end; ++cluster) {
        const std::uint64_t wanted = census.count(cluster);
        if (!has_block(cluster)) {
            if (wanted == 0) {
                continue;
            }
            CO_CHECK(co_await describe_frozen(queue, cluster));
        }
        if (wanted > max_refcount(geometry_.refcount_order)) {
            co_return corruption(
                fmt::format("the cluster at {:#x} has {} users, more than its "
                            "refcount can say",
                            geometry_.start_of(cluster), wanted));
        }
        CO_TRY(Slice * slice, co_await slices_.load(queue, slice_of(cluster)));
        const std::uint64_t index = index_in_slice(cluster);
        if (load_refcount(slice->data(), geometry_.refcount_order, index) == wanted) {
            continue;
        }
        set_count(*slice, cluster, wanted);
        ++adopted.wrong;
        hint_ = wanted == 0 && !is_frozen(cluster) ? std::min(hint_, cluster) : hint_;
    }
    co_return adopted;
}

void Refcounts::freeze(std::uint64_t end) {
    frozen_ = end;
    hint_ = end;
}

void Refcounts::thaw() {
    frozen_ = 0;
    hint_ = 1;
}

void Refcounts::set_table_entry(std::uint64_t index, std::uint64_t block_offset) {
    table_[index] = block_offset;
    dirty_sectors_.insert(index * 8 / kSector);
    metadata_.insert(geometry_.cluster_of(block_offset));
}

PendingWrite Refcounts::table_sector(std::uint64_t sector) const {
    PendingWrite write{table_offset_ + sector * kSector, std::vector<std::byte>(kSector)};
    for (std::size_t i = 0; i < kSector / 8; ++i) {
        store_be(write.bytes.data() + i * 8, table_[sector * kSector / 8 + i]);
    }
    return write;
}

PendingWrite Refcounts::header_pointer() const {
    PendingWrite write{field::kRefcountTable, std::vector<std::byte>(12)};
    store_be(write.bytes.data(), table_offset_);
    store_be(write.bytes.data() + 8,
             static_cast<std::uint32_t>(table_.size() * 8 / geometry_.cluster_size()));
    return write;
}

Refcounts::Batch Refcounts::begin_commit() {
    Batch batch;
    batch.counters = slices_.begin_commit();
    if (ordered_.clusters != 0) {
        const std::uint64_t end = geometry_.start_of(ordered_.first + ordered_.clusters);
        batch.stock = {end - kSector, std::vector<std::byte>(kSector)};
    }
    for (const std::uint64_t sector : std::exchange(dirty_sectors_, {})) {
        batch.pointers.push_back(table_sector(sector));
    }
    batch.moved = std::exchange(moved_, false);
    if (batch.moved) {
        batch.pointers.push_back(header_pointer());
    }
    batch.raised = std::exchange(raised_, false) || batch.stock || !batch.pointers.empty();
    return batch;
}

void Refcounts::end_commit(const Batch& batch, bool written) {
    slices_.end_commit(batch.counters, written);
    if (written) {
        if (batch.stock) {
            counted_ = std::exchange(ordered_, {});
        }
        return;
    }
    raised_ = raised_ || batch.raised;
    moved_ = moved_ || batch.moved;
    for (const PendingWrite& write : batch.pointers) {
        // The table may have moved meanwhile; then it has been written as a whole.
        if (write.offset >= table_offset_ && write.offset < table_offset_ + table_.size() * 8) {
            dirty_sectors_.insert((write.offset - table_offset_) / kSector);
        }
    }
}

}  // namespace lunkit::qcow

// SPDX-License-Identifier: Apache-2.0
#include "qcow/commit.hpp"

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <utility>

#include "lunkit/gate.hpp"
#include "lunkit/task.hpp"
#include "lunkit/try.hpp"

namespace lunkit::qcow {

namespace {

constexpr std::size_t kMostDirtySlices = 256;
constexpr std::size_t kMostUnlinked = 4096;

/// What those hear who waited for a commit.
constexpr std::int64_t kCovered = 0;  // it was theirs too
constexpr std::int64_t kLeads = 1;    // the next one is theirs to lead

void append(UnlinkedClusters& to, UnlinkedClusters from) {
    to.insert(to.end(), from.begin(), from.end());
}

/// Neighbours become one write.
std::vector<PendingWrite> merged(const std::vector<PendingWrite>& writes) {
    constexpr std::size_t kMost = 1U << 20U;
    std::vector<PendingWrite> result;
    for (const PendingWrite& write : writes) {
        if (!result.empty() && result.back().bytes.size() < kMost &&
            result.back().offset + result.back().bytes.size() == write.offset) {
            std::ranges::copy(write.bytes, std::back_inserter(result.back().bytes));
        } else {
            result.push_back(write);
        }
    }
    return result;
}

Detached write_one(ImageFile& file, Queue& queue, const PendingWrite& write,
                   Gate::Pass /*until it is written*/, Status& first_error) {
    Status written = co_await file.write_bytes(queue, write.offset, write.bytes);
    if (!written && first_error) {
        first_error = std::move(written);
    }
}

/// Side by side.
Task<Status> write_all(ImageFile& file, Queue& queue, std::vector<PendingWrite> writes) {
    Gate under_way;
    Status status;
    for (const PendingWrite& write : writes) {
        write_one(file, queue, write, under_way.enter(), status);
    }
    (void)co_await under_way.close(queue);
    co_return status;
}

Status write_all_blocking(ImageFile& file, const std::vector<PendingWrite>& writes) {
    for (const PendingWrite& write : writes) {
        CHECK(file.write_blocking(write.offset, write.bytes));
    }
    return {};
}

}  // namespace

Metadata::Metadata(ImageFile& file, const Geometry& image_geometry, std::uint64_t cache_bytes)
    : geometry(image_geometry),
      refcounts(file, image_geometry, clusters, unlinked, cache_bytes / 4),
      map(file, image_geometry, clusters, cache_bytes - cache_bytes / 4) {}

bool Commit::is_clean() const {
    return !running_ && !unsynced_ && !metadata_.map.dirty();
}

bool Commit::is_due() const {
    return metadata_.map.dirty_slices() + metadata_.refcounts.dirty_slices() > kMostDirtySlices ||
           metadata_.unlinked.size() + written_.size() > kMostUnlinked;
}

bool Commit::has_quarantined() const {
    return under_way_ > 0 || !metadata_.unlinked.empty() || !written_.empty() ||
           !releasable_.empty();
}

Task<Status> Commit::run(Queue& queue, Until until) {
    ++under_way_;
    Status done = co_await run_next(queue, ++asked_, until);
    if (done && metadata_.refcounts.has_counted_stock()) {
        co_await make_stock_ready(queue);
    }
    --under_way_;
    co_return done;
}

Task<Status> Commit::run_next(Queue& queue, std::uint64_t ticket, Until until) {
    if (led_) {
        const Outcome turn = co_await Operation([&](lunkit_completion* completion) {
            waiting_.push_back({ticket, until, &queue, completion});
            begin_if_enough();
            return LUNKIT_PENDING;
        });
        if (turn.result == kCovered) {
            co_return Status{};
        }
    }
    led_ = true;
    if (until != Until::kDurable && !has_enough()) {
        (void)co_await Operation([&](lunkit_completion* completion) {
            gathers_ = {ticket, until, &queue, completion};
            return LUNKIT_PENDING;
        });
    }
    const Status done = co_await lead(queue, until);
    pass_on();
    co_return done;
}

/// The next one to lead is woken first, so that its barrier begins before the others do something
/// else. After a failure nobody is covered, and the next one tries for all.
void Commit::pass_on() {
    told_.swap(waiting_);
    led_ = false;
    for (const Waiting& one : told_) {
        if (!covers(one.ticket, one.until) && !led_) {
            led_ = true;
            one.completion->result = kLeads;
            one.queue->post(one.completion);
        } else if (!covers(one.ticket, one.until)) {
            waiting_.push_back(one);
        }
    }
    for (const Waiting& one : told_) {
        if (covers(one.ticket, one.until)) {
            one.completion->result = kCovered;
            one.queue->post(one.completion);
        }
    }
    told_.clear();
}

/// As many wait as are still at their data; a flush or a FUA write waits for nobody.
bool Commit::has_enough() const {
    const auto durably = [](const Waiting& one) { return one.until == Until::kDurable; };
    return waiting_.size() + 1 >= preparing_ || std::ranges::any_of(waiting_, durably);
}

void Commit::begin_if_enough() {
    if (gathers_ && has_enough()) {
        gathers_->queue->post(gathers_->completion);
        gathers_.reset();
    }
}

Task<Status> Commit::lead(Queue& queue, Until until) {
    const std::uint64_t last = asked_;
    Batch batch = begin();
    if (batch.unlinked.size() + written_.size() > kMostUnlinked) {
        until = Until::kDurable;  // nothing else lets go of them
    }
    running_ = true;
    Status written = co_await write_counts(queue, batch);
    if (written) {
        written = co_await write_links(queue, batch, until);
    }
    running_ = false;
    end(batch, written.has_value());
    CO_CHECK(written);
    linked_ = std::max(linked_, last);
    if (until == Until::kDurable) {
        durable_ = std::max(durable_, last);
    }
    co_return co_await release(queue);
}

Commit::Batch Commit::begin() {
    return {metadata_.refcounts.begin_commit(), metadata_.map.begin_commit(),
            std::exchange(metadata_.unlinked, {}), std::exchange(metadata_.ordered, false)};
}

/// Of the links, and of counts that none of them waited for; write_raised() has ended others.
void Commit::end(Batch& batch, bool written) {
    if (!batch.counts.raised) {
        metadata_.refcounts.end_commit(batch.counts, written);
    }
    metadata_.map.end_commit(batch.links, written);
    if (!written) {
        append(metadata_.unlinked, std::move(batch.unlinked));
        metadata_.ordered = metadata_.ordered || batch.ordered;
        return;
    }
    append(unsynced_ ? written_ : releasable_, std::move(batch.unlinked));
}

/// Everything that was written before it is durable; what waited for that goes on.
Task<Status> Commit::flush(Queue& queue) {
    UnlinkedClusters unlinked = std::exchange(written_, {});
    const Refcounts::Stock stock = metadata_.refcounts.begin_barrier();
    Status flushed;
    if (data_file_ != nullptr) {
        flushed = co_await data_file_->flush(queue);
    }
    if (flushed) {
        flushed = co_await file_.flush(queue);
    }
    metadata_.refcounts.end_barrier(stock, flushed.has_value());
    append(flushed ? releasable_ : written_, std::move(unlinked));
    co_return flushed;
}

/// A flush within a commit: nobody writes links meanwhile.
Task<Status> Commit::barrier(Queue& queue) {
    CO_CHECK(co_await flush(queue));
    unsynced_ = false;
    co_return Status{};
}

/// Who fails here has not lost anything: the stock stays on order, and the next barrier tells.
Task<void> Commit::make_stock_ready(Queue& queue) {
    RangeLock::Guard guard(stock_barrier_, {0, 1}, RangeLock::Mode::kExclusive);
    co_await guard.acquire(queue);
    if (metadata_.refcounts.has_counted_stock()) {
        (void)co_await flush(queue);
    }
}

Task<void> Commit::wait_for_stock(Queue& queue) {
    RangeLock::Guard guard(stock_barrier_, {0, 1}, RangeLock::Mode::kShared);
    co_await guard.acquire(queue);
}

/// A file system without room for stock has some for what it was asked to store, perhaps.
Task<bool> Commit::extend_for_stock(Queue& queue, const PendingWrite& end) {
    if (const Status extended = co_await file_.write_bytes(queue, end.offset, end.bytes);
        extended) {
        co_return true;
    }
    AsyncMutex::Guard guard(metadata_.mutex);
    co_await guard.acquire(queue);
    co_await metadata_.refcounts.cancel_order(queue);
    co_return false;
}

Task<Status> Commit::write_counts(Queue& queue, Batch& batch) {
    if (batch.counts.raised) {
        CO_CHECK(co_await write_raised(queue, batch));
    }
    if (batch.wants_barrier()) {
        CO_CHECK(co_await barrier(queue));
    }
    co_return Status{};
}

/// The links of this commit, or of one that follows, are to clusters whose counts go up.
Task<Status> Commit::write_raised(Queue& queue, Batch& batch) {
    if (batch.counts.stock) {
        const bool extended = co_await extend_for_stock(queue, *batch.counts.stock);
        if (!extended) {
            batch.counts.stock.reset();  // by now something else may be on order
        }
    }
    Status written = co_await write_all(file_, queue, merged(batch.counts.counters));
    if (written && !batch.counts.pointers.empty()) {
        written = co_await barrier(queue);
        if (written) {
            written = co_await write_all(file_, queue, batch.counts.pointers);
        }
    }
    metadata_.refcounts.end_commit(batch.counts, written.has_value());
    co_return written;
}

Task<Status> Commit::write_links(Queue& queue, const Batch& batch, Until until) {
    std::vector<PendingWrite> writes = merged(batch.links.slices);
    if (!batch.counts.raised) {
        std::ranges::move(merged(batch.counts.counters), std::back_inserter(writes));
    }
    unsynced_ = unsynced_ || batch.has_links();
    CO_CHECK(co_await write_all(file_, queue, std::move(writes)));
    CO_CHECK(co_await write_all(file_, queue, batch.links.l1));
    if (until == Until::kDurable) {
        CO_CHECK(co_await barrier(queue));
    }
    co_return Status{};
}

/// Lets go of the clusters in quarantine whose last pointer is durably gone.
Task<Status> Commit::release(Queue& queue) {
    if (releasable_.empty()) {
        co_return Status{};
    }
    constexpr std::size_t kAtOnce = 256;
    const UnlinkedClusters released = take_releasable();
    co_await punch(queue, released);
    AsyncMutex::Guard guard(metadata_.mutex);
    co_await guard.acquire(queue);
    std::size_t done = 0;
    for (const Unlinked& unlinked : released) {
        if (++done % kAtOnce == 0) {
            (void)co_await queue.yield();
        }
        CO_TRY(const std::uint64_t count,
               co_await metadata_.refcounts.release(queue, unlinked.cluster));
        if (count == 0 && metadata_.clusters.contains(unlinked.cluster)) {
            metadata_.clusters.erase(unlinked.cluster);
            co_await metadata_.map.forget(queue, unlinked.cluster);
        }
    }
    co_return Status{};
}

UnlinkedClusters Commit::take_releasable() {
    UnlinkedClusters all = std::exchange(releasable_, {});
    const auto frozen = std::ranges::partition(all, [this](const Unlinked& unlinked) {
        return !metadata_.refcounts.is_frozen(unlinked.cluster);
    });
    for (const Unlinked& unlinked : frozen) {
        frozen_.add(unlinked);
    }
    all.erase(frozen.begin(), frozen.end());
    return all;
}

bool Commit::thaw_some() {
    UnlinkedClusters some = frozen_.take(kMostUnlinked);
    const bool any = !some.empty();
    append(releasable_, std::move(some));
    return any;
}

/// While their counts are still up nobody else can have the clusters.
Task<void> Commit::punch(Queue& queue, const UnlinkedClusters& released) {
    std::vector<std::uint64_t> clusters;
    for (const Unlinked& unlinked : released) {
        if (!unlinked.punch || !can_punch_) {
            continue;
        }
        const Result<std::uint64_t> count =
            co_await metadata_.refcounts.count(queue, unlinked.cluster);
        if (count && *count == 1) {
            clusters.push_back(unlinked.cluster);
        }
    }
    std::ranges::sort(clusters);
    for (std::size_t first = 0; first < clusters.size() && can_punch_;) {
        std::size_t next = first + 1;
        while (next < clusters.size() && clusters[next] == clusters[next - 1] + 1) {
            ++next;
        }
        const Status punched =
            co_await file_.discard(queue, metadata_.geometry.start_of(clusters[first]),
                                   metadata_.geometry.start_of(next - first));
        // It is a favour to the file system; the clusters are free without it too.
        can_punch_ = punched || punched.error().code != EOPNOTSUPP;
        first = next;
    }
}

Status Commit::barrier_blocking() const {
    if (data_file_ != nullptr) {
        CHECK(data_file_->flush_blocking());
    }
    return file_.flush_blocking();
}

Status Commit::run_blocking() {
    if (file_.has_lost() || (data_file_ != nullptr && data_file_->has_lost())) {
        // The file has told of it once, and would not again: a link could become durable whose
        // count is not.
        return failure(EIO, "an earlier flush has failed");
    }
    TRY(const std::uint64_t end_of_file, metadata_.refcounts.return_stock_blocking());
    Batch batch = begin();
    const Status written = write_blocking(batch);
    unsynced_ = false;
    metadata_.refcounts.end_commit(batch.counts, written.has_value());
    end(batch, written.has_value());
    CHECK(written);
    append(releasable_, std::exchange(written_, {}));
    CHECK(release_blocking());
    // Only counters are left: those that went down. Losing them would be a leak.
    const Refcounts::Batch counts = metadata_.refcounts.begin_commit();
    const Status counted = write_all_blocking(file_, counts.counters);
    metadata_.refcounts.end_commit(counts, counted.has_value());
    CHECK(counted);
    CHECK(barrier_blocking());
    // Holes at the end would be free space within the file, to be used up first the next time.
    if (end_of_file < file_.end()) {
        [[maybe_unused]] const Status cut = file_.resize_blocking(end_of_file);
    }
    return {};
}

Status Commit::write_blocking(const Batch& batch) {
    CHECK(write_all_blocking(file_, batch.counts.counters));
    CHECK(barrier_blocking());
    if (!batch.counts.pointers.empty()) {
        CHECK(write_all_blocking(file_, batch.counts.pointers));
        CHECK(barrier_blocking());
    }
    CHECK(write_all_blocking(file_, batch.links.slices));
    CHECK(write_all_blocking(file_, batch.links.l1));
    return barrier_blocking();
}

Status Commit::release_blocking() {
    for (const Unlinked& unlinked : take_releasable()) {
        CHECK(metadata_.refcounts.release_blocking(unlinked.cluster));
    }
    return {};
}

}  // namespace lunkit::qcow

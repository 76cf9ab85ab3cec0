// SPDX-License-Identifier: Apache-2.0
// Image: repair of refcounts. A writer that defers them (lazy_refcounts) sets the dirty bit before
// and clears it behind; when it died in between, the counts in the file mean nothing (rule R11).
// Such an image is written at once, and its clusters are counted behind the back of the requests:
//   - all that is new, metadata included, goes behind the end that the file had, where no count is
//     wrong; clusters of before that lose a pointer wait, and nobody else gets them;
//   - no table of before is changed in place: tables that are to change move behind the end. So
//     what is counted stays as it was, while its successors are counted as they come up. With
//     snapshots no data is changed in place either, as a COPIED flag may be wrong like a count;
//   - when all is counted, the counts are made durable, then those that waited are released, then
//     the dirty bit goes.
// A block device has no room behind its end. There the end is the last cluster that is in use, and
// only a walk of all tables tells which one that is: the counts may say 0 of clusters behind the
// highest of which they do not. So what needs a new cluster or another entry waits for the walk,
// though not for the counts; what is written in place does not wait.
// The end of the process at any time leaves the dirty bit, and whoever opens the image next counts
// anew. An error that may pass (no space, a failed read or write) is logged, and it is tried again
// later; a failed flush does not pass while the file is open, so the repair ends. What is more than
// wrong counts is left to qemu-img, and the image is not written any more.
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "lunkit/handler.hpp"
#include "lunkit/try.hpp"
#include "qcow/image.hpp"

namespace lunkit::qcow {

namespace {

constexpr std::string_view kEndsEarly = "the repair ends early; the next opening begins it anew";

/// Another try may succeed: it is neither damage nor more than can be counted here.
bool may_pass(const Error& error) {
    return error.error_class != ErrorClass::kInternal && error.code != ENOTSUP &&
           error.code != EFBIG;
}

std::string reason(const Error& error) {
    return error.what.empty() ? fmt::format("error {}", error.code) : error.what;
}

}  // namespace

/// Under prepare_mutex_, before the first change; repair() follows. Waits for nothing.
Status Image::begin_repair() {
    auto repair = std::make_unique<Repair>(
        Repair{.census = {file_, geometry_, background_}, .l1 = metadata_.map.l1()});
    if (const Status counted = count_own(repair->census); !counted) {
        return may_pass(counted.error()) ? counted : give_up(counted.error());
    }
    repair_ = std::move(repair);
    const std::uint64_t clusters = repair_->census.clusters();
    freeze(clusters);
    waits_for_census_ = file_.is_block_device();
    log_repair(LUNKIT_LOG_NOTICE, "its refcounts are counted anew");
    return {};
}

Detached Image::repair_behind(lunkit_queue* handle) {
    constexpr std::chrono::seconds kFirst(1);
    constexpr std::chrono::seconds kLongest(60);
    background_.begin();
    HostQueue queue(file_.host(), handle);
    std::chrono::seconds time = kFirst;
    while (!co_await repair(queue) && repair_ != nullptr) {
        if (!co_await background_.pause(queue, time)) {
            log_repair(LUNKIT_LOG_NOTICE, kEndsEarly);
            break;
        }
        time = std::min(2 * time, kLongest);
    }
    background_.end();
}

/// Nothing below `end` is handed out or relied on.
void Image::freeze(std::uint64_t end) {
    const std::uint64_t bytes = geometry_.start_of(end);
    metadata_.refcounts.freeze(end);
    metadata_.map.distrust(bytes, snapshots_.snapshots.empty() ? 0 : bytes);
}

/// Before a change for which there may be no room until all is counted.
Task<Status> Image::wait_for_census(Queue& queue) {
    if (!waits_for_census_) {
        co_return Status{};
    }
    RangeLock::Guard guard(counting_, {0, 1}, RangeLock::Mode::kShared);
    co_await guard.acquire(queue);
    if (!waits_for_census_) {
        co_return Status{};
    }
    if (unrepairable_) {
        co_return failure(EROFS);
    }
    co_return failure(EIO, file_.path() + ": its clusters could not be counted");
}

/// The log says what becomes of it. Fails and leaves repair_: it may be called again.
Task<Status> Image::repair(Queue& queue) {
    const Status mended = co_await mend(queue);
    if (!mended && mended.error().code == ECANCELED) {
        log_repair(LUNKIT_LOG_NOTICE, kEndsEarly);
        repair_.reset();
        co_return mended;
    }
    if (!mended && may_pass(mended.error()) && has_lost()) {
        log_repair(LUNKIT_LOG_WARNING,
                   fmt::format("a flush has failed ({}), and so will all others: {}",
                               reason(mended.error()), kEndsEarly));
        repair_.reset();
        co_return mended;
    }
    if (!mended && may_pass(mended.error())) {
        log_repair(LUNKIT_LOG_WARNING,
                   fmt::format("the repair has failed and is tried again later: {}",
                               reason(mended.error())));
        co_return mended;
    }
    const std::uint64_t wrong = repair_->wrong;
    repair_.reset();
    if (!mended) {
        co_return give_up(mended.error());
    }
    log_repair(LUNKIT_LOG_NOTICE, fmt::format("{} refcounts mended", wrong));
    co_return Status{};
}

/// Goes on with what has not been done yet.
Task<Status> Image::mend(Queue& queue) {
    if (!repair_->counted) {
        RangeLock::Guard guard(counting_, {0, 1}, RangeLock::Mode::kExclusive);
        co_await guard.acquire(queue);
        repair_->census.restart();
        CO_CHECK(co_await count_tables(queue, repair_->census, repair_->l1));
        if (waits_for_census_) {
            CO_CHECK(co_await make_room_behind_used(queue));
        }
        repair_->counted = true;
    }
    if (!repair_->adopted) {
        CO_CHECK(co_await adopt(queue, repair_->census, 0, repair_->wrong));
        CO_CHECK(co_await commit_.run(queue, Commit::Until::kDurable));
        AsyncMutex::Guard guard(metadata_.mutex);
        co_await guard.acquire(queue);
        metadata_.refcounts.thaw();
        metadata_.map.distrust(0, 0);
        repair_->adopted = true;
    }
    CO_CHECK(co_await release_frozen(queue));
    co_return co_await clear_dirty_bit(queue);
}

/// Nobody has been given anything yet. Behind the last cluster in use all counts become 0; what was
/// read has been flushed (prepare()), so nothing in the file can lead there any more (R5).
Task<Status> Image::make_room_behind_used(Queue& queue) {
    const std::uint64_t used = repair_->census.used_end();
    CO_CHECK(co_await adopt(queue, repair_->census, used, repair_->wrong));
    repair_->census.cut(used);
    freeze(used);
    waits_for_census_ = false;
    co_return Status{};
}

Task<Status> Image::release_frozen(Queue& queue) {
    while (commit_.thaw_some()) {
        CO_CHECK(co_await background_.rest(queue));
        CO_CHECK(co_await commit_.run(queue, Commit::Until::kLinked));
    }
    co_return co_await background_.rest(queue);
}

void Image::log_repair(int level, std::string_view text) const {
    const std::string line = fmt::format("{} was not closed properly: {}", file_.path(), text);
    file_.host().log(nullptr, level, line.c_str());
}

Status Image::give_up(const Error& error) {
    unrepairable_ = true;
    log_repair(LUNKIT_LOG_ERROR,
               fmt::format("its refcounts cannot be mended here ({}): run 'qemu-img check -r all' "
                           "on it; refusing writes",
                           reason(error)));
    return failure(EROFS);
}

Task<Status> Image::clear_dirty_bit(Queue& queue) {
    if (corrupt_) {
        co_return failure(ECANCELED);
    }
    co_return co_await write_features(queue, kDirty);
}

/// What is found without reading anything; room for the rest.
Status Image::count_own(Census& census) const {
    if (header_.bitmaps && (header_.autoclear_features & kBitmapsConsistent) != 0) {
        return failure(ENOTSUP, "it has bitmaps");
    }
    CHECK(census.begin());
    CHECK(census.add_own(0, geometry_.cluster_size()));
    if (header_.encryption_header) {
        CHECK(census.add_own(header_.encryption_header->offset, header_.encryption_header->length));
    }
    CHECK(metadata_.refcounts.count_own(census));
    CHECK(census.add_own(metadata_.map.l1_offset(), metadata_.map.l1_size() * 8));
    return census.add_own(header_.snapshots_offset, snapshots_.bytes);
}

/// Those that `l1`, the active L1 table, and those of the snapshots lead to.
Task<Status> Image::count_tables(Queue& queue, Census& census, std::span<const std::uint64_t> l1) {
    CO_CHECK(co_await census.add_tables(queue, l1, true));
    for (const Snapshot& snapshot : snapshots_.snapshots) {
        CO_CHECK(co_await census.add_l1(queue, snapshot.l1_table_offset, snapshot.l1_size));
    }
    co_return co_await census.check_copied(queue);
}

/// Makes all counts from `first` on what the census says; adds to `wrong` how many were not.
Task<Status> Image::adopt(Queue& queue, const Census& census, std::uint64_t first,
                          std::uint64_t& wrong) {
    for (std::uint64_t cluster = first; cluster < census.clusters();) {
        {
            AsyncMutex::Guard guard(metadata_.mutex);
            co_await guard.acquire(queue);
            CO_TRY(const Refcounts::Adopted adopted,
                   co_await metadata_.refcounts.adopt(queue, census, cluster));
            cluster = adopted.next;
            wrong += adopted.wrong;
        }
        CO_CHECK(co_await background_.rest(queue));  // nothing is written after it says no
        if (commit_.is_due()) {
            CO_CHECK(co_await commit_.run(queue, Commit::Until::kLinked));
        }
    }
    co_return co_await background_.rest(queue);
}

Task<Result<Verdict>> Image::verify(Queue& queue, bool repair) {
    if (repair && header_.has(kDirty)) {
        CO_CHECK(begin_repair());
        CO_CHECK(co_await this->repair(queue));
    }
    Verdict verdict;
    Census census(file_, geometry_, background_);
    Status counted = count_own(census);
    if (counted) {
        counted = co_await count_tables(queue, census, metadata_.map.l1());
    }
    if (!counted && counted.error().error_class != ErrorClass::kInternal) {
        co_return failure(counted.error().code, file_.path() + ": " + counted.error().what);
    }
    if (!counted) {
        verdict.damage = counted.error().what;
        co_return verdict;
    }
    CO_TRY(const Refcounts::Difference difference,
           co_await metadata_.refcounts.compare(queue, census));
    verdict.leaked = difference.too_high;
    if (difference.too_low > 0) {
        verdict.damage = fmt::format("{} refcounts are too low", difference.too_low);
    }
    if (repair && verdict.damage.empty() && verdict.leaked > 0) {
        // What was read may be in the page cache only: a process that was killed has left it there.
        // The removal of a cluster's last pointer is durable before its count goes down (R4).
        CO_CHECK(co_await file_.flush(queue));
        CO_CHECK(co_await adopt(queue, census, 0, verdict.repaired));
        CO_CHECK(co_await commit_.run(queue, Commit::Until::kDurable));
    }
    co_return verdict;
}

}  // namespace lunkit::qcow

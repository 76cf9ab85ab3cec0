// SPDX-License-Identifier: Apache-2.0
// Image: repair of refcounts. A writer that defers them (lazy_refcounts) sets the dirty bit before
// and clears it behind; when it died in between, the counts in the file mean nothing (rule R11).
// Such an image is written at once, and its clusters are counted behind the back of the requests:
//   - all that is new, metadata included, goes behind the end that the file had, where no count is
//     wrong; clusters of before that lose a pointer wait, and nobody else gets them;
//   - no table of before is changed in place: tables that are to change move behind the end. So
//     what is counted stays as it was, while its successors are counted as they come up. With
//     snapshots no data is changed in place either, as a COPIED flag may be wrong like a count;
//   - when all is counted, the counts are made durable, then the dirty bit goes, then those that
//     waited are released.
// The end of the process at any time leaves the dirty bit, and whoever opens the image next counts
// anew. What is more than wrong counts is left to qemu-img, and the image is not written any more.
#include <cerrno>
#include <span>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "lunkit/handler.hpp"
#include "lunkit/try.hpp"
#include "qcow/image.hpp"

namespace lunkit::qcow {

/// Under prepare_mutex_, before the first change; repair() follows. Waits for nothing.
Status Image::begin_repair() {
    repair_ = std::make_unique<Repair>(Repair{{file_, geometry_, background_}, metadata_.map.l1()});
    if (const Status counted = count_own(repair_->census); !counted) {
        return give_up(counted.error());
    }
    const std::uint64_t clusters = repair_->census.clusters();
    const std::uint64_t end = geometry_.start_of(clusters);
    metadata_.refcounts.freeze(clusters);
    metadata_.map.distrust(end, snapshots_.snapshots.empty() ? 0 : end);
    return {};
}

Detached Image::repair_behind(lunkit_queue* handle) {
    background_.begin();
    HostQueue queue(file_.host(), handle);
    (void)co_await repair(queue);  // the log says what became of it
    background_.end();
}

Task<Status> Image::repair(Queue& queue) {
    std::uint64_t wrong = 0;
    const Status counted = co_await repair_counts(queue, wrong);
    if (!counted && counted.error().code == ECANCELED) {
        co_return counted;
    }
    repair_.reset();
    if (!counted) {
        co_return give_up(counted.error());
    }
    CO_CHECK(co_await clear_dirty_bit(queue));
    const std::string text =
        fmt::format("{} was not closed properly: {} refcounts mended", file_.path(), wrong);
    file_.host().log(nullptr, LUNKIT_LOG_NOTICE, text.c_str());
    co_return co_await commit_.run(queue, Commit::Until::kLinked);
}

/// Until the counts are right, in the file and here.
Task<Status> Image::repair_counts(Queue& queue, std::uint64_t& wrong) {
    CO_CHECK(co_await count_tables(queue, repair_->census, repair_->l1));
    CO_TRY(wrong, co_await adopt(queue, repair_->census));
    CO_CHECK(co_await commit_.run(queue, Commit::Until::kDurable));
    metadata_.refcounts.thaw();
    metadata_.map.distrust(0, 0);
    commit_.thaw();
    co_return Status{};
}

Status Image::give_up(const Error& error) {
    unrepairable_ = true;
    const std::string text = fmt::format(
        "{} was not closed properly and its refcounts cannot be mended here ({}): run 'qemu-img "
        "check -r all' on it; refusing writes",
        file_.path(), error.what.empty() ? fmt::format("error {}", error.code) : error.what);
    file_.host().log(nullptr, LUNKIT_LOG_ERROR, text.c_str());
    return failure(EROFS);
}

Task<Status> Image::clear_dirty_bit(Queue& queue) {
    if (corrupt_) {
        co_return failure(EIO);
    }
    header_.incompatible_features &= ~std::uint64_t{kDirty};
    co_return co_await write_features(queue);
}

/// What is found without reading anything; room for the rest.
Status Image::count_own(Census& census) const {
    if (header_.bitmaps && (header_.autoclear_features & kBitmapsConsistent) != 0) {
        return failure(ENOTSUP, "it has bitmaps");
    }
    CHECK(census.begin());
    CHECK(census.add(0, geometry_.cluster_size()));
    if (header_.encryption_header) {
        CHECK(census.add(header_.encryption_header->offset, header_.encryption_header->length));
    }
    CHECK(metadata_.refcounts.count_own(census));
    CHECK(census.add(metadata_.map.l1_offset(), metadata_.map.l1_size() * 8));
    return census.add(header_.snapshots_offset, snapshots_.bytes);
}

/// Those that `l1`, the active L1 table, and those of the snapshots lead to.
Task<Status> Image::count_tables(Queue& queue, Census& census, std::span<const std::uint64_t> l1) {
    CO_CHECK(co_await census.add_tables(queue, l1, true));
    for (const Snapshot& snapshot : snapshots_.snapshots) {
        CO_CHECK(co_await census.add_l1(queue, snapshot.l1_table_offset, snapshot.l1_size));
    }
    co_return co_await census.check_copied(queue);
}

/// Makes all counts what the census says; gives how many were not.
Task<Result<std::uint64_t>> Image::adopt(Queue& queue, const Census& census) {
    std::uint64_t wrong = 0;
    for (std::uint64_t cluster = 0; cluster < census.clusters();) {
        {
            AsyncMutex::Guard guard(metadata_.mutex);
            co_await guard.acquire(queue);
            CO_TRY(const Refcounts::Adopted adopted,
                   co_await metadata_.refcounts.adopt(queue, census, cluster));
            cluster = adopted.next;
            wrong += adopted.wrong;
        }
        if (commit_.is_due()) {
            CO_CHECK(co_await commit_.run(queue, Commit::Until::kLinked));
        }
        CO_CHECK(co_await background_.rest(queue));
    }
    co_return wrong;
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
        CO_TRY(verdict.repaired, co_await adopt(queue, census));
        CO_CHECK(co_await commit_.run(queue, Commit::Until::kDurable));
    }
    co_return verdict;
}

}  // namespace lunkit::qcow

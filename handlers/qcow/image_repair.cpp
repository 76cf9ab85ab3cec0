// SPDX-License-Identifier: Apache-2.0
// Image: repair of refcounts. A writer that defers them (lazy_refcounts) sets the dirty bit before
// and clears it behind; when it died in between, the counts in the file mean nothing. They are
// counted anew before our first write, while reads go on, made durable, and then the bit goes (rule
// R11). What is more than wrong counts is left to qemu-img, and the image is not written.
#include <cerrno>
#include <vector>

#include <fmt/format.h>

#include "lunkit/try.hpp"
#include "qcow/big_endian.hpp"
#include "qcow/image.hpp"

namespace lunkit::qcow {

/// Under prepare_mutex_: nobody else writes yet.
Task<Status> Image::repair(Queue& queue) {
    if (unrepairable_) {
        co_return failure(EROFS);
    }
    Census census(file_, geometry_);
    Status counted = co_await count_all(queue, census);
    Result<std::uint64_t> wrong = 0;
    if (counted) {
        AsyncMutex::Guard guard(metadata_.mutex);
        co_await guard.acquire(queue);
        wrong = co_await metadata_.refcounts.adopt(queue, census);
    }
    if (!counted || !wrong) {
        unrepairable_ = true;
        const std::string text = fmt::format(
            "{} was not closed properly and its refcounts cannot be mended here ({}): run "
            "'qemu-img "
            "check -r all' on it; refusing writes",
            file_.path(), counted ? wrong.error().what : counted.error().what);
        file_.host().log(nullptr, LUNKIT_LOG_ERROR, text.c_str());
        co_return failure(EROFS);
    }
    CO_CHECK(co_await commit_.run(queue, Commit::Until::kDurable));
    const std::uint64_t features = header_.incompatible_features & ~std::uint64_t{kDirty};
    std::vector<std::byte> bytes(8);
    store_be(bytes.data(), features);
    CO_CHECK(co_await file_.write_bytes(queue, field::kIncompatibleFeatures, bytes));
    CO_CHECK(co_await file_.flush(queue));
    header_.incompatible_features = features;
    const std::string text =
        fmt::format("{} was not closed properly: {} refcounts mended", file_.path(), *wrong);
    file_.host().log(nullptr, LUNKIT_LOG_NOTICE, text.c_str());
    co_return Status{};
}

Task<Status> Image::count_all(Queue& queue, Census& census) {
    if (header_.bitmaps && (header_.autoclear_features & kBitmapsConsistent) != 0) {
        co_return failure(ENOTSUP, "it has bitmaps");
    }
    CO_CHECK(census.begin());
    CO_CHECK(census.add(0, geometry_.cluster_size()));
    if (header_.encryption_header) {
        CO_CHECK(census.add(header_.encryption_header->offset, header_.encryption_header->length));
    }
    CO_CHECK(metadata_.refcounts.count_own(census));
    CO_CHECK(co_await census.add_l1(queue, header_.l1_table_offset, header_.l1_size, true));
    CO_CHECK(census.add(header_.snapshots_offset, snapshots_.bytes));
    for (const Snapshot& snapshot : snapshots_.snapshots) {
        CO_CHECK(co_await census.add_l1(queue, snapshot.l1_table_offset, snapshot.l1_size, false));
    }
    co_return census.check_copied();
}

Task<Result<Verdict>> Image::verify(Queue& queue, bool repair) {
    if (repair && header_.has(kDirty)) {
        CO_CHECK(co_await this->repair(queue));
    }
    Verdict verdict;
    Census census(file_, geometry_);
    const Status counted = co_await count_all(queue, census);
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
        {
            AsyncMutex::Guard guard(metadata_.mutex);
            co_await guard.acquire(queue);
            CO_TRY(verdict.repaired, co_await metadata_.refcounts.adopt(queue, census));
        }
        CO_CHECK(co_await commit_.run(queue, Commit::Until::kDurable));
    }
    co_return verdict;
}

}  // namespace lunkit::qcow

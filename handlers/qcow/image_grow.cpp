// SPDX-License-Identifier: Apache-2.0
// Image: growing. The order (R8, R10): a larger L1 table if it takes one; what lies behind the old
// end made to read as zeros; all of that durable; then the size in the header.
#include <algorithm>
#include <cerrno>
#include <vector>

#include <fmt/format.h>

#include "lunkit/try.hpp"
#include "qcow/big_endian.hpp"
#include "qcow/image.hpp"

namespace lunkit::qcow {

Task<Status> Image::grow(Queue& queue, std::uint64_t size) {
    AsyncMutex::Guard guard(grow_mutex_);
    co_await guard.acquire(queue);
    const std::uint64_t old_size = size_.load();
    if (size == old_size) {
        co_return Status{};
    }
    if (size < old_size) {
        co_return failure(EOPNOTSUPP, fmt::format("{}: shrinking from {} to {} bytes is not "
                                                  "supported",
                                                  file_.path(), old_size, size));
    }
    if (options_.read_only) {
        co_return failure(EROFS, file_.path() + " is served read-only");
    }
    if (geometry_.version < 3 && (header_.nb_snapshots > 0 || backing_ != nullptr)) {
        co_return failure(EOPNOTSUPP, file_.path() +
                                          ": an image of version 2 with snapshots or a "
                                          "backing file cannot grow");
    }
    const std::uint64_t entries =
        l1_entries_for(size, geometry_.cluster_bits, geometry_.l2_entry_size());
    if (entries * 8 > kMaxL1Bytes || size > static_cast<std::uint64_t>(INT64_MAX) / 2) {
        co_return failure(EFBIG, fmt::format("{}: {} bytes are more than the format allows with "
                                             "clusters of {}",
                                             file_.path(), size, geometry_.cluster_size()));
    }
    CO_CHECK(co_await prepare(queue));
    if (entries > metadata_.map.l1_size()) {
        CO_CHECK(co_await grow_l1(queue, entries));
    }
    // Beyond the old end there may be remains in the last cluster, and a longer backing file.
    const std::uint64_t covered = backing_ != nullptr ? backing_->size() : 0;
    const std::uint64_t dirty_end = std::min(size, std::max(covered, geometry_.round_up(old_size)));
    if (dirty_end > old_size) {
        const ByteRange range{old_size, dirty_end - old_size};
        RangeLock::Guard lock(ranges_, lock_range(range), RangeLock::Mode::kExclusive);
        co_await lock.acquire(queue);
        CO_CHECK(co_await clear_locked(queue, range, Space::kRelease, size));
    }
    if (header_.raw_data_file() && data_file().end() < size) {
        CO_CHECK(co_await data_file().resize(queue, size));
    }
    CO_CHECK(co_await commit_.run(queue, Commit::Until::kDurable));
    std::vector<std::byte> bytes(8);
    store_be(bytes.data(), size);
    CO_CHECK(co_await file_.write_bytes(queue, field::kSize, bytes));
    CO_CHECK(co_await file_.flush(queue));
    header_.size = size;
    size_ = size;
    co_return Status{};
}

Task<Status> Image::grow_l1(Queue& queue, std::uint64_t entries) {
    AsyncMutex::Guard guard(metadata_.mutex);
    co_await guard.acquire(queue);
    const std::uint64_t clusters = geometry_.cluster_of(geometry_.round_up(entries * 8));
    CO_TRY(const Refcounts::Run run, co_await metadata_.refcounts.reserve(queue, clusters));
    CO_CHECK(co_await metadata_.map.write_l1(queue, run.offset, entries));
    const std::uint64_t old_first = geometry_.cluster_of(metadata_.map.l1_offset());
    const std::uint64_t old_clusters =
        geometry_.cluster_of(geometry_.round_up(metadata_.map.l1_size() * 8));
    for (std::uint64_t i = 0; i < old_clusters; ++i) {
        metadata_.unlinked.push_back({old_first + i, false});
    }
    for (std::uint64_t i = 0; i < clusters; ++i) {
        metadata_.clusters.insert(geometry_.cluster_of(run.offset) + i);
    }
    metadata_.map.adopt_l1(run.offset, entries);
    co_return Status{};
}

}  // namespace lunkit::qcow

// SPDX-License-Identifier: Apache-2.0
#include "qcow/slice_cache.hpp"

#include <algorithm>
#include <utility>

#include "lunkit/try.hpp"

namespace lunkit::qcow {

namespace {
constexpr std::size_t kFewestSlices = 16;
}  // namespace

SliceCache::SliceCache(ImageFile& file, std::uint64_t slice_size, std::uint64_t bytes)
    : file_(file),
      slice_size_(slice_size),
      capacity_(std::max<std::size_t>(bytes / slice_size, kFewestSlices)) {}

Slice* SliceCache::find(std::uint64_t offset) {
    const auto found = slices_.find(offset);
    if (found == slices_.end()) {
        return nullptr;
    }
    order_.splice(order_.begin(), order_, found->second);
    return &*found->second;
}

Task<Result<Slice*>> SliceCache::load(Queue& queue, std::uint64_t offset) {
    if (Slice* slice = find(offset); slice != nullptr) {
        co_return slice;
    }
    RangeLock::Guard guard(loads_, {offset, slice_size_}, RangeLock::Mode::kExclusive);
    co_await guard.acquire(queue);
    if (Slice* slice = find(offset); slice != nullptr) {
        co_return slice;
    }
    CO_TRY(HostBuffer content, HostBuffer::allocate(file_.host(), slice_size_));
    CO_CHECK(co_await file_.read_exact(queue, offset, content.span()));
    co_return &insert(offset, std::move(content));
}

Result<Slice*> SliceCache::load_blocking(std::uint64_t offset) {
    if (Slice* slice = find(offset); slice != nullptr) {
        return slice;
    }
    TRY(HostBuffer content, HostBuffer::allocate(file_.host(), slice_size_));
    CHECK(file_.read_blocking(offset, content.span()));
    return &insert(offset, std::move(content));
}

Slice& SliceCache::insert(std::uint64_t offset, HostBuffer content) {
    make_room();
    order_.emplace_front();
    Slice& slice = order_.front();
    slice.offset = offset;
    slice.content = std::move(content);
    slices_.emplace(offset, order_.begin());
    return slice;
}

/// Drops the oldest slices that may go, until there is room for one more; when none of the oldest
/// few may, the cache grows for a while.
void SliceCache::make_room() {
    constexpr int kLookAt = 32;
    auto candidate = order_.end();
    bool dropped = false;
    for (int i = 0; i < kLookAt && slices_.size() >= capacity_ && candidate != order_.begin();
         ++i) {
        --candidate;
        if (candidate->dirty || candidate->committing) {
            continue;
        }
        slices_.erase(candidate->offset);
        candidate = order_.erase(candidate);
        dropped = true;
    }
    // The oldest ones wait to be written: look elsewhere next time, if there is more than them.
    if (!dropped && candidate != order_.end() && candidate != order_.begin()) {
        order_.splice(order_.begin(), order_, candidate, order_.end());
    }
}

void SliceCache::mark_dirty(Slice& slice) {
    if (!slice.dirty) {
        slice.dirty = true;
        dirty_.push_back(&slice);
    }
}

Task<void> SliceCache::forget(Queue& queue, ByteRange range) {
    RangeLock::Guard guard(loads_, range, RangeLock::Mode::kExclusive);
    co_await guard.acquire(queue);
    for (std::uint64_t offset = range.offset; offset < range.end(); offset += slice_size_) {
        const auto found = slices_.find(offset);
        if (found == slices_.end()) {
            continue;
        }
        std::erase(dirty_, &*found->second);
        order_.erase(found->second);
        slices_.erase(found);
    }
}

std::vector<PendingWrite> SliceCache::begin_commit() {
    std::vector<PendingWrite> writes;
    writes.reserve(dirty_.size());
    for (Slice* slice : dirty_) {
        slice->dirty = false;
        slice->committing = true;
        writes.push_back({slice->offset, {slice->data(), slice->data() + slice_size_}});
    }
    dirty_.clear();
    std::ranges::sort(writes, {}, &PendingWrite::offset);
    return writes;
}

void SliceCache::end_commit(const std::vector<PendingWrite>& writes, bool written) {
    for (const PendingWrite& write : writes) {
        const auto found = slices_.find(write.offset);
        if (found == slices_.end()) {
            continue;
        }
        found->second->committing = false;
        if (!written) {
            mark_dirty(*found->second);
        }
    }
}

}  // namespace lunkit::qcow

// SPDX-License-Identifier: Apache-2.0
// SliceCache: pieces of L2 tables or refcount blocks in memory, found by their place in the file in
// O(1), least recently used out first.
//
// A slice stays while it is dirty (memory is newer than the file) or being committed (a copy of it
// is on its way to the file); so a slice that is not here is as the file says. A Slice& is good
// until the next co_await.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <span>
#include <unordered_map>
#include <vector>

#include "lunkit/host_buffer.hpp"
#include "lunkit/queue.hpp"
#include "lunkit/range_lock.hpp"
#include "lunkit/result.hpp"
#include "lunkit/task.hpp"
#include "qcow/image_file.hpp"

namespace lunkit::qcow {

/// Bytes for a place in the file: a copy, so that the original may change meanwhile.
struct PendingWrite {
    std::uint64_t offset;
    std::vector<std::byte> bytes;
};

struct Slice {
    std::uint64_t offset = 0;  ///< in the file
    HostBuffer content;
    bool dirty = false;
    bool committing = false;
    [[nodiscard]] std::byte* data() const { return content.data(); }
};

class SliceCache {
  public:
    /// `bytes`: bound of the memory of clean slices; a few are always kept.
    SliceCache(ImageFile& file, std::uint64_t slice_size, std::uint64_t bytes);

    /// From memory, or nullptr.
    [[nodiscard]] Slice* find(std::uint64_t offset);
    /// From memory or from the file. Loads of different slices run side by side.
    Task<Result<Slice*>> load(Queue& queue, std::uint64_t offset);
    Result<Slice*> load_blocking(std::uint64_t offset);

    void mark_dirty(Slice& slice);
    [[nodiscard]] std::size_t dirty() const { return dirty_.size(); }
    [[nodiscard]] std::uint64_t slice_size() const { return slice_size_; }

    /// Forgets what is within [offset, +length): the clusters have become something else. Waits for
    /// loads of them that are under way.
    Task<void> forget(Queue& queue, ByteRange range);

    /// Copies of all dirty slices, by offset; they count as clean and are pinned until committed().
    [[nodiscard]] std::vector<PendingWrite> begin_commit();
    /// `written`: whether the copies have reached the file; else the slices are dirty again.
    void end_commit(const std::vector<PendingWrite>& writes, bool written);

  private:
    using Order = std::list<Slice>;
    void make_room();
    Slice& insert(std::uint64_t offset, HostBuffer content);

    ImageFile& file_;
    const std::uint64_t slice_size_;
    const std::size_t capacity_;
    Order order_;  // most recently used first
    std::unordered_map<std::uint64_t, Order::iterator> slices_;
    std::vector<Slice*> dirty_;
    RangeLock loads_;
};

}  // namespace lunkit::qcow

// SPDX-License-Identifier: Apache-2.0
// RamMemory: the bytes of a RAM disk.
//
// They are a POSIX shared memory object, "/lunkit-ram-<name>", mapped as a whole: so they outlive a
// daemon that dies, and its successor finds them by their name. Space is taken a chunk at a time by
// fallocate, never by touching a page: when memory runs out, a write fails with ENOSPC, where a
// page fault would kill the process. A bitmap says which chunks are there; the others read as zeros
// without being touched.
//
// Any thread. Chunks are guarded by striped locks, held for one chunk's copy: shared to copy,
// exclusive to take or give back its space.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <span>
#include <string>
#include <vector>

#include "lunkit/handler.hpp"
#include "lunkit/unique_fd.hpp"

namespace lunkit::ram {

inline constexpr std::uint64_t kChunkSize = 64U << 10U;

class RamMemory {
  public:
    /// Worker thread. Fresh memory of `size` bytes, all zeros; with `take_over` that of the
    /// predecessor, and an error if there is none.
    static Result<std::unique_ptr<RamMemory>> open(const OpenRequest& request,
                                                   const std::string& name);
    /// EBUSY: somebody serves a RAM disk of this name.
    static Status check_free(const std::string& name);

    RamMemory(const RamMemory&) = delete;
    RamMemory& operator=(const RamMemory&) = delete;
    RamMemory(RamMemory&&) = delete;
    RamMemory& operator=(RamMemory&&) = delete;
    /// Gives the memory back, unless keep() was called.
    ~RamMemory();
    void keep() { kept_ = true; }

    /// 0 or -errno; ranges are within the size. Data moves by the host's copy calls.
    int read(const lunkit_host& host, const IoRequest& io);
    int write(const lunkit_host& host, const IoRequest& io);
    /// Takes the space that a write of the range needs, so that no part of it can fail.
    int reserve(std::uint64_t offset, std::uint64_t length);
    /// Zeros; `give_back` takes the space away from whole chunks.
    int zero(std::uint64_t offset, std::uint64_t length, bool give_back);
    /// Fills `extents` from `offset` on, perhaps not to the end of the range; gives how many.
    std::uint32_t extents(std::uint64_t offset, std::uint64_t length, std::span<Extent> extents);
    /// Worker thread; requests go on meanwhile.
    Status resize(std::uint64_t size);

  private:
    using Stripe = std::shared_mutex;
    static constexpr std::size_t kStripes = 64;
    static constexpr std::uint64_t kChunksPerWord = 64;

    RamMemory(UniqueFd fd, std::string object, std::uint64_t size)
        : fd_(std::move(fd)), object_(std::move(object)), size_(size) {}
    Status map(std::uint64_t size);
    Status adopt_data();
    int take_space(std::uint64_t chunk) const;
    int ensure_space(std::uint64_t chunk);

    /// Chunks of one word of the bitmap share a stripe, which so guards the word.
    Stripe& stripe(std::uint64_t chunk) { return stripes_[chunk / kChunksPerWord % kStripes]; }
    [[nodiscard]] bool exists(std::uint64_t chunk) const { return chunk < chunks_; }
    [[nodiscard]] bool has_space(std::uint64_t chunk) const {
        return (bitmap_[chunk / kChunksPerWord] >> chunk % kChunksPerWord & 1U) != 0;
    }
    void set_space(std::uint64_t chunk, bool has);
    int zero_in_chunk(std::uint64_t chunk, std::uint64_t skip, std::uint64_t length,
                      bool give_back);
    Status truncate(std::uint64_t size) const;
    Status shorten(std::uint64_t size) const;
    void cut(std::uint64_t size);
    /// Every stripe held, from construction to destruction.
    class AllStripes;
    template <typename Visit>
    int for_each_chunk(std::uint64_t offset, std::uint64_t length, Visit visit);

    UniqueFd fd_;
    std::string object_;  // the shared memory's name; empty: it has none
    std::uint64_t size_;  // bytes of the disk
    bool kept_ = false;

    // Written with every stripe held.
    std::byte* base_ = nullptr;
    std::uint64_t mapped_ = 0;  // bytes
    std::uint64_t chunks_ = 0;
    std::vector<std::uint64_t> bitmap_;
    std::array<Stripe, kStripes> stripes_;
};

}  // namespace lunkit::ram

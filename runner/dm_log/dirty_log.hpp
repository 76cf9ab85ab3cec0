// SPDX-License-Identifier: Apache-2.0
// DirtyLog: which regions of a mirror may differ between its legs. Two bits for each region:
//
//   clean   no write is under way and the legs are equal. What a log on disk keeps: after a crash,
//           a region that is not clean has to be copied.
//   sync    the legs are equal but for writes under way: reads may go to any leg, writes go to all.
//           A region that is not in sync is written on the default leg only, until it is copied.
//
// MARK clears `clean` before a write begins, CLEAR sets it again when the region rests, and only if
// it is in sync. SET_REGION_SYNC says that a region has been copied, or that a leg failed.
//
// The bits are in memory that outlives the process. Every change is one store and may be made
// twice, since the kernel repeats a request whose answer it has missed: whoever finds the memory
// after a death goes on with it. Nothing here knows of netlink or files. One thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "dm_log/region_bits.hpp"

namespace lunkit::dm_log {

class DirtyLog {
  public:
    /// Words of 64 bits that the bits of `regions` regions take.
    [[nodiscard]] static constexpr std::size_t words_for(std::uint64_t regions) {
        return 2 * RegionBits::words_for(regions);
    }

    /// What is clean, as words; what has changed since somebody asked.
    struct Changes {
        std::size_t first_word = 0;
        std::size_t end_word = 0;  ///< first_word: nothing has changed
        bool has_marks = false;    ///< a region that was clean is not: must be durable
        [[nodiscard]] bool empty() const { return first_word == end_word; }
    };

    /// `memory` has words_for(regions) words and stays where it is. All regions are out of sync;
    /// begin() or adopt() says what is known.
    DirtyLog(std::uint64_t regions, std::span<std::uint64_t> memory);

    [[nodiscard]] std::uint64_t regions() const { return clean_.size(); }
    [[nodiscard]] bool has_begun() const { return begun_; }

    /// Goes into use: of the first `known` regions, those in `clean` are clean and in sync; those
    /// beyond are if `beyond_is_clean`.
    void begin(std::span<const std::uint64_t> clean, std::uint64_t known, bool beyond_is_clean);
    /// Goes on with what a predecessor left in the memory.
    void adopt();
    /// After a suspension, when nothing is being written: what is not clean is not in sync either.
    /// Work is handed out from the first region again.
    void resume();

    // Regions below regions().

    [[nodiscard]] bool is_clean(std::uint64_t region) const { return clean_.test(region); }
    [[nodiscard]] bool in_sync(std::uint64_t region) const { return sync_.test(region); }
    /// Where the runs end that alike() has looked at.
    struct Ends {
        std::uint64_t clean = 0;
        std::uint64_t sync = 0;
    };
    /// How many from this one on are alike, both clean and in sync: at least 1. While the regions
    /// ascend and `ends` is the same, each bit is looked at once.
    [[nodiscard]] std::uint64_t alike(std::uint64_t region, Ends& ends) const {
        if (ends.clean <= region) {
            ends.clean = clean_.next(region, !is_clean(region));
        }
        if (ends.sync <= region) {
            ends.sync = sync_.next(region, !in_sync(region));
        }
        return std::min(ends.clean, ends.sync) - region;
    }
    void mark(std::uint64_t region);
    /// Nothing for a region that is out of sync.
    void clear(std::uint64_t region);
    void set_in_sync(std::uint64_t region, bool in_sync);

    /// The region to copy next. The same again until set_in_sync() tells of it: a region whose
    /// answer was lost must not be left out. Each is handed out once between two resume()s, so that
    /// one that cannot be copied does not keep the others from it.
    [[nodiscard]] std::optional<std::uint64_t> next_work();

    [[nodiscard]] std::uint64_t sync_count() const { return sync_count_; }
    [[nodiscard]] std::uint64_t clean_count() const { return clean_count_; }
    [[nodiscard]] std::span<const std::uint64_t> clean_words() const { return clean_.words(); }

    /// Begins a new account of changes.
    [[nodiscard]] Changes take_changes();
    /// They could not be stored after all.
    void put_back(const Changes& changes);
    [[nodiscard]] bool has_changes() const { return !changes_.empty(); }

  private:
    void changed(std::uint64_t region);
    void everything_changed();

    RegionBits clean_;
    RegionBits sync_;
    std::uint64_t clean_count_ = 0;
    std::uint64_t sync_count_ = 0;
    bool begun_ = false;
    std::optional<std::uint64_t> handed_out_;
    std::uint64_t search_from_ = 0;
    Changes changes_;
};

}  // namespace lunkit::dm_log

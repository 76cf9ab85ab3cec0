// SPDX-License-Identifier: Apache-2.0
// RegionBits: a bit for each region, in memory that somebody else owns and that may outlive the
// process. Bits behind the last region are zero.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <optional>
#include <span>

namespace lunkit::dm_log {

class RegionBits {
  public:
    static constexpr std::uint64_t kWordBits = 64;

    [[nodiscard]] static constexpr std::size_t words_for(std::uint64_t regions) {
        return static_cast<std::size_t>((regions + kWordBits - 1) / kWordBits);
    }

    /// `words` has words_for(regions) of them.
    RegionBits(std::span<std::uint64_t> words, std::uint64_t regions)
        : words_(words), regions_(regions) {}

    [[nodiscard]] std::uint64_t size() const { return regions_; }
    [[nodiscard]] std::span<const std::uint64_t> words() const { return words_; }

    [[nodiscard]] bool test(std::uint64_t region) const {
        return (words_[region / kWordBits] & mask(region)) != 0;
    }
    /// Both say whether that changed anything.
    bool set(std::uint64_t region) {
        const bool changes = !test(region);
        words_[region / kWordBits] |= mask(region);
        return changes;
    }
    bool reset(std::uint64_t region) {
        const bool changes = test(region);
        words_[region / kWordBits] &= ~mask(region);
        return changes;
    }

    /// The first `known` bits from `from`, as far as there are regions; `beyond` for the others.
    void assign(std::span<const std::uint64_t> from, std::uint64_t known, bool beyond) {
        known = std::min(known, regions_);
        std::ranges::fill(words_, beyond ? ~std::uint64_t{0} : 0);
        const std::size_t whole = static_cast<std::size_t>(known / kWordBits);
        std::copy_n(from.begin(), whole, words_.begin());
        if (const std::uint64_t rest = known % kWordBits; rest != 0) {
            const std::uint64_t low = (std::uint64_t{1} << rest) - 1;
            words_[whole] = (from[whole] & low) | (words_[whole] & ~low);
        }
        trim();
    }
    /// Clears the bits behind the last region.
    void trim() {
        if (const std::uint64_t rest = regions_ % kWordBits; rest != 0) {
            words_.back() &= (std::uint64_t{1} << rest) - 1;
        }
    }

    [[nodiscard]] std::uint64_t count() const {
        return std::accumulate(words_.begin(), words_.end(), std::uint64_t{0},
                               [](std::uint64_t sum, std::uint64_t word) {
                                   return sum + static_cast<unsigned>(std::popcount(word));
                               });
    }
    /// The first bit from `from` that is `value`; size(): there is none.
    [[nodiscard]] std::uint64_t next(std::uint64_t from, bool value) const {
        while (from < regions_) {
            const std::uint64_t shift = from % kWordBits;
            const std::uint64_t word = words_[from / kWordBits];
            const std::uint64_t wanted = (value ? word : ~word) >> shift;
            if (wanted != 0) {
                return std::min(from + static_cast<unsigned>(std::countr_zero(wanted)), regions_);
            }
            from += kWordBits - shift;
        }
        return regions_;
    }
    [[nodiscard]] std::optional<std::uint64_t> first_zero(std::uint64_t from) const {
        const std::uint64_t found = next(from, false);
        return found < regions_ ? std::optional(found) : std::nullopt;
    }

  private:
    [[nodiscard]] static constexpr std::uint64_t mask(std::uint64_t region) {
        return std::uint64_t{1} << region % kWordBits;
    }

    std::span<std::uint64_t> words_;
    std::uint64_t regions_;
};

}  // namespace lunkit::dm_log

// SPDX-License-Identifier: Apache-2.0
// Latency: how long commands took, in memory that does not grow.
//
// The buckets of the histogram are log-linear: each power of two of nanoseconds is cut into kParts
// equal ones. So a percentile is told at most an eighth too high, whether it is a microsecond or a
// minute.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "core/counter.hpp"

namespace lunkit::core {

/// What is told of a class of commands; times in nanoseconds.
struct LatencySummary {
    /// The first and the last bound of `within`: 2^14 ns are 16.4 us, 2^34 ns are 17.2 s.
    static constexpr unsigned kFirstBound = 14;
    static constexpr unsigned kLastBound = 34;

    std::uint64_t count = 0;
    std::uint64_t sum = 0;
    std::uint64_t p50 = 0;  ///< half of the commands took no longer
    std::uint64_t p90 = 0;
    std::uint64_t p99 = 0;
    std::uint64_t p999 = 0;  ///< 99.9 %
    std::uint64_t max = 0;
    /// How many took less than 2^kFirstBound, twice that, ... 2^kLastBound.
    std::array<std::uint64_t, kLastBound - kFirstBound + 1> within{};
};

/// One thread records, anybody reads.
class LatencyHistogram {
  public:
    static constexpr unsigned kPartBits = 3;
    static constexpr std::size_t kParts = std::size_t{1} << kPartBits;
    static constexpr unsigned kLongestBits = 37;  ///< what takes longer (137 s) counts as that long
    static constexpr std::size_t kBuckets = (kLongestBits - kPartBits + 1) * kParts;

    /// Where a time falls. Below kParts nanoseconds each has a bucket of its own.
    [[nodiscard]] static constexpr std::size_t bucket_of(std::uint64_t nanoseconds) {
        const std::uint64_t value = std::min(nanoseconds, (std::uint64_t{1} << kLongestBits) - 1);
        if (value < kParts) {
            return value;
        }
        const auto octave = static_cast<unsigned>(std::bit_width(value)) - 1 - kPartBits;
        return octave * kParts + (value >> octave);
    }
    /// The longest time of a bucket.
    [[nodiscard]] static constexpr std::uint64_t end_of(std::size_t bucket) {
        if (bucket < kParts) {
            return bucket;
        }
        const std::size_t octave = bucket / kParts - 1;
        return ((kParts + bucket % kParts + 1) << octave) - 1;
    }

    void record(std::chrono::nanoseconds took) {
        const auto value = static_cast<std::uint64_t>(std::max<std::int64_t>(took.count(), 0));
        count(buckets_[bucket_of(value)]);
        count(sum_, value);
        if (value > max_.load(std::memory_order_relaxed)) {
            max_.store(value, std::memory_order_relaxed);
        }
    }

  private:
    friend class LatencyCounts;
    std::array<std::atomic<std::uint64_t>, kBuckets> buckets_{};
    std::atomic<std::uint64_t> sum_{0};
    std::atomic<std::uint64_t> max_{0};
};

/// What some histograms hold at a moment, as one.
class LatencyCounts {
  public:
    void add(const LatencyHistogram& histogram);
    [[nodiscard]] LatencySummary summary() const;

  private:
    [[nodiscard]] std::uint64_t percentile(std::uint64_t count, unsigned per_mille) const;

    std::array<std::uint64_t, LatencyHistogram::kBuckets> buckets_{};
    std::uint64_t sum_ = 0;
    std::uint64_t max_ = 0;
};

}  // namespace lunkit::core

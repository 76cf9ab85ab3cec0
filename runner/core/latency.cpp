// SPDX-License-Identifier: Apache-2.0
#include "core/latency.hpp"

#include <numeric>

namespace lunkit::core {

void LatencyCounts::add(const LatencyHistogram& histogram) {
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
        buckets_[i] += histogram.buckets_[i].load(std::memory_order_relaxed);
    }
    sum_ += histogram.sum_.load(std::memory_order_relaxed);
    max_ = std::max(max_, histogram.max_.load(std::memory_order_relaxed));
}

/// The longest time of the bucket in which the count reaches so much of all.
std::uint64_t LatencyCounts::percentile(std::uint64_t count, unsigned per_mille) const {
    constexpr unsigned kAll = 1000;
    const std::uint64_t wanted =
        (count / kAll) * per_mille + (count % kAll * per_mille + kAll - 1) / kAll;
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
        seen += buckets_[i];
        if (seen >= wanted) {
            return std::min(LatencyHistogram::end_of(i), max_);
        }
    }
    return max_;
}

LatencySummary LatencyCounts::summary() const {
    LatencySummary told;
    told.count = std::accumulate(buckets_.begin(), buckets_.end(), std::uint64_t{0});
    if (told.count == 0) {
        return told;
    }
    told.sum = sum_;
    told.max = max_;
    told.p50 = percentile(told.count, 500);
    told.p90 = percentile(told.count, 900);
    told.p99 = percentile(told.count, 990);
    told.p999 = percentile(told.count, 999);
    std::size_t bucket = 0;
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < told.within.size(); ++i) {
        const std::uint64_t bound = std::uint64_t{1} << (LatencySummary::kFirstBound + i);
        for (; bucket < LatencyHistogram::bucket_of(bound); ++bucket) {
            seen += buckets_[bucket];
        }
        told.within[i] = seen;
    }
    return told;
}

}  // namespace lunkit::core

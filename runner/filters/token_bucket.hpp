// SPDX-License-Identifier: Apache-2.0
// TokenBucket: so many units a second, and at most `burst` at once.
//
// A bucket holds `burst` tokens and is refilled at a steady rate; who takes n units needs n tokens.
// Kept is not how many there are but when the bucket will be full again (the generic cell rate
// algorithm, ITU-T I.371): one number, which each taker moves ahead by the time that its tokens
// take to come. So nobody has to refill it, takers are served in the order in which they ask, and
// an error does not add up: the times are absolute, however late a sleeper wakes.
//
// Who wants more than the bucket holds may go when it is full, and leaves it in debt.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>

namespace lunkit::filters {

class TokenBucket {
  public:
    /// `rate`: units a second, at least 1. `burst`: what a bucket holds, as the time to fill it.
    TokenBucket(std::uint64_t rate, std::chrono::nanoseconds burst)
        : rate_(rate), burst_(burst.count()) {}

    /// Any thread. When who asks at `now` for `units` may go; not before `now`.
    std::chrono::nanoseconds take(std::uint64_t units, std::chrono::nanoseconds now) {
        const std::int64_t cost = time_of(units);
        std::int64_t full = full_at_.load(std::memory_order_relaxed);
        std::int64_t start = 0;
        do {
            start = std::max<std::int64_t>(full, now.count());
        } while (!full_at_.compare_exchange_weak(full, start + cost, std::memory_order_relaxed));
        // At `start` the bucket would be full; it has enough tokens so much earlier:
        const std::int64_t due = start - (burst_ - std::min(cost, burst_));
        return std::chrono::nanoseconds(std::max<std::int64_t>(due, now.count()));
    }

  private:
    /// Rounded up, so that the rate is never exceeded.
    [[nodiscard]] std::int64_t time_of(std::uint64_t units) const {
        constexpr std::uint64_t kSecond = 1'000'000'000;
        const std::uint64_t whole = units / rate_ * kSecond;
        const std::uint64_t rest = units % rate_;
        // rest < rate_: for rates of 2^34 (16 G) and more the product might not fit.
        const std::uint64_t part =
            rate_ < (1ULL << 34U) ? (rest * kSecond + rate_ - 1) / rate_ : rest / (rate_ / kSecond);
        return static_cast<std::int64_t>(whole + part);
    }

    const std::uint64_t rate_;
    const std::int64_t burst_;
    std::atomic<std::int64_t> full_at_{0};
};

}  // namespace lunkit::filters

// SPDX-License-Identifier: Apache-2.0
// ThrottleFilter: at most so many requests, and so many bytes of data, a second. Requests go in the
// order in which they came. A device that is served by several queues has one limit for all.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>

#include "filters/request_filter.hpp"
#include "filters/surroundings.hpp"
#include "filters/token_bucket.hpp"

namespace lunkit::filters {

struct ThrottleOptions {
    std::uint64_t iops = 0;  ///< requests a second; 0: any number
    std::uint64_t rate = 0;  ///< bytes of data a second, in both directions together; likewise
    /// What may come at once after a pause: what is allowed in this time.
    std::chrono::nanoseconds burst = std::chrono::milliseconds(100);
};

class ThrottleFilter final : public RequestFilter {
  public:
    ThrottleFilter(std::unique_ptr<BlockDevice> below, const ThrottleOptions& options,
                   Surroundings world);

  private:
    Task<Status> admit(Queue& queue, Deed deed, std::uint64_t length) override;

    const Surroundings world_;
    std::optional<TokenBucket> requests_;
    std::optional<TokenBucket> bytes_;
};

}  // namespace lunkit::filters

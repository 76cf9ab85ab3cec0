// SPDX-License-Identifier: Apache-2.0
#include "filters/throttle.hpp"

#include <algorithm>
#include <utility>

#include "filters/patience.hpp"

namespace lunkit::filters {

ThrottleFilter::ThrottleFilter(std::unique_ptr<BlockDevice> below, const ThrottleOptions& options,
                               Surroundings world)
    : RequestFilter(std::move(below)), world_(std::move(world)) {
    if (options.iops != 0) {
        requests_.emplace(options.iops, options.burst);
    }
    if (options.rate != 0) {
        bytes_.emplace(options.rate, options.burst);
    }
}

Task<Status> ThrottleFilter::admit(Queue& queue, Deed deed, std::uint64_t length) {
    const std::chrono::nanoseconds now = world_.now();
    std::chrono::nanoseconds due = now;
    if (requests_) {
        due = std::max(due, requests_->take(1, now));
    }
    const bool has_data = deed == Deed::kRead || deed == Deed::kWrite;
    if (bytes_ && has_data) {
        due = std::max(due, bytes_->take(length, now));
    }
    if (due > now) {
        co_await wait_until(queue, world_, due);
    }
    co_return Status{};
}

}  // namespace lunkit::filters

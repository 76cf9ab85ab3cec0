// SPDX-License-Identifier: Apache-2.0
#include "filters/delay.hpp"

#include <utility>

#include "filters/patience.hpp"

namespace lunkit::filters {

namespace {

std::chrono::nanoseconds delay_of(const DelayOptions& options, Deed deed) {
    switch (deed) {
        case Deed::kRead:
            return options.read;
        case Deed::kWrite:
        case Deed::kChange:
            return options.write;
        case Deed::kFlush:
            return options.flush;
    }
    return {};
}

}  // namespace

DelayFilter::DelayFilter(std::unique_ptr<BlockDevice> below, const DelayOptions& options,
                         Surroundings world)
    : RequestFilter(std::move(below)), options_(options), world_(std::move(world)) {}

Task<Status> DelayFilter::admit(Queue& queue, Deed deed, std::uint64_t /*length*/) {
    co_await wait_until(queue, world_, world_.now() + delay_of(options_, deed));
    co_return Status{};
}

}  // namespace lunkit::filters

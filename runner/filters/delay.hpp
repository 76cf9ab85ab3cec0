// SPDX-License-Identifier: Apache-2.0
// DelayFilter: each request begins some time later, as on slow storage. Requests do not wait for
// each other: how many are served at once is up to the initiator.
#pragma once

#include <chrono>
#include <memory>

#include "filters/request_filter.hpp"
#include "filters/surroundings.hpp"

namespace lunkit::filters {

struct DelayOptions {
    std::chrono::nanoseconds read{0};
    std::chrono::nanoseconds write{0};  ///< everything that changes the device
    std::chrono::nanoseconds flush{0};
};

class DelayFilter final : public RequestFilter {
  public:
    DelayFilter(std::unique_ptr<BlockDevice> below, const DelayOptions& options,
                Surroundings world);

  private:
    Task<Status> admit(Queue& queue, Deed deed, std::uint64_t length) override;

    const DelayOptions options_;
    const Surroundings world_;
};

}  // namespace lunkit::filters

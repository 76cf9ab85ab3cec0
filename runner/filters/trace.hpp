// SPDX-License-Identifier: Apache-2.0
// TraceFilter: a line of the log per request that passes, once it has ended, with the time that it
// took below. For the commands of initiators, which may be several requests or none, there is
// `lunkit trace`.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "filters/forwarding_device.hpp"
#include "filters/surroundings.hpp"

namespace lunkit::filters {

struct TraceOptions {};

class TraceFilter final : public ForwardingDevice {
  public:
    TraceFilter(std::unique_ptr<BlockDevice> below, Surroundings world);

    Task<Status> read(Queue& queue, const IoRequest& io) override;
    Task<Status> write(Queue& queue, const IoRequest& io) override;
    Task<Status> flush(Queue& queue) override;
    Task<Status> discard(Queue& queue, const IoRequest& io) override;
    Task<Status> write_zeroes(Queue& queue, const IoRequest& io) override;
    Task<Status> compare_and_write(Queue& queue, const IoRequest& io) override;
    Task<Status> or_write(Queue& queue, const IoRequest& io) override;
    Task<Result<std::uint32_t>> extents(Queue& queue, const IoRequest& io,
                                        std::span<Extent> extents) override;
    Task<Result<std::uint32_t>> report_zones(Queue& queue, const IoRequest& io,
                                             std::span<Zone> zones) override;
    Task<Status> manage_zones(Queue& queue, ZoneAction action, const IoRequest& io) override;
    Task<Result<Space>> space(Queue& queue) override;
    Status resize(std::uint64_t size) override;
    Status set_write_cache(bool enabled) override;

  private:
    template <typename T>
    Task<T> traced(std::string what, Task<T> work);
    void tell(const std::string& what, std::chrono::nanoseconds begun, const Error* error) const;

    const Surroundings world_;
};

}  // namespace lunkit::filters

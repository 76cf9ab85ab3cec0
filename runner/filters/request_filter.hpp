// SPDX-License-Identifier: Apache-2.0
// RequestFilter: a filter that looks at each request before the device below does: lets it pass,
// has it wait, or fails it. What the device is, it leaves as it is.
//
// A request waits in front of the device below, which has not seen it yet: whatever is atomic
// there stays whole. Questions (extents, zones, space) pass at once.
#pragma once

#include <cstdint>

#include "filters/forwarding_device.hpp"

namespace lunkit::filters {

/// What a request does to the device.
enum class Deed : std::uint8_t {
    kRead,
    kWrite,   ///< data: write, compare_and_write, or_write
    kChange,  ///< without data: discard, write_zeroes, zones
    kFlush,
};

class RequestFilter : public ForwardingDevice {
  public:
    using ForwardingDevice::ForwardingDevice;

    Task<Status> read(Queue& queue, const IoRequest& io) override;
    Task<Status> write(Queue& queue, const IoRequest& io) override;
    Task<Status> flush(Queue& queue) override;
    Task<Status> discard(Queue& queue, const IoRequest& io) override;
    Task<Status> write_zeroes(Queue& queue, const IoRequest& io) override;
    Task<Status> compare_and_write(Queue& queue, const IoRequest& io) override;
    Task<Status> or_write(Queue& queue, const IoRequest& io) override;
    Task<Status> manage_zones(Queue& queue, ZoneAction action, const IoRequest& io) override;

  protected:
    /// An error ends the request with that. `length`: bytes; 0 for a flush.
    virtual Task<Status> admit(Queue& queue, Deed deed, std::uint64_t length) = 0;

  private:
    Task<Status> pass(Queue& queue, Deed deed, std::uint64_t length, Task<Status> work);
};

}  // namespace lunkit::filters

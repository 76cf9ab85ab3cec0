// SPDX-License-Identifier: Apache-2.0
// DeviceQueues: the queues that ublk devices are served on. They are threads apart from those of
// other front ends, because they have given up CAP_SYS_ADMIN (untrusted_thread.hpp).
#pragma once

#include <memory>

#include "core/engine_queue.hpp"
#include "core/settings.hpp"
#include "lunkit/result.hpp"

namespace lunkit::ublk {

/// One caller at a time. When it goes its rings do, and with them the kernel takes back what it was
/// given on them; no device may be started or in use then.
class DeviceQueues {
  public:
    virtual ~DeviceQueues() = default;
    DeviceQueues(const DeviceQueues&) = delete;
    DeviceQueues& operator=(const DeviceQueues&) = delete;
    DeviceQueues(DeviceQueues&&) = delete;
    DeviceQueues& operator=(DeviceQueues&&) = delete;

    /// The queue with the fewest devices; release() when the device has gone.
    virtual core::EngineQueue& assign() = 0;
    virtual void release(core::EngineQueue& queue) = 0;

  protected:
    DeviceQueues() = default;
};

/// The real ones. An error: io_uring cannot be used.
Result<std::unique_ptr<DeviceQueues>> start_device_queues(const core::Settings& settings);

}  // namespace lunkit::ublk

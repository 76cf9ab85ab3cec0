// SPDX-License-Identifier: Apache-2.0
// The table of host calls that plugins get (struct lunkit_host): EngineQueue, LocalFile, the log.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "lunkit/handler.h"

namespace lunkit::host {

/// Behind `host_device`: what host calls need of a device. Outlives the open device.
struct HostDevice {
    std::string name;
    std::function<void(std::uint64_t size)> size_changed;  ///< any thread; may be empty
};

/// One for all plugins; static.
[[nodiscard]] const lunkit_host& host_table();

/// The daemon stops, and devices that are closed from now on go to a successor
/// (lunkit_host::handing_over). Any thread; called by the main program before it stops the front
/// ends, never when a single device is removed.
void announce_stop(bool stopping = true);

}  // namespace lunkit::host

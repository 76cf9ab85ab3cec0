// SPDX-License-Identifier: Apache-2.0
// The table of host calls that plugins get (struct lunkit_host): EngineQueue, LocalFile, the log.
#pragma once

#include <cstdint>
#include <functional>

#include "host/device_label.hpp"
#include "lunkit/handler.h"

namespace lunkit::host {

/// Behind `host_device`: what host calls need of a device. Outlives the open device.
struct HostDevice {
    DeviceLabel label;
    std::function<void(std::uint64_t size)> size_changed;  ///< any thread; may be empty
    std::function<bool()> handing_over;                    ///< the same
};

/// One for all plugins; static.
[[nodiscard]] const lunkit_host& host_table();

}  // namespace lunkit::host

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "lunkit/block_device.hpp"
#include "ublk/abi.hpp"

namespace lunkit::ublk {

/// What the kernel is told of a device. `block_size`, `max_io_bytes`: bytes, a power of two.
[[nodiscard]] abi::Params parameters_of(const DeviceInfo& device, std::uint32_t block_size,
                                        std::uint32_t max_io_bytes);

}  // namespace lunkit::ublk

// SPDX-License-Identifier: Apache-2.0
// What a ublk device is called: by the kernel's number N, ublkbN, /dev/ublkbN.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "lunkit/result.hpp"

namespace lunkit::ublk {

/// "ublkb3"
[[nodiscard]] std::string block_name(std::uint32_t dev_id);
/// "/dev/ublkb3"
[[nodiscard]] std::string block_node(std::uint32_t dev_id);
/// Of any of the three. EINVAL: it is none, or a number that no ublk device can have.
[[nodiscard]] Result<std::uint32_t> parse_device_name(std::string_view name);
/// EINVAL: the kernel has no device of that number. (To it some mean "any", and others wrap.)
[[nodiscard]] Status check_device_number(std::uint32_t dev_id);

}  // namespace lunkit::ublk

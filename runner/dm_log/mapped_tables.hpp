// SPDX-License-Identifier: Apache-2.0
// The tables of device-mapper, as far as they name dirty logs in user space. A mirror that is
// removed while no daemon runs tells nobody: what is left of its log can be known only by that no
// table names it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "lunkit/result.hpp"

namespace lunkit::dm_log {

using LogUuids = std::set<std::string, std::less<>>;

/// Of all tables, live or loaded. It waits for no device and for no server of logs. The error says
/// that the kernel could not be asked.
[[nodiscard]] Result<LogUuids> uuids_in_tables();

/// The answers of two ioctls, taken apart; `data` is what stands behind struct dm_ioctl.
[[nodiscard]] std::vector<std::uint64_t> parse_devices(std::span<const std::byte> data);
void parse_table(std::span<const std::byte> data, std::size_t targets, LogUuids& uuids);

}  // namespace lunkit::dm_log

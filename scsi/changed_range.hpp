// SPDX-License-Identifier: Apache-2.0
// Which blocks a command may change, told before it runs: for a front end that keeps commands in
// order which change the same blocks, because it may have to execute one of them a second time.
#pragma once

#include <cstdint>
#include <optional>

#include "lunkit/io_request.hpp"
#include "scsi/logical_unit.hpp"

namespace lunkit::scsi {

/// In bytes of the medium; nothing: the command changes no block, or (FORMAT UNIT, SANITIZE) all of
/// them while the unit refuses every other access, or (copies between units, see copy_peers.hpp)
/// sees to the order by itself. For several ranges, or a list that makes no sense, a range that
/// holds them all; blocks behind the medium's end are not left out. What is done with a zone (ZBC
/// OUT) changes all of it: `zone_size` in bytes, 0 if there are none. Any thread.
[[nodiscard]] std::optional<ByteRange> changed_range(const Command& command,
                                                     std::uint32_t block_size,
                                                     std::uint64_t zone_size);

}  // namespace lunkit::scsi

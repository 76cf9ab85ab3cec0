// SPDX-License-Identifier: Apache-2.0
// Writes the same block many times. Ends as the command that asked for it; with the write cache off
// what was written is durable.
#pragma once

#include <cstddef>
#include <span>

#include "lunkit/io_request.hpp"
#include "lunkit/queue.hpp"
#include "lunkit/task.hpp"
#include "scsi/ending.hpp"
#include "scsi/logical_unit.hpp"
#include "scsi/unit.hpp"

namespace lunkit::scsi {

/// `range`: whole blocks. `block` stays alive until it has ended.
Task<Ending> write_pattern(Unit& unit, Queue& queue, const Command& command, ByteRange range,
                           std::span<const std::byte> block);

/// By the device's write_zeroes if it has that. Not more than the device takes at a time.
Task<Ending> write_zeros(Unit& unit, Queue& queue, const Command& command, ByteRange range,
                         bool may_unmap);

}  // namespace lunkit::scsi

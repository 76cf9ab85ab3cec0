// SPDX-License-Identifier: Apache-2.0
// Copies blocks from one place to another, in pieces of bounded memory.
//
// When both places are of one unit and overlap, the destination ends up with what the source held
// before (each piece is read before it is overwritten, last piece first where the destination lies
// behind). Each such piece holds its blocks alone: a write between its read and its write would be
// acknowledged and undone.
#pragma once

#include <cstdint>
#include <optional>

#include "lunkit/block_device.hpp"
#include "lunkit/io_request.hpp"
#include "lunkit/queue.hpp"
#include "lunkit/task.hpp"
#include "scsi/buffer.hpp"
#include "scsi/ending.hpp"
#include "scsi/logical_unit.hpp"
#include "scsi/rod_token.hpp"
#include "scsi/sense.hpp"
#include "scsi/unit.hpp"

namespace lunkit::scsi {

/// One end of a copy.
struct CopyEnd {
    BlockDevice* device = nullptr;
    bool is_own = false;  ///< the unit's own medium
    std::uint64_t offset = 0;
};

struct BlockCopy {
    CopyEnd source;
    CopyEnd destination;
    std::uint64_t length = 0;
    /// The token whose data the source must still be when it has been read; nullptr: none.
    const RodToken* represents = nullptr;
};

/// A request that did not end well, and whose it was.
struct CopyFailure {
    ForwardedSense::By by = ForwardedSense::By::kCopySource;
    Ending ending;
};

struct BlockCopyOutcome {
    std::optional<CopyFailure> failure;
    std::uint64_t transferred = 0;  ///< bytes written
    /// Bytes from the start of the destination that are as they should be.
    std::uint64_t complete = 0;
    bool cached = false;  ///< something was written that is not durable yet
};

/// What a buffer is to hold for copies of up to `length` bytes.
[[nodiscard]] std::size_t copy_buffer_size(const Unit& unit, std::uint64_t length);

/// `buffer` holds one piece. The ranges are within their devices.
Task<BlockCopyOutcome> copy_blocks(Unit& unit, Queue& queue, const Command& command, BlockCopy copy,
                                   Buffer& buffer);

}  // namespace lunkit::scsi

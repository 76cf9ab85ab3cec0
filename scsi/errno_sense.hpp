// SPDX-License-Identifier: Apache-2.0
// From a device's errno to what the initiator hears: one table.
#pragma once

#include <cstdint>

#include "lunkit/result.hpp"
#include "scsi/ending.hpp"

namespace lunkit::scsi {

/// What was being done; the same errno means different things.
enum class Direction : std::uint8_t {
    kRead,
    kWrite,    ///< also flush, discard, write zeroes
    kCompare,  ///< COMPARE AND WRITE: EILSEQ is a miscompare, all else is as in kWrite
};

struct FailedOperation {
    Direction direction = Direction::kWrite;
    /// Where the request began, for INFORMATION of a medium error: Error::offset counts from there.
    std::uint64_t logical_block_address = 0;
    std::uint32_t block_size = 512;
};

[[nodiscard]] Ending ending_of(const Error& error, const FailedOperation& operation);

}  // namespace lunkit::scsi

// SPDX-License-Identifier: Apache-2.0
// What a unit lets a copy between units do with its blocks: see LogicalUnit.
#pragma once

#include "lunkit/io_request.hpp"
#include "lunkit/queue.hpp"
#include "lunkit/result.hpp"
#include "lunkit/task.hpp"

namespace lunkit::scsi {

struct Unit;

/// ESHUTDOWN: the unit is stopped, or its medium cannot be used now. EROFS: it is write protected.
/// ERANGE: the blocks are not all there (any more).
Task<Status> read_for_copy(Unit& unit, Queue& queue, const IoRequest& io);
Task<Status> write_for_copy(Unit& unit, Queue& queue, const IoRequest& io);

}  // namespace lunkit::scsi

// SPDX-License-Identifier: Apache-2.0
#include "scsi/copy_access.hpp"

#include <cerrno>

#include "lunkit/gate.hpp"
#include "lunkit/try.hpp"
#include "scsi/provisioning.hpp"
#include "scsi/unit.hpp"

namespace lunkit::scsi {
namespace {

Status check_access(const Unit& unit, const IoRequest& io) {
    if (!unit.started || unit.medium_state.condition != MediumState::Condition::kUsable) {
        return failure(ESHUTDOWN);
    }
    if (!ByteRange::fits(io.offset, io.length, unit.info.size)) {
        return failure(ERANGE);
    }
    return {};
}

}  // namespace

Task<Status> read_for_copy(Unit& unit, Queue& queue, const IoRequest& io) {
    CO_CHECK(check_access(unit, io));
    const Gate::Pass pass = unit.medium_state.users.enter();
    co_return co_await unit.device.read(queue, io);
}

Task<Status> write_for_copy(Unit& unit, Queue& queue, const IoRequest& io) {
    CO_CHECK(check_access(unit, io));
    if (unit.write_protected()) {
        co_return failure(EROFS);
    }
    const Gate::Pass pass = unit.medium_state.users.enter();
    Status written = co_await unit.device.write(queue, io);
    watch_space(unit, queue);
    co_return written;
}

}  // namespace lunkit::scsi

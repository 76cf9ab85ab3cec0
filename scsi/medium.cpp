// SPDX-License-Identifier: Apache-2.0
#include "scsi/medium.hpp"

namespace lunkit::scsi {

Task<void> Medium::Hold::acquire(Queue& queue) {
    (void)co_await alone_.acquire(queue);  // always 0
    (void)co_await alone_.drain(queue);
}

Task<Status> Medium::change(Queue& queue, const IoRequest& io, Request request) {
    Exclusion::Shared pass(exclusion_, io.range());
    if (!pass.entered()) {
        (void)co_await pass.acquire(queue);  // always 0
    }
    tokens_.change(io.range());
    co_return co_await (device_.*request)(queue, io);
}

Task<Status> Medium::fill(Queue& queue, const IoRequest& io, Request request) {
    written_ += io.length;
    return change(queue, io, request);
}

Task<Status> Medium::write(Queue& queue, const IoRequest& io) {
    return fill(queue, io, &BlockDevice::write);
}
Task<Status> Medium::discard(Queue& queue, const IoRequest& io) {
    return change(queue, io, &BlockDevice::discard);
}
Task<Status> Medium::write_zeroes(Queue& queue, const IoRequest& io) {
    return fill(queue, io, &BlockDevice::write_zeroes);
}
Task<Status> Medium::compare_and_write(Queue& queue, const IoRequest& io) {
    return fill(queue, io, &BlockDevice::compare_and_write);
}
Task<Status> Medium::or_write(Queue& queue, const IoRequest& io) {
    return fill(queue, io, &BlockDevice::or_write);
}

}  // namespace lunkit::scsi

// SPDX-License-Identifier: Apache-2.0
#include "filters/request_filter.hpp"

#include <utility>

namespace lunkit::filters {

/// `work` has not begun: a Task does when it is awaited.
Task<Status> RequestFilter::pass(Queue& queue, Deed deed, std::uint64_t length, Task<Status> work) {
    Status admitted = co_await admit(queue, deed, length);
    if (!admitted) {
        co_return admitted;
    }
    Status status = co_await std::move(work);
    co_return status;
}

Task<Status> RequestFilter::read(Queue& queue, const IoRequest& io) {
    return pass(queue, Deed::kRead, io.length, below().read(queue, io));
}

Task<Status> RequestFilter::write(Queue& queue, const IoRequest& io) {
    return pass(queue, Deed::kWrite, io.length, below().write(queue, io));
}

Task<Status> RequestFilter::flush(Queue& queue) {
    return pass(queue, Deed::kFlush, 0, below().flush(queue));
}

Task<Status> RequestFilter::discard(Queue& queue, const IoRequest& io) {
    return pass(queue, Deed::kChange, io.length, below().discard(queue, io));
}

Task<Status> RequestFilter::write_zeroes(Queue& queue, const IoRequest& io) {
    return pass(queue, Deed::kChange, io.length, below().write_zeroes(queue, io));
}

Task<Status> RequestFilter::compare_and_write(Queue& queue, const IoRequest& io) {
    return pass(queue, Deed::kWrite, io.length, below().compare_and_write(queue, io));
}

Task<Status> RequestFilter::or_write(Queue& queue, const IoRequest& io) {
    return pass(queue, Deed::kWrite, io.length, below().or_write(queue, io));
}

Task<Status> RequestFilter::manage_zones(Queue& queue, ZoneAction action, const IoRequest& io) {
    return pass(queue, Deed::kChange, io.length, below().manage_zones(queue, action, io));
}

}  // namespace lunkit::filters

// SPDX-License-Identifier: Apache-2.0
#include "tcmu/copy_member.hpp"

#include <cerrno>
#include <utility>

namespace lunkit::tcmu {

namespace {

// A call that crosses to another queue; lives in the frame of whoever waits for its outcome.
template <typename Call>
struct Crossing : lunkit_completion {
    explicit Crossing(Call function) : lunkit_completion{}, call(std::move(function)) {
        done = [](lunkit_completion* completion) { static_cast<Crossing*>(completion)->call(); };
    }
    Call call;
};

}  // namespace

// Both of these: on the device's queue. What `found` and `outcome` refer to may be gone as soon as
// the completion is posted, and the device as soon as its gate is left.

Detached CopyMember::look(std::optional<CopyFacts>& found, Queue& back,
                          lunkit_completion* completion) {
    if (access_ != nullptr) {
        if (const Gate::Pass pass = access_->enter(); pass) {
            found = co_await access_->copy_facts();
        }
    }
    back.post(completion);
}

Detached CopyMember::run(Transfer transfer, const IoRequest& io, Status& outcome, Queue& back,
                         lunkit_completion* completion) {
    outcome = failure(ESHUTDOWN);
    if (access_ != nullptr) {
        CopyAccess& device = *access_;
        if (const Gate::Pass pass = device.enter(); pass) {
            outcome = co_await (device.*transfer)(io);
        }
    }
    back.post(completion);
}

Task<std::optional<CopyFacts>> CopyMember::facts(Queue& queue) {
    std::optional<CopyFacts> found;
    lunkit_completion* waiting = nullptr;
    Crossing crossing([&] { look(found, queue, waiting); });
    (void)co_await Operation([&](lunkit_completion* completion) {
        waiting = completion;
        queue_.post(&crossing);
        return LUNKIT_PENDING;
    });
    co_return found;
}

Task<Status> CopyMember::cross(Queue& queue, Transfer transfer, const IoRequest& io) {
    Status outcome;
    lunkit_completion* waiting = nullptr;
    Crossing crossing([&] { run(transfer, io, outcome, queue, waiting); });
    (void)co_await Operation([&](lunkit_completion* completion) {
        waiting = completion;
        queue_.post(&crossing);
        return LUNKIT_PENDING;
    });
    co_return outcome;
}

Task<Status> CopyMember::read(Queue& queue, const IoRequest& io) {
    return cross(queue, &CopyAccess::read_for_copy, io);
}

Task<Status> CopyMember::write(Queue& queue, const IoRequest& io) {
    return cross(queue, &CopyAccess::write_for_copy, io);
}

}  // namespace lunkit::tcmu

// SPDX-License-Identifier: Apache-2.0
#include "host/file_flush.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace lunkit::host {

int FlushState::enter(Turn& turn, lunkit_completion* completion) {
    const std::lock_guard hold(mutex_);
    if (failed()) {
        return -EIO;
    }
    if (turn.epoch_ <= durable_) {
        completion->result = kDurable;
        return LUNKIT_DONE;
    }
    if (!running_) {
        running_ = true;
        turn.epoch_ = written_.load();
        completion->result = kLead;
        return LUNKIT_DONE;
    }
    turn.waiter_ = completion;
    turn.next_ = std::exchange(waiting_, &turn);
    return LUNKIT_PENDING;
}

int FlushState::finish(Turn& turn, int result) {
    const std::lock_guard hold(mutex_);
    if (result < 0) {
        (void)latch();  // the caller has said so already
    }
    if (result == 0 && !failed()) {
        durable_ = std::max(durable_, turn.epoch_);
    }
    running_ = false;
    Turn* waiting = std::exchange(waiting_, nullptr);
    while (waiting != nullptr) {
        Turn* next = waiting->next_;  // once posted, it may be gone
        if (failed()) {
            waiting->waiter_->result = -EIO;
        } else if (waiting->epoch_ <= durable_) {
            waiting->waiter_->result = kDurable;
        } else if (!running_) {
            // Its fdatasync covers everybody who waits now, because it begins later.
            running_ = true;
            waiting->epoch_ = written_.load();
            waiting->waiter_->result = kLead;
        } else {
            waiting->next_ = std::exchange(waiting_, waiting);
            waiting = next;
            continue;
        }
        waiting->queue_.post(waiting->waiter_);
        waiting = next;
    }
    return failed() ? -EIO : 0;
}

}  // namespace lunkit::host

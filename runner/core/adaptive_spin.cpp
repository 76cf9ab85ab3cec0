// SPDX-License-Identifier: Apache-2.0
#include "core/adaptive_spin.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <cstdint>
#include <utility>

namespace lunkit::core {

void AdaptiveSpin::found(TimePoint now, unsigned requests) {
    if (state_ == State::kSpinning && penalty_ > 0) {
        penalty_ -= penalty_ / 8 + 1;
    }
    were_many_ = requests > kMany;
    expect(now);
}

void AdaptiveSpin::expect(TimePoint now) {
    chance_ = now;
    state_ = were_many_ ? State::kIdle : State::kChance;
}

bool AdaptiveSpin::go_on(TimePoint now) {
    const bool over = now - chance_ >= longest_;
    if (state_ == State::kChance) {
        state_ = !over && worth_trying() ? State::kSpinning : State::kIdle;
    } else if (state_ == State::kSpinning && over) {
        failed();
    }
    return state_ == State::kSpinning;
}

bool AdaptiveSpin::worth_trying() {
    if (!possible()) {
        return false;
    }
    if (pause_ > 0) {
        --pause_;
        return false;
    }
    if (spins_++ % kPreemptionCheck == 0) {
        const std::uint64_t now = preemptions_();
        const bool preempted = now > std::exchange(preempted_, now);
        if (preempted && spins_ > 1) {
            penalty_ = kLongestPause;
            pause_ = penalty_;
            return false;
        }
    }
    return true;
}

void AdaptiveSpin::failed() {
    state_ = State::kIdle;
    penalty_ = std::min(2 * penalty_ + 1, kLongestPause);
    pause_ = penalty_;
}

std::uint64_t AdaptiveSpin::thread_preemptions() {
    rusage usage{};
    (void)::getrusage(RUSAGE_THREAD, &usage);  // fails for bad arguments only
    return static_cast<std::uint64_t>(usage.ru_nivcsw);
}

}  // namespace lunkit::core

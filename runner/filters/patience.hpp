// SPDX-License-Identifier: Apache-2.0
// How a filter has a request wait: on a timer of the queue, so that no thread does.
#pragma once

#include <algorithm>
#include <chrono>

#include "filters/surroundings.hpp"
#include "lunkit/queue.hpp"
#include "lunkit/task.hpp"

namespace lunkit::filters {

/// How soon a waiting request learns that the daemon stops.
inline constexpr std::chrono::milliseconds kLongestSleep{200};

/// Until `due` by world.now(), or until the device is handed over: a stop is not held up for longer
/// than kLongestSleep. `world` outlives the call.
inline Task<void> wait_until(Queue& queue, const Surroundings& world,
                             std::chrono::nanoseconds due) {
    for (;;) {
        const std::chrono::nanoseconds left = due - world.now();
        if (left <= std::chrono::nanoseconds(0) || world.handing_over()) {
            co_return;
        }
        const Outcome slept =
            co_await queue.sleep(std::min<std::chrono::nanoseconds>(left, kLongestSleep));
        if (!slept.ok()) {
            co_return;  // the queue stops
        }
    }
}

}  // namespace lunkit::filters

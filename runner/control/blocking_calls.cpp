// SPDX-License-Identifier: Apache-2.0
#include "control/blocking_calls.hpp"

#include <fmt/format.h>
#include <pthread.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <system_error>
#include <thread>
#include <utility>

#include "control/glib_handle.hpp"

namespace lunkit::control {

struct BlockingCalls::Call {
    Work work;                          // the thread's, once it has begun
    std::atomic<bool> answered{false};  // written by the loop; a waiting call is then dropped
    // The loop's:
    Done done;
    LoopTimer limit;
};

struct BlockingCalls::State : std::enable_shared_from_this<State> {
    struct Lane {
        std::size_t running = 0;
        std::deque<std::shared_ptr<Call>> waiting;
    };

    State(std::size_t width, std::size_t depth) : lane_width(width), lane_depth(depth) {}

    const std::size_t lane_width;
    const std::size_t lane_depth;
    mutable std::mutex mutex;
    std::map<std::string, Lane> lanes;     // guarded by mutex; busy ones only
    std::size_t running = 0;               // guarded by mutex
    std::set<std::shared_ptr<Call>> open;  // the loop's

    void answer(const std::shared_ptr<Call>& call, Status status) {
        if (call->answered.exchange(true)) {
            return;
        }
        call->limit.stop();
        open.erase(call);
        Done done = std::exchange(call->done, nullptr);
        done(std::move(status));
    }

    void answer_later(std::shared_ptr<Call> call, Status status) {
        post_to_loop(
            [self = shared_from_this(), call = std::move(call),
             status = std::move(status)]() mutable { self->answer(call, std::move(status)); });
    }

    /// A thread: runs calls of the lane until none waits.
    void serve(const std::string& lane_name, std::shared_ptr<Call> call) {
        while (call) {
            if (!call->answered) {
                Status status = call->work();
                call->work = nullptr;
                answer_later(std::move(call), std::move(status));
            }
            call = next(lane_name);
        }
    }

    std::shared_ptr<Call> next(const std::string& lane_name) {
        const std::lock_guard lock(mutex);
        const auto lane = lanes.find(lane_name);
        if (lane->second.waiting.empty()) {
            leave(lane);
            return nullptr;
        }
        std::shared_ptr<Call> call = std::move(lane->second.waiting.front());
        lane->second.waiting.pop_front();
        return call;
    }

    /// A thread fewer in the lane. With the mutex.
    void leave(std::map<std::string, Lane>::iterator lane) {
        --running;
        if (--lane->second.running == 0) {
            lanes.erase(lane);
        }
    }

    /// With the mutex; the lane has counted the thread.
    void start_thread(const std::string& lane_name, const std::shared_ptr<Call>& call) {
        try {
            std::thread([self = shared_from_this(), lane_name, call] {
                ::pthread_setname_np(::pthread_self(), "check");
                self->serve(lane_name, call);
            }).detach();
        } catch (const std::system_error& error) {
            leave(lanes.find(lane_name));
            answer_later(call, failure(EAGAIN, fmt::format("no thread for it: {}", error.what())));
        }
    }
};

BlockingCalls::BlockingCalls(std::size_t lane_width, std::size_t lane_depth)
    : state_(std::make_shared<State>(lane_width, lane_depth)) {}

BlockingCalls::~BlockingCalls() {
    while (!state_->open.empty()) {
        const std::shared_ptr<Call> call = *state_->open.begin();
        state_->answer(call, failure(ECANCELED, "the daemon stops"));
    }
}

void BlockingCalls::run(const std::string& lane, Limit limit, Work work, Done done) {
    auto call = std::make_shared<Call>();
    call->work = std::move(work);
    call->done = std::move(done);
    state_->open.insert(call);
    // Not `call` itself: it owns the timer. While the timer runs, the call is open and so the state
    // is there.
    call->limit.start(limit.after, LoopTimer::Repeat::kOnce,
                      [state = state_.get(), waiting = std::weak_ptr<Call>(call),
                       message = std::move(limit.message)] {
                          if (const auto late = waiting.lock()) {
                              state->answer(late, failure(ETIMEDOUT, message));
                          }
                      });
    const std::lock_guard lock(state_->mutex);
    State::Lane& place = state_->lanes[lane];
    if (place.running < state_->lane_width) {
        ++place.running;
        ++state_->running;
        state_->start_thread(lane, call);
    } else if (place.waiting.size() < state_->lane_depth) {
        place.waiting.push_back(call);
    } else {
        state_->answer_later(call, failure(EBUSY, "too many calls are waiting; try again later"));
    }
}

std::size_t BlockingCalls::running() const {
    const std::lock_guard lock(state_->mutex);
    return state_->running;
}

}  // namespace lunkit::control

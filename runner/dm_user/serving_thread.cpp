// SPDX-License-Identifier: Apache-2.0
#include "dm_user/serving_thread.hpp"

#include <csignal>
#include <utility>

#include "lunkit/try.hpp"

namespace lunkit::dm_user {

namespace {

// Ignored where nobody waits for it, so a stray one does no harm.
constexpr int kWakeUp = SIGURG;

/// Without SA_RESTART, so that a wait ends.
void take_signal() {
    struct sigaction action{};
    action.sa_handler = [](int) {};
    sigemptyset(&action.sa_mask);
    (void)::sigaction(kWakeUp, &action, nullptr);  // fails for bad arguments only
}

void admit_signal() {
    sigset_t admitted;
    sigemptyset(&admitted);
    sigaddset(&admitted, kWakeUp);
    (void)pthread_sigmask(SIG_UNBLOCK, &admitted, nullptr);  // the same
}

}  // namespace

Result<ServingThread> ServingThread::start(const std::string& name, std::function<void()> body) {
    static std::once_flag taken;
    std::call_once(taken, take_signal);
    ServingThread serving;
    serving.state_ = std::make_shared<State>();
    TRY(serving.thread_,
        core::Thread::start(name, [state = serving.state_, body = std::move(body)] {
            admit_signal();
            {
                const std::lock_guard lock(state->mutex);
                state->handle = pthread_self();
                state->is_running = true;
            }
            body();
            const std::lock_guard lock(state->mutex);
            state->is_running = false;
        }));
    return serving;
}

void ServingThread::interrupt() const {
    if (!state_) {
        return;  // was not started
    }
    const std::lock_guard lock(state_->mutex);
    if (state_->is_running) {
        (void)pthread_kill(state_->handle, kWakeUp);  // fails for a thread that is none only
    }
}

}  // namespace lunkit::dm_user

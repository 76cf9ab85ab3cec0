// SPDX-License-Identifier: Apache-2.0
#include "tcmu/control_loop.hpp"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>

namespace lunkit::tcmu {

void ControlLoop::Inbox::post(Call call) {
    const std::lock_guard lock(mutex_);
    if (closed_) {
        return;
    }
    calls_.push_back(std::move(call));
    const std::uint64_t one = 1;
    (void)::write(event_.get(), &one, sizeof one);  // full means: readable already
}

Result<std::unique_ptr<ControlLoop>> ControlLoop::make() {
    UniqueFd event(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    if (!event) {
        return failure(errno, "cannot make an eventfd");
    }
    return std::unique_ptr<ControlLoop>(
        new ControlLoop(std::shared_ptr<Inbox>(new Inbox(std::move(event)))));
}

ControlLoop::~ControlLoop() {
    stop();
}

void ControlLoop::stop() {
    if (thread_.joinable()) {
        thread_.request_stop();
        inbox_->post([] {});
        thread_.join();
    }
    std::vector<Call> dropped;
    {
        const std::lock_guard lock(inbox_->mutex_);
        inbox_->closed_ = true;
        dropped.swap(inbox_->calls_);
    }
}

void ControlLoop::start(int fd, std::function<void()> readable) {
    fd_ = fd;
    readable_ = std::move(readable);
    thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
    (void)::pthread_setname_np(thread_.native_handle(), "tcmu-control");  // for people only
}

void ControlLoop::run(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
        std::array<pollfd, 2> waited{{{inbox_->event_.get(), POLLIN, 0}, {fd_, POLLIN, 0}}};
        (void)::poll(waited.data(), waited.size(), timeout());  // an error shows as nothing ready
        if ((waited[0].revents & POLLIN) != 0) {
            run_posted();
        }
        if (waited[1].revents != 0 && fd_ == waited[1].fd) {
            readable_();
        }
        run_due();
    }
}

void ControlLoop::run_posted() {
    std::uint64_t count = 0;
    (void)::read(inbox_->event_.get(), &count, sizeof count);  // only resets it
    std::vector<Call> calls;
    {
        const std::lock_guard lock(inbox_->mutex_);
        calls.swap(inbox_->calls_);
    }
    for (Call& call : calls) {
        call();
    }
}

void ControlLoop::run_due() {
    const Time now = std::chrono::steady_clock::now();
    while (!timers_.empty() && timers_.begin()->first.first <= now) {
        Call call = std::move(timers_.begin()->second);
        timers_.erase(timers_.begin());
        call();
    }
}

int ControlLoop::timeout() const {
    if (timers_.empty()) {
        return -1;
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(
        timers_.begin()->first.first - std::chrono::steady_clock::now());
    return static_cast<int>(
        std::clamp<std::int64_t>(left.count(), 0, std::numeric_limits<int>::max()));
}

ControlLoop::TimerId ControlLoop::after(std::chrono::milliseconds delay, Call call) {
    const TimerId id = ++last_timer_;
    timers_.emplace(std::pair(std::chrono::steady_clock::now() + delay, id), std::move(call));
    return id;
}

void ControlLoop::cancel(TimerId id) {
    std::erase_if(timers_, [id](const auto& timer) { return timer.first.second == id; });
}

}  // namespace lunkit::tcmu

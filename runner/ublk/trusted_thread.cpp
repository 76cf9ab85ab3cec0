// SPDX-License-Identifier: Apache-2.0
#include "ublk/trusted_thread.hpp"

#include <utility>

#include "lunkit/try.hpp"

namespace lunkit::ublk {

Result<std::unique_ptr<TrustedThread>> TrustedThread::start() {
    std::unique_ptr<TrustedThread> made(new TrustedThread);
    TRY(made->thread_, core::Thread::start("ublk-control", [self = made.get()] { self->run(); }));
    return made;
}

TrustedThread::~TrustedThread() {
    {
        const std::lock_guard lock(mutex_);
        ending_ = true;
    }
    changed_.notify_one();
    thread_.join();
}

void TrustedThread::post(Call call) {
    const std::lock_guard lock(mutex_);
    calls_.push_back(std::move(call));
    changed_.notify_one();
}

void TrustedThread::run() {
    std::unique_lock lock(mutex_);
    for (;;) {
        changed_.wait(lock, [this] { return ending_ || !calls_.empty(); });
        if (calls_.empty()) {
            return;
        }
        Call call = std::move(calls_.front());
        calls_.pop_front();
        lock.unlock();
        call();
        call = nullptr;
        lock.lock();
    }
}

}  // namespace lunkit::ublk

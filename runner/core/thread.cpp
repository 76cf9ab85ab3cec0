// SPDX-License-Identifier: Apache-2.0
#include "core/thread.hpp"

#include <sched.h>

#include <csignal>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>

namespace lunkit::core {

namespace {

struct Start {
    std::string name;
    std::function<void()> body;
};

void* run_thread(void* argument) {
    const std::unique_ptr<Start> start(static_cast<Start*>(argument));
    (void)pthread_setname_np(pthread_self(), start->name.c_str());  // only for who looks at ps
    start->body();
    return nullptr;
}

/// While it lives, the calling thread (and what it creates) has blocked what Thread promises.
class BlockedSignals {
  public:
    BlockedSignals() {
        sigset_t blocked;
        sigfillset(&blocked);
        for (const int fault : {SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS}) {
            sigdelset(&blocked, fault);
        }
        (void)pthread_sigmask(SIG_SETMASK, &blocked, &before_);  // fails for bad arguments only
    }
    BlockedSignals(const BlockedSignals&) = delete;
    BlockedSignals& operator=(const BlockedSignals&) = delete;
    BlockedSignals(BlockedSignals&&) = delete;
    BlockedSignals& operator=(BlockedSignals&&) = delete;
    ~BlockedSignals() { (void)pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

  private:
    sigset_t before_{};
};

}  // namespace

Result<Thread> Thread::start(const std::string& name, std::function<void()> body) {
    auto start = std::make_unique<Start>(Start{name.substr(0, 15), std::move(body)});
    Thread thread;
    const BlockedSignals blocked;
    if (const int error = pthread_create(&thread.handle_, nullptr, run_thread, start.get());
        error != 0) {
        return failure(error, "cannot start the thread " + name);
    }
    [[maybe_unused]] const Start* belongs_to_the_thread = start.release();
    thread.joinable_ = true;
    return thread;
}

Thread::Thread(Thread&& other) noexcept
    : handle_(other.handle_), joinable_(std::exchange(other.joinable_, false)) {}

Thread& Thread::operator=(Thread&& other) noexcept {
    if (this != &other) {
        join();
        handle_ = other.handle_;
        joinable_ = std::exchange(other.joinable_, false);
    }
    return *this;
}

Thread::~Thread() {
    join();
}

void Thread::join() {
    if (std::exchange(joinable_, false)) {
        (void)pthread_join(handle_, nullptr);  // fails for a handle that is none only
    }
}

unsigned usable_cpus() {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (::sched_getaffinity(0, sizeof set, &set) == 0) {
        return static_cast<unsigned>(CPU_COUNT(&set));
    }
    const unsigned online = std::thread::hardware_concurrency();  // more CPUs than cpu_set_t holds
    return online > 0 ? online : 1;
}

}  // namespace lunkit::core

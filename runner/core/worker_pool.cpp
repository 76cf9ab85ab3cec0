// SPDX-License-Identifier: Apache-2.0
// An idle worker waits on a condition of its own, and work is handed to one of them, the latest to
// become idle: so it is known exactly whether a thread is needed, and the surplus ones are those
// that see no work for the whole idle time and go. Then memory that was freed goes too.
#include "core/worker_pool.hpp"

#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <list>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "core/chain.hpp"
#include "core/lanes.hpp"
#include "core/log.hpp"
#include "core/thread.hpp"

namespace lunkit::core {

namespace {

struct Worker {
    Thread thread;
    std::condition_variable wake;
    WorkerPool::Work* given = nullptr;
};

}  // namespace

struct WorkerPool::State {
    State(std::size_t lane_width, std::chrono::milliseconds idle_time)
        : idle_for(idle_time), lanes(lane_width) {}

    using Workers = std::list<Worker>;

    const std::chrono::milliseconds idle_for;

    mutable std::mutex mutex;  // of all that follows
    Lanes<Work> lanes;
    Chain<Work> ready;          // may run, but no thread could be made for it
    Workers workers;            // threads that work or wait
    Workers gone;               // threads that have left and are to be joined
    std::vector<Worker*> idle;  // the last one became idle last
    std::condition_variable all_gone;
    bool closing = false;
    LogLimit thread_failures{1};

    void dispatch(Work* work, std::unique_lock<std::mutex>& lock);
    bool add_worker(Work* first);
    void work(Workers::iterator self);
    Work* wait_for_work(Worker& self, std::unique_lock<std::mutex>& lock);
    void leave(Workers::iterator self, std::unique_lock<std::mutex>& lock);

    static void run(Work* work) {
        work->result = work->function(work->argument);
        work->finished(work);
    }
};

void WorkerPool::State::dispatch(Work* work, std::unique_lock<std::mutex>& lock) {
    if (!idle.empty()) {
        Worker* worker = idle.back();
        idle.pop_back();
        worker->given = work;
        worker->wake.notify_one();
        return;
    }
    if (add_worker(work)) {
        return;
    }
    if (!workers.empty()) {
        ready.push(work);
        return;
    }
    // Late beats never: without a single thread the caller does it.
    const void* lane = work->lane;
    lock.unlock();
    run(work);
    lock.lock();
    if (Work* next = lanes.leave(lane); next != nullptr) {
        dispatch(next, lock);
    }
}

bool WorkerPool::State::add_worker(Work* first) {
    const auto worker = workers.emplace(workers.end());
    worker->given = first;
    auto thread = Thread::start("lunkit-worker", [this, worker] { work(worker); });
    if (!thread) {
        workers.erase(worker);
        if (std::uint64_t suppressed = 0; thread_failures.admit(&suppressed)) {
            log(LogLevel::kError, {}, "{} (error {}), going on with {}", thread.error().what,
                thread.error().code, workers.size());
        }
        return false;
    }
    worker->thread = std::move(*thread);
    return true;
}

void WorkerPool::State::work(Workers::iterator self) {
    std::unique_lock lock(mutex);
    while (Work* mine = wait_for_work(*self, lock)) {
        const void* lane = mine->lane;
        lock.unlock();
        run(mine);
        lock.lock();
        if (Work* next = lanes.leave(lane); next != nullptr) {
            ready.push(next);  // behind what waits for a thread already
        }
    }
    leave(self, lock);
}

/// nullptr: the time to go has come.
WorkerPool::Work* WorkerPool::State::wait_for_work(Worker& self,
                                                   std::unique_lock<std::mutex>& lock) {
    if (self.given == nullptr) {
        self.given = ready.pop();
    }
    if (self.given == nullptr && !closing) {
        idle.push_back(&self);
        const bool woken =
            self.wake.wait_for(lock, idle_for, [&] { return self.given != nullptr || closing; });
        if (!woken || self.given == nullptr) {
            std::erase(idle, &self);
        }
    }
    return std::exchange(self.given, nullptr);
}

void WorkerPool::State::leave(Workers::iterator self, std::unique_lock<std::mutex>& lock) {
    Workers earlier;
    earlier.splice(earlier.end(), gone);
    gone.splice(gone.end(), workers, self);
    if (workers.empty()) {
        all_gone.notify_all();
    }
    const bool load_is_over = !closing;
    lock.unlock();
    earlier.clear();  // joins threads that are at their very end
    if (load_is_over) {
        // What the devices that came and went have freed lies in pieces in the heaps of many
        // threads, of which malloc by itself gives back nothing but the ends.
        (void)::malloc_trim(0);
    }
}

WorkerPool::WorkerPool(std::size_t lane_width, std::chrono::milliseconds idle)
    : state_(std::make_unique<State>(std::max<std::size_t>(lane_width, 1), idle)) {}

WorkerPool::~WorkerPool() {
    std::unique_lock lock(state_->mutex);
    state_->closing = true;
    for (Worker* worker : state_->idle) {
        worker->wake.notify_one();
    }
    state_->all_gone.wait(lock, [this] { return state_->workers.empty(); });
    State::Workers last;
    last.splice(last.end(), state_->gone);
    lock.unlock();
    last.clear();  // joins
}

void WorkerPool::submit(const void* lane, Work* work) {
    work->lane = lane;
    std::unique_lock lock(state_->mutex);
    if (state_->lanes.enter(work)) {
        state_->dispatch(work, lock);
    }
}

std::size_t WorkerPool::threads() const {
    const std::lock_guard lock(state_->mutex);
    return state_->workers.size();
}

}  // namespace lunkit::core

// SPDX-License-Identifier: Apache-2.0
#include "core/queue_set.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "core/thread.hpp"
#include "lunkit/try.hpp"

namespace lunkit::core {

namespace {

constexpr std::size_t kLaneWidth = 16;  // as many as io_uring's buffered lanes have

}  // namespace

struct QueueSet::Member {
    std::unique_ptr<EngineQueue> queue;
    std::size_t devices = 0;
    Thread thread;
};

QueueSet::QueueSet() : pool_(std::make_unique<WorkerPool>(kLaneWidth)) {}

Result<std::unique_ptr<QueueSet>> QueueSet::start(EngineChoice engine, unsigned count,
                                                  std::chrono::microseconds spin,
                                                  const Threads& threads) {
    std::unique_ptr<QueueSet> set(new QueueSet);
    const unsigned wanted = count > 0 ? count : usable_cpus();
    for (unsigned i = 0; i < wanted; ++i) {
        auto member = std::make_unique<Member>();
        TRY(member->queue, make_queue(engine, *set->pool_, spin));
        if (member->queue->engine_name() == "threads") {
            engine = EngineChoice::kThreads;  // the others need not find out, and say, the same
        }
        EngineQueue* queue = member->queue.get();
        TRY(member->thread,
            Thread::start(threads.name + std::to_string(i), [queue, prepare = threads.prepare] {
                if (prepare) {
                    prepare();
                }
                queue->run();
            }));
        set->members_.push_back(std::move(member));
    }
    return set;
}

QueueSet::~QueueSet() {
    for (const auto& member : members_) {
        member->queue->stop();
    }
    for (const auto& member : members_) {
        member->thread.join();
    }
}

EngineQueue& QueueSet::assign() {
    const std::lock_guard lock(mutex_);
    const auto emptiest =
        std::min_element(members_.begin(), members_.end(),
                         [](const auto& a, const auto& b) { return a->devices < b->devices; });
    ++(*emptiest)->devices;
    return *(*emptiest)->queue;
}

void QueueSet::release(EngineQueue& queue) {
    const std::lock_guard lock(mutex_);
    for (const auto& member : members_) {
        if (member->queue.get() == &queue) {
            --member->devices;
        }
    }
}

std::size_t QueueSet::size() const {
    return members_.size();
}

EngineQueue& QueueSet::at(std::size_t index) {
    return *members_.at(index)->queue;
}

WorkerPool& QueueSet::workers() {
    return *pool_;
}

}  // namespace lunkit::core

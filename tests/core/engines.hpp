// SPDX-License-Identifier: Apache-2.0
// One suite for every engine: derive from OnEveryEngine, instantiate with LUNKIT_ON_EVERY_ENGINE.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <utility>

#include "core/engine_queue.hpp"
#include "core/make_queue.hpp"
#include "core/threads_queue.hpp"
#include "core/uring_queue.hpp"
#include "core/worker_pool.hpp"
#include "lunkit/task.hpp"
#include "support/run_task.hpp"

namespace lunkit::core {

using namespace std::chrono_literals;

struct Engine {
    const char* name;
    EngineChoice choice;
    UringQueue::Options options;
};
// NOLINTNEXTLINE(readability-identifier-naming): GoogleTest looks for this name
inline void PrintTo(const Engine& engine, std::ostream* out) {
    *out << engine.name;
}

inline constexpr Engine kEngines[] = {
    {"uring", EngineChoice::kUring, {}},
    {"uring_small_and_plain", EngineChoice::kUring, {.entries = 4, .plain = true}},
    {"threads", EngineChoice::kThreads, {}},
};

/// A completion that counts its calls and may do something then.
struct Counted : lunkit_completion {
    Counted() : lunkit_completion{} {
        done = [](lunkit_completion* completion) {
            auto* counted = static_cast<Counted*>(completion);
            ++counted->calls;
            if (counted->then) {
                counted->then();
            }
        };
    }
    explicit Counted(std::function<void()> call) : Counted() { then = std::move(call); }
    int calls = 0;
    std::function<void()> then;
};

class OnEveryEngine : public ::testing::TestWithParam<Engine> {
  protected:
    static constexpr std::size_t kLaneWidth = 4;

    void SetUp() override { make(0us); }

    void make(std::chrono::microseconds spin) {
        const Engine& engine = GetParam();
        auto made = make_queue(engine.choice, pool_, spin,
                               [&](WorkerPool& pool, std::chrono::microseconds longest_spin) {
                                   return UringQueue::create(pool, longest_spin, engine.options);
                               });
        if (!made) {
            GTEST_SKIP() << made.error().what;
        }
        queue_ = std::move(*made);
    }
    /// Runs until `events` of stop_after() completions have been called.
    [[nodiscard]] std::function<void()> stop_after(int events) {
        events_left_ = events;
        return [this] {
            if (--events_left_ == 0) {
                queue_->stop();
            }
        };
    }
    template <typename T>
    T run(Task<T> task) {
        return test::run_task(*queue_, std::move(task));
    }

    WorkerPool pool_{kLaneWidth};
    std::unique_ptr<EngineQueue> queue_;

  private:
    int events_left_ = 0;
};

#define LUNKIT_ON_EVERY_ENGINE(suite)                                       \
    INSTANTIATE_TEST_SUITE_P(Engines, suite, ::testing::ValuesIn(kEngines), \
                             ::testing::PrintToStringParamName())

inline auto transfer(EngineQueue& queue, const FileTransfer& what) {
    return Operation([&queue, what](lunkit_completion* completion) {
        return queue.submit_transfer(what, completion);
    });
}
inline auto data_sync(EngineQueue& queue, int fd) {
    return Operation([&queue, fd](lunkit_completion* completion) {
        return queue.submit_data_sync(fd, nullptr, completion);
    });
}

/// What holds an offloaded call until the test lets it go; any thread.
class Latch {
  public:
    void open() {
        open_ = true;
        open_.notify_all();
    }
    std::int64_t wait() {
        ++waiting_;
        waiting_.notify_all();
        open_.wait(false);
        return 0;
    }
    /// Blocks until so many calls wait.
    void until_waiting(int calls) {
        for (int now = waiting_; now < calls; now = waiting_) {
            waiting_.wait(now);
        }
    }
    [[nodiscard]] int waiting() const { return waiting_; }

  private:
    std::atomic<bool> open_{false};
    std::atomic<int> waiting_{0};
};

}  // namespace lunkit::core

// SPDX-License-Identifier: Apache-2.0
// QueueCore: the part of a queue that does not depend on its engine: the loop, posted completions,
// timers, pollers and their spin, work on the pool. An engine adds the kernel: polls, transfers,
// and how to wait.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/adaptive_spin.hpp"
#include "core/counter.hpp"
#include "core/engine_queue.hpp"
#include "core/posted_list.hpp"
#include "core/record_pool.hpp"
#include "core/timer_heap.hpp"
#include "core/worker_pool.hpp"
#include "lunkit/handler.h"
#include "lunkit/result.hpp"
#include "lunkit/unique_fd.hpp"

namespace lunkit::core {

class QueueCore : public EngineQueue {
  public:
    QueueCore(const QueueCore&) = delete;
    QueueCore& operator=(const QueueCore&) = delete;
    QueueCore(QueueCore&&) = delete;
    QueueCore& operator=(QueueCore&&) = delete;
    ~QueueCore() override;

    void run() final;
    void stop() final;
    int submit_timer(std::uint64_t nanoseconds, lunkit_completion* completion) final;
    /// completion->error_offset and error_class are left to `function`.
    int submit_offload(const void* lane, std::int64_t (*function)(void*), void* argument,
                       lunkit_completion* completion) final;
    void cancel(lunkit_completion* completion) final;
    void post(lunkit_completion* completion) final;
    void add_poller(Poller* poller) final;
    void remove_poller(Poller* poller) final;
    [[nodiscard]] EngineStats stats() const final;

  protected:
    using Nanoseconds = std::chrono::nanoseconds;
    static constexpr Nanoseconds kForEver = Nanoseconds::max();

    /// `wake_fd`: an eventfd, see make_wake_fd().
    QueueCore(WorkerPool& pool, std::chrono::microseconds spin, UniqueFd wake_fd);
    static Result<UniqueFd> make_wake_fd();

    // What an engine does, on the loop's thread.

    /// run() begins.
    virtual void begin() = 0;
    /// Runs the completions of those kernel events that are there already; true if there were any.
    /// No system call.
    virtual bool reap() = 0;
    /// The one system call of a turn: submits what was gathered and gets events, waiting for the
    /// first at most so long (0: not at all). Events on wake_fd() end the wait.
    virtual void enter(Nanoseconds longest) = 0;
    /// The completion of a pending poll, marked WaitsFor::kPoll.
    virtual void cancel_poll(lunkit_completion* completion) = 0;

    // What an engine uses.

    [[nodiscard]] int wake_fd() const { return wake_fd_.get(); }
    /// Sets the result and calls the completion. From the loop only, never from a submit_ call.
    void complete(lunkit_completion* completion, std::int64_t result);
    /// Sets the result; the loop will call the completion.
    void complete_later(lunkit_completion* completion, std::int64_t result);
    /// An operation whose completion will wake the loop is in flight, or has ended.
    void operation_began() { ++in_flight_; }
    void operation_ended();
    /// For a destructor: returns when no worker touches what belongs to this queue any more.
    void wait_for_offloads() const;
    void count_system_call() { count(system_calls_); }
    /// 0, or -EINVAL for what the kernel would take for something else.
    static int check(const FileTransfer& transfer);
    /// The transfer's iovecs that one system call takes.
    static int iov_count(const FileTransfer& transfer);
    /// Worker thread: by the system call itself. What it gives, or -errno.
    static std::int64_t transfer_blocking(const FileTransfer& transfer);
    static std::int64_t data_sync_blocking(int fd);

  private:
    struct Offload : lunkit_completion {
        QueueCore* queue = nullptr;
        WorkerPool::Work work;
        std::int64_t (*function)(void*) = nullptr;
        void* argument = nullptr;
        lunkit_completion* completion = nullptr;
        Offload* next = nullptr;  // RecordPool's
    };

    static std::int64_t run_offloaded(void* record);       // worker thread
    static void offload_finished(WorkerPool::Work* work);  // worker thread
    static void offload_landed(lunkit_completion* landed);

    void turn();
    bool run_posted();
    bool expire_timers();
    bool ask_pollers();
    void flush_pollers();
    [[nodiscard]] bool spin_on();
    void sleep();
    [[nodiscard]] Nanoseconds until_next_timer() const;
    void wake();

    WorkerPool& pool_;
    UniqueFd wake_fd_;
    PostedList posted_;
    std::atomic<bool> asleep_{false};
    std::atomic<bool> stopping_{false};
    std::atomic<std::size_t> offloads_{0};  // in the pool, or posting what came of them

    TimerHeap timers_;
    RecordPool<Offload> offload_records_;
    std::vector<Poller*> pollers_;  // nullptr: removed
    AdaptiveSpin spin_;
    std::size_t in_flight_ = 0;
    unsigned busy_turns_ = 0;  // in a row
    unsigned idle_looks_ = 0;

    std::atomic<std::uint64_t> turns_{0};
    std::atomic<std::uint64_t> sleeps_{0};
    std::atomic<std::uint64_t> system_calls_{0};
    std::atomic<std::uint64_t> completions_{0};
};

}  // namespace lunkit::core

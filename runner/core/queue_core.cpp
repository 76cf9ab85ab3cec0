// SPDX-License-Identifier: Apache-2.0
// The loop. A turn looks at everything in memory: posted completions, timers, pollers, kernel
// events that have arrived. A turn that found anything is followed by another one without a system
// call between them, because what its completions started is best gathered and submitted together
// with the wait; only when turns stay busy the kernel is entered every second one. A turn that
// found nothing enters the kernel: it submits and waits in one call, unless the spin says to look
// again.
//
// Waking. A thread that posts need not tell a loop that is awake. Before the loop sleeps it sets
// asleep_ and then looks at the posted list once more; who posts first links its completion and
// then looks at asleep_. All four are sequentially consistent, so at least one of the two sees the
// other. The first to clear asleep_ writes to the eventfd, and one write is enough.
#include "core/queue_core.hpp"

#include <limits.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <thread>
#include <utility>

#include "core/completion_mark.hpp"
#include "core/thread.hpp"

namespace lunkit::core {

namespace {

using Clock = std::chrono::steady_clock;

constexpr unsigned kLooksPerEntry = 16;  // idle looks of a spin between two looks at the kernel
constexpr std::chrono::hours kLongestTimer{24 * 365 * 100};  // no overflow when added to now

void relax_cpu() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

}  // namespace

QueueCore::QueueCore(WorkerPool& pool, std::chrono::microseconds spin, UniqueFd wake_fd)
    : pool_(pool), wake_fd_(std::move(wake_fd)), spin_(spin, usable_cpus()) {}

QueueCore::~QueueCore() {
    wait_for_offloads();
}

void QueueCore::wait_for_offloads() const {
    // A worker may still be inside post(): what it counts down last is offloads_.
    while (offloads_.load(std::memory_order_acquire) != 0) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
}

Result<UniqueFd> QueueCore::make_wake_fd() {
    UniqueFd fd(::eventfd(0, EFD_CLOEXEC));
    if (!fd) {
        return failure(errno, "cannot make an eventfd");
    }
    return fd;
}

void QueueCore::run() {
    begin();
    while (!stopping_.load(std::memory_order_seq_cst)) {
        turn();
    }
    while (run_posted()) {
    }
    flush_pollers();
    stopping_.store(false, std::memory_order_seq_cst);
}

void QueueCore::stop() {
    stopping_.store(true, std::memory_order_seq_cst);
    wake();
}

void QueueCore::post(lunkit_completion* completion) {
    posted_.push(completion);
    wake();
}

void QueueCore::wake() {
    if (asleep_.load(std::memory_order_seq_cst) &&
        asleep_.exchange(false, std::memory_order_seq_cst)) {
        const std::uint64_t one = 1;
        const ssize_t written = ::write(wake_fd_.get(), &one, sizeof one);
        (void)written;  // fails only when the counter is full, and then it is readable as well
    }
}

void QueueCore::turn() {
    count(turns_);
    bool busy = run_posted();
    busy = expire_timers() || busy;
    busy = ask_pollers() || busy;
    busy = reap() || busy;
    flush_pollers();
    if (busy) {
        if (++busy_turns_ % 2 == 0) {
            enter(Nanoseconds(0));
        }
        return;
    }
    busy_turns_ = 0;
    if (!spin_on()) {
        sleep();
    } else if (++idle_looks_ % kLooksPerEntry == 0) {
        enter(Nanoseconds(0));
    } else {
        relax_cpu();
    }
}

void QueueCore::sleep() {
    asleep_.store(true, std::memory_order_seq_cst);
    if (posted_.empty() && !stopping_.load(std::memory_order_seq_cst)) {
        count(sleeps_);
        enter(until_next_timer());
    }
    asleep_.store(false, std::memory_order_seq_cst);
}

bool QueueCore::run_posted() {
    if (posted_.empty()) {
        return false;
    }
    // What these post in turn belongs to the next turn.
    lunkit_completion* completion = posted_.take_all();
    while (completion != nullptr) {
        lunkit_completion* next = PostedList::next(completion);
        mark(completion, WaitsFor::kNothing);
        count(completions_);
        completion->done(completion);
        completion = next;
    }
    return true;
}

bool QueueCore::expire_timers() {
    if (timers_.empty()) {
        return false;
    }
    const TimePoint now = Clock::now();
    bool any = false;
    while (lunkit_completion* completion = timers_.pop_due(now)) {
        complete(completion, 0);
        any = true;
    }
    return any;
}

QueueCore::Nanoseconds QueueCore::until_next_timer() const {
    if (timers_.empty()) {
        return kForEver;
    }
    return std::max(Nanoseconds(timers_.next_due() - Clock::now()), Nanoseconds(0));
}

bool QueueCore::ask_pollers() {
    if (pollers_.empty()) {
        return false;
    }
    unsigned found = 0;
    for (std::size_t i = 0; i < pollers_.size(); ++i) {  // poll() may add and remove
        found += pollers_[i] != nullptr ? pollers_[i]->poll() : 0;
    }
    std::erase(pollers_, nullptr);
    if (found > 0 && spin_.possible()) {
        spin_.found(Clock::now(), found);
    }
    return found > 0;
}

void QueueCore::flush_pollers() {
    for (std::size_t i = 0; i < pollers_.size(); ++i) {
        if (pollers_[i] != nullptr) {
            pollers_[i]->flush();
        }
    }
}

bool QueueCore::spin_on() {
    if (pollers_.empty() || !spin_.possible()) {
        return false;
    }
    if (in_flight_ > 0) {
        spin_.give_up();
        return false;
    }
    return spin_.go_on(Clock::now());
}

void QueueCore::operation_ended() {
    --in_flight_;
    if (in_flight_ == 0 && !pollers_.empty() && spin_.possible()) {
        spin_.expect(Clock::now());
    }
}

void QueueCore::add_poller(Poller* poller) {
    pollers_.push_back(poller);
}

void QueueCore::remove_poller(Poller* poller) {
    std::replace(pollers_.begin(), pollers_.end(), poller, static_cast<Poller*>(nullptr));
}

int QueueCore::submit_timer(std::uint64_t nanoseconds, lunkit_completion* completion) {
    constexpr auto kLongest = static_cast<std::uint64_t>(Nanoseconds(kLongestTimer).count());
    const Nanoseconds duration(std::min(nanoseconds, kLongest));
    mark(completion, WaitsFor::kTimer, timers_.add(Clock::now() + duration, completion));
    return LUNKIT_PENDING;
}

void QueueCore::cancel(lunkit_completion* completion) {
    switch (waits_for(completion)) {
        case WaitsFor::kTimer:
            timers_.remove(marked_record<TimerHeap::Timer>(completion));
            complete_later(completion, -ECANCELED);
            break;
        case WaitsFor::kPoll:
            cancel_poll(completion);
            break;
        case WaitsFor::kNothing:  // it has ended already and will be called
            break;
    }
}

int QueueCore::submit_offload(const void* lane, std::int64_t (*function)(void*), void* argument,
                              lunkit_completion* completion) {
    Offload* record = offload_records_.take();
    record->done = offload_landed;
    record->queue = this;
    record->function = function;
    record->argument = argument;
    record->completion = completion;
    record->work.function = run_offloaded;
    record->work.argument = record;
    record->work.finished = offload_finished;
    mark(completion, WaitsFor::kNothing);
    operation_began();
    offloads_.fetch_add(1, std::memory_order_relaxed);
    pool_.submit(lane != nullptr ? lane : this, &record->work);
    return LUNKIT_PENDING;
}

std::int64_t QueueCore::run_offloaded(void* record) {
    const auto* offload = static_cast<Offload*>(record);
    return offload->function(offload->argument);
}

void QueueCore::offload_finished(WorkerPool::Work* work) {
    auto* record = static_cast<Offload*>(work->argument);
    QueueCore* queue = record->queue;
    queue->post(record);
    queue->offloads_.fetch_sub(1, std::memory_order_release);  // the last touch of the queue
}

void QueueCore::offload_landed(lunkit_completion* landed) {
    auto* record = static_cast<Offload*>(landed);
    QueueCore& queue = *record->queue;
    lunkit_completion* completion = record->completion;
    completion->result = record->work.result;
    queue.offload_records_.give_back(record);
    queue.operation_ended();
    completion->done(completion);
}

void QueueCore::complete(lunkit_completion* completion, std::int64_t result) {
    set_result(completion, result);
    count(completions_);
    completion->done(completion);
}

void QueueCore::complete_later(lunkit_completion* completion, std::int64_t result) {
    set_result(completion, result);
    post(completion);
}

int QueueCore::check(const FileTransfer& transfer) {
    // Offset -1 would mean the file's own position.
    constexpr auto kLast = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    return transfer.offset <= kLast ? 0 : -EINVAL;
}

int QueueCore::iov_count(const FileTransfer& transfer) {
    return static_cast<int>(std::min<std::size_t>(transfer.iov.size(), IOV_MAX));
}

std::int64_t QueueCore::transfer_blocking(const FileTransfer& transfer) {
    const auto call = transfer.is_write ? &::pwritev2 : &::preadv2;
    ssize_t result = 0;
    do {
        result = call(transfer.fd, transfer.iov.data(), iov_count(transfer),
                      static_cast<off_t>(transfer.offset), transfer.rw_flags);
    } while (result < 0 && errno == EINTR);
    return result < 0 ? -errno : result;
}

std::int64_t QueueCore::data_sync_blocking(int fd) {
    int result = 0;
    do {
        result = ::fdatasync(fd);
    } while (result < 0 && errno == EINTR);
    return result < 0 ? -errno : result;
}

EngineStats QueueCore::stats() const {
    return {turns_.load(std::memory_order_relaxed), sleeps_.load(std::memory_order_relaxed),
            system_calls_.load(std::memory_order_relaxed),
            completions_.load(std::memory_order_relaxed)};
}

}  // namespace lunkit::core

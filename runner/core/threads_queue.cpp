// SPDX-License-Identifier: Apache-2.0
// Polls. epoll knows a descriptor once, so the polls of one descriptor share a registration with
// the union of their events. It is one-shot (EPOLLONESHOT): after an event it stays, disabled, and
// is armed anew for whoever still waits or comes later. A descriptor may meanwhile have been closed
// and its number reused; hence arm() takes neither "there already" nor "not there" for an error.
#include "core/threads_queue.hpp"

#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "core/completion_mark.hpp"

namespace lunkit::core {

namespace {

/// Milliseconds for epoll_wait(2), rounded up: a timer never fires early.
int round_up(std::chrono::nanoseconds longest) {
    constexpr std::chrono::hours kLongest{24};  // then it just looks again
    const auto bounded = std::min<std::chrono::nanoseconds>(longest, kLongest);
    return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(bounded).count());
}

}  // namespace

Result<std::unique_ptr<EngineQueue>> ThreadsQueue::create(WorkerPool& pool,
                                                          std::chrono::microseconds spin) {
    auto wake_fd = make_wake_fd();
    if (!wake_fd) {
        return std::unexpected(wake_fd.error());
    }
    UniqueFd epoll_fd(::epoll_create1(EPOLL_CLOEXEC));
    if (!epoll_fd) {
        return failure(errno, "cannot make an epoll descriptor");
    }
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = wake_fd->get();
    if (::epoll_ctl(epoll_fd.get(), EPOLL_CTL_ADD, wake_fd->get(), &event) < 0) {
        return failure(errno, "cannot watch the wake-up descriptor");
    }
    return std::unique_ptr<EngineQueue>(
        new ThreadsQueue(pool, spin, std::move(*wake_fd), std::move(epoll_fd)));
}

ThreadsQueue::ThreadsQueue(WorkerPool& pool, std::chrono::microseconds spin, UniqueFd wake_fd,
                           UniqueFd epoll_fd)
    : QueueCore(pool, spin, std::move(wake_fd)), epoll_fd_(std::move(epoll_fd)) {}

int ThreadsQueue::submit_poll(int fd, std::uint32_t events, lunkit_completion* completion) {
    if (fd < 0) {
        return -EBADF;
    }
    const auto index = static_cast<std::size_t>(fd);
    if (index >= polls_.size()) {
        polls_.resize(index + 1);
    }
    Poll* poll = poll_records_.take();
    *poll = {fd, events, completion, polls_[index]};
    polls_[index] = poll;
    if (const int error = arm(fd); error < 0) {
        polls_[index] = poll->next;
        poll_records_.give_back(poll);
        if (error == -EPERM) {  // a regular file or the like: poll(2) says it is always ready
            completion->result = events & (EPOLLIN | EPOLLOUT | EPOLLRDNORM | EPOLLWRNORM);
            return LUNKIT_DONE;
        }
        return error;
    }
    mark(completion, WaitsFor::kPoll, poll);
    return LUNKIT_PENDING;
}

/// Tells epoll what the polls of `fd` wait for.
int ThreadsQueue::arm(int fd) {
    epoll_event event{};
    event.events = EPOLLONESHOT;
    event.data.fd = fd;
    for (const Poll* poll = polls_[static_cast<std::size_t>(fd)]; poll != nullptr;
         poll = poll->next) {
        event.events |= poll->events;
    }
    count_system_call();
    if (::epoll_ctl(epoll_fd_.get(), EPOLL_CTL_MOD, fd, &event) == 0) {
        return 0;
    }
    if (errno != ENOENT) {
        return -errno;
    }
    count_system_call();
    return ::epoll_ctl(epoll_fd_.get(), EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

void ThreadsQueue::cancel_poll(lunkit_completion* completion) {
    Poll* poll = marked_record<Poll>(completion);
    Poll** link = &polls_[static_cast<std::size_t>(poll->fd)];
    while (*link != poll) {
        link = &(*link)->next;
    }
    *link = poll->next;
    poll_records_.give_back(poll);
    complete_later(completion, -ECANCELED);
}

bool ThreadsQueue::reap() {
    const std::size_t count = std::exchange(event_count_, 0);
    for (const epoll_event& event : std::span(events_).first(count)) {
        if (event.data.fd == wake_fd()) {
            take_wake_up();
        } else {
            happened(event.data.fd, event.events);
        }
    }
    return count > 0;
}

/// Ends the polls of `fd` that wait for one of `events`, and arms it for the others. The loop calls
/// their completions in its next turn, so that these may do as they like with other polls.
void ThreadsQueue::happened(int fd, std::uint32_t events) {
    Poll*& first = polls_[static_cast<std::size_t>(fd)];
    Poll** link = &first;
    while (Poll* poll = *link) {
        const std::uint32_t seen = events & (poll->events | EPOLLERR | EPOLLHUP);
        if (seen == 0) {
            link = &poll->next;
            continue;
        }
        *link = poll->next;
        complete_later(poll->completion, seen);
        poll_records_.give_back(poll);
    }
    if (first == nullptr) {
        return;
    }
    const int armed = arm(fd);
    while (armed < 0 && first != nullptr) {  // it was closed under who still waits
        Poll* poll = std::exchange(first, first->next);
        complete_later(poll->completion, armed);
        poll_records_.give_back(poll);
    }
}

void ThreadsQueue::take_wake_up() {
    std::uint64_t count = 0;
    count_system_call();
    const ssize_t got = ::read(wake_fd(), &count, sizeof count);
    (void)got;  // readable, epoll said
}

void ThreadsQueue::enter(Nanoseconds longest) {
    count_system_call();
    const int count = wait(longest);
    event_count_ = count > 0 ? static_cast<std::size_t>(count) : 0;
}

int ThreadsQueue::wait(Nanoseconds longest) {
    const auto room = static_cast<int>(events_.size());
    if (longest == kForEver || longest.count() == 0) {
        return ::epoll_wait(epoll_fd_.get(), events_.data(), room, longest == kForEver ? -1 : 0);
    }
    if (has_pwait2_) {
        const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(longest);
        const timespec timeout{seconds.count(), (longest - seconds).count()};
        const int count = ::epoll_pwait2(epoll_fd_.get(), events_.data(), room, &timeout, nullptr);
        if (count >= 0 || (errno != ENOSYS && errno != EPERM)) {
            return count;
        }
        has_pwait2_ = false;
    }
    return ::epoll_wait(epoll_fd_.get(), events_.data(), room, round_up(longest));
}

int ThreadsQueue::submit_transfer(const FileTransfer& transfer, lunkit_completion* completion) {
    if (const int error = check(transfer); error < 0) {
        return error;
    }
    Transfer* record = transfer_records_.take();
    record->what = transfer;
    return submit(record, completion);
}

int ThreadsQueue::submit_data_sync(int fd, const void* lane, lunkit_completion* completion) {
    Transfer* record = transfer_records_.take();
    record->what.fd = fd;
    record->what.lane = lane;
    record->is_data_sync = true;
    return submit(record, completion);
}

int ThreadsQueue::submit(Transfer* transfer, lunkit_completion* completion) {
    transfer->done = finished;
    transfer->queue = this;
    transfer->completion = completion;
    mark(completion, WaitsFor::kNothing);
    return submit_offload(transfer->what.lane, run, transfer, transfer);
}

std::int64_t ThreadsQueue::run(void* transfer) {
    const auto* record = static_cast<const Transfer*>(transfer);
    return record->is_data_sync ? data_sync_blocking(record->what.fd)
                                : transfer_blocking(record->what);
}

void ThreadsQueue::finished(lunkit_completion* transfer) {
    auto* record = static_cast<Transfer*>(transfer);
    ThreadsQueue* queue = record->queue;
    lunkit_completion* completion = record->completion;
    const std::int64_t result = record->result;
    queue->transfer_records_.give_back(record);
    set_result(completion, result);
    completion->done(completion);
}

}  // namespace lunkit::core

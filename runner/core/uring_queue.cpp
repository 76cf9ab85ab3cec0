// SPDX-License-Identifier: Apache-2.0
// Who does the work. A transfer that finds its data in the page cache, or a direct one that the
// device takes, needs nobody: the kernel makes it while it is submitted, or its completion arrives
// by interrupt. What must block (a page-cache miss on some file systems, fdatasync, a file system
// without NOWAIT) goes to a worker thread of the ring (io-wq). These have an upper number; were a
// hung file (NFS) able to take them all, every other file of the ring would hang with it. Hence
// the lanes: of one lane only so many transfers are given to the ring at once, and there are
// workers for many such lanes.
//
// Threads. The ring is made by whoever calls create(), disabled (R_DISABLED), and enabled by the
// thread that calls run(): with SINGLE_ISSUER it then belongs to that thread. With DEFER_TASKRUN
// completions are produced only when that thread enters the kernel for events: no interrupt of
// whatever it does, and whole batches at once.
#include "core/uring_queue.hpp"

#include <fcntl.h>
#include <poll.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <span>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "core/completion_mark.hpp"
#include "core/log.hpp"

namespace lunkit::core {

namespace {

constexpr std::size_t kBufferedPerLane = 16;
constexpr std::size_t kDirectPerLane = 128;
constexpr unsigned kBoundedWorkers = 512;  // io-wq threads for files, made as they are needed
constexpr unsigned kCompletionFactor = 16;

// In the order of their kernels: 6.1, 6.0, 5.19, and what 5.11 has.
constexpr unsigned kAlways = IORING_SETUP_CQSIZE | IORING_SETUP_R_DISABLED;
constexpr unsigned kCooperative =
    kAlways | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
constexpr std::array kSetups = {
    kCooperative | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
    kCooperative | IORING_SETUP_SINGLE_ISSUER,
    kCooperative,
    kAlways,
};

std::string why_unusable(int error) {
    if (error == ENOSYS) {
        return "this kernel has no io_uring";
    }
    if (error == EPERM) {
        // kernel.io_uring_disabled, Linux 6.6: 1 = for the unprivileged, 2 = for everybody.
        std::ifstream file("/proc/sys/kernel/io_uring_disabled");
        if (int value = 0; file >> value && value != 0) {
            return "it is forbidden by kernel.io_uring_disabled=" + std::to_string(value);
        }
        return "it is forbidden for this process (a seccomp filter or a security module)";
    }
    if (error == ENOMEM) {
        return "no memory for the ring (RLIMIT_MEMLOCK?)";
    }
    return "io_uring_setup: " + std::generic_category().message(error);
}

}  // namespace

Result<std::unique_ptr<EngineQueue>> UringQueue::create(WorkerPool& pool,
                                                        std::chrono::microseconds spin,
                                                        Options options) {
    auto wake_fd = make_wake_fd();
    if (!wake_fd) {
        return std::unexpected(wake_fd.error());
    }
    std::unique_ptr<UringQueue> queue(new UringQueue(pool, spin, std::move(*wake_fd)));
    if (Status status = queue->set_up(options); !status) {
        return std::unexpected(status.error());
    }
    return queue;
}

UringQueue::UringQueue(WorkerPool& pool, std::chrono::microseconds spin, UniqueFd wake_fd)
    : QueueCore(pool, spin, std::move(wake_fd)),
      buffered_lanes_(kBufferedPerLane),
      direct_lanes_(kDirectPerLane) {}

Status UringQueue::set_up(const Options& options) {
    int result = -EINVAL;
    for (const unsigned flags : kSetups) {
        if (options.plain && flags != kAlways) {
            continue;
        }
        io_uring_params params{};
        params.flags = flags;
        params.cq_entries = options.entries * kCompletionFactor;
        result = io_uring_queue_init_params(options.entries, &ring_, &params);
        if (result != -EINVAL) {  // a flag that this kernel does not know
            break;
        }
    }
    if (result < 0) {
        return failure(-result, why_unusable(-result));
    }
    is_set_up_ = true;
    // NODROP: completions that do not fit wait in the kernel. EXT_ARG: a wait has a timeout.
    constexpr unsigned kNeeded = IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG;
    if ((ring_.features & kNeeded) != kNeeded) {
        return failure(ENOSYS, "the io_uring of this kernel is older than Linux 5.11's");
    }
    return {};
}

UringQueue::~UringQueue() {
    wait_for_offloads();  // workers use the records of what took a detour
    if (!is_set_up_) {
        return;
    }
    // Buffers must not be written to afterwards. If the owner was another thread, it has ended, and
    // the kernel let it end only when its requests had.
    while (on_ring_ > 0 && owner_ == std::this_thread::get_id()) {
        settled(io_uring_submit_and_wait(&ring_, 1));
        unsigned head = 0;
        unsigned seen = 0;
        const io_uring_cqe* cqe = nullptr;
        io_uring_for_each_cqe(&ring_, head, cqe) {
            const auto* op = static_cast<const Op*>(io_uring_cqe_get_data(cqe));
            if (op->kind == Kind::kTransfer || op->kind == Kind::kDataSync) {
                --on_ring_;
            }
            ++seen;
        }
        io_uring_cq_advance(&ring_, seen);
    }
    io_uring_queue_exit(&ring_);
}

void UringQueue::begin() {
    if (owner_ == std::thread::id()) {
        owner_ = std::this_thread::get_id();
        // liburing 2.3 declares io_uring_enable_rings() but does not export it.
        settled(io_uring_register(static_cast<unsigned>(ring_.ring_fd),
                                  IORING_REGISTER_ENABLE_RINGS, nullptr, 0));
        std::array<unsigned, 2> workers{kBoundedWorkers, 0};  // 0: unbounded ones stay as they are
        (void)io_uring_register_iowq_max_workers(&ring_, workers.data());  // 5.15
        start(&wake_);
    }
}

int UringQueue::submit_poll(int fd, std::uint32_t events, lunkit_completion* completion) {
    Op* op = ops_.take();
    op->kind = Kind::kPoll;
    op->fd = fd;
    op->events = events;
    op->completion = completion;
    mark(completion, WaitsFor::kPoll, op);
    start(op);
    return LUNKIT_PENDING;
}

void UringQueue::cancel_poll(lunkit_completion* completion) {
    Op* poll = marked_record<Op>(completion);
    if (std::exchange(poll->cancelled, true)) {
        return;
    }
    // Submissions keep their order: it finds the poll, or a poll that has ended.
    Op* op = ops_.take();
    op->kind = Kind::kPollRemove;
    op->target = poll;
    start(op);
}

int UringQueue::submit_transfer(const FileTransfer& transfer, lunkit_completion* completion) {
    if (const int error = check(transfer); error < 0) {
        return error;
    }
    Op* op = ops_.take();
    op->kind = Kind::kTransfer;
    op->is_write = transfer.is_write;
    op->fd = transfer.fd;
    op->rw_flags = transfer.rw_flags;
    op->offset = transfer.offset;
    op->iov = transfer.iov.data();
    op->iov_count = iov_count(transfer);
    op->lanes = transfer.direct ? &direct_lanes_ : &buffered_lanes_;
    return start_in_lane(op, transfer.lane, completion);
}

int UringQueue::submit_data_sync(int fd, const void* lane, lunkit_completion* completion) {
    Op* op = ops_.take();
    op->kind = Kind::kDataSync;
    op->fd = fd;
    op->lanes = &buffered_lanes_;
    return start_in_lane(op, lane, completion);
}

int UringQueue::submit_command(const DriverCommand& command, lunkit_completion* completion) {
    Op* op = ops_.take();
    op->kind = Kind::kCommand;
    op->command = command;
    op->completion = completion;
    mark(completion, WaitsFor::kNothing);
    start(op);
    return LUNKIT_PENDING;
}

int UringQueue::start_in_lane(Op* op, const void* lane, lunkit_completion* completion) {
    op->lane = lane;
    op->completion = completion;
    mark(completion, WaitsFor::kNothing);
    operation_began();
    if (op->lanes->enter(op)) {
        start(op);
    }
    return LUNKIT_PENDING;
}

/// Puts `op` on the submission ring; where that is full, submits and goes on, or leaves it waiting.
void UringQueue::start(Op* op) {
    if (waiting_.empty()) {
        io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
        if (sqe == nullptr && owner_ == std::this_thread::get_id() && submit()) {
            sqe = io_uring_get_sqe(&ring_);
        }
        if (sqe != nullptr) {
            prepare(sqe, op);
            return;
        }
    }
    waiting_.push(op);
}

void UringQueue::prepare(io_uring_sqe* sqe, Op* op) {
    switch (op->kind) {
        case Kind::kTransfer:
            ++on_ring_;
            io_uring_prep_rw(op->is_write ? IORING_OP_WRITEV : IORING_OP_READV, sqe, op->fd,
                             op->iov, static_cast<unsigned>(op->iov_count), op->offset);
            sqe->rw_flags = op->rw_flags;
            break;
        case Kind::kDataSync:
            ++on_ring_;
            io_uring_prep_fsync(sqe, op->fd, IORING_FSYNC_DATASYNC);
            break;
        case Kind::kPoll:
            io_uring_prep_poll_add(sqe, op->fd, op->events);
            break;
        case Kind::kPollRemove:
            io_uring_prep_poll_remove(sqe, reinterpret_cast<std::uintptr_t>(op->target));
            break;
        case Kind::kCommand:
            io_uring_prep_rw(IORING_OP_URING_CMD, sqe, op->command.fd, nullptr, 0,
                             op->command.op);  // liburing 2.3 has no call for it
            std::memcpy(&sqe->addr3, op->command.payload.data(), op->command.payload.size());
            break;
        case Kind::kWake:
            io_uring_prep_read(sqe, wake_fd(), &wake_count_, sizeof wake_count_, 0);
            break;
    }
    io_uring_sqe_set_data(sqe, op);
}

/// False when the kernel takes nothing at present.
bool UringQueue::submit() {
    count_system_call();
    const int result = io_uring_submit(&ring_);
    settled(result);
    return result >= 0;
}

/// False when the kernel takes nothing at present and some still wait.
bool UringQueue::submit_waiting() {
    while (!waiting_.empty()) {
        if (io_uring_sqe* sqe = io_uring_get_sqe(&ring_); sqe != nullptr) {
            prepare(sqe, waiting_.pop());
        } else if (!submit()) {
            return false;
        }
    }
    return true;
}

void UringQueue::enter(Nanoseconds longest) {
    if (!submit_waiting()) {
        longest = Nanoseconds(0);  // room comes with the completions that are there
    }
    if (longest.count() == 0) {
        if (io_uring_sq_ready(&ring_) > 0 || kernel_has_work()) {
            count_system_call();
            settled(io_uring_submit_and_get_events(&ring_));
        }
        return;
    }
    count_system_call();
    io_uring_cqe* cqe = nullptr;
    if (longest == kForEver) {
        settled(io_uring_submit_and_wait_timeout(&ring_, &cqe, 1, nullptr, nullptr));
        return;
    }
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(longest);
    __kernel_timespec timeout{seconds.count(), (longest - seconds).count()};
    settled(io_uring_submit_and_wait_timeout(&ring_, &cqe, 1, &timeout, nullptr));
}

/// Whether there are completions that only show when the kernel is entered.
bool UringQueue::kernel_has_work() const {
    constexpr unsigned kFlags = IORING_SQ_CQ_OVERFLOW | IORING_SQ_TASKRUN;
    return (__atomic_load_n(ring_.sq.kflags, __ATOMIC_RELAXED) & kFlags) != 0;
}

/// Judges what a call on the ring returned.
void UringQueue::settled(int result) {
    switch (result) {
        case -ETIME:
        case -EINTR:
        case -EBUSY:  // completions must be taken first
            return;
        case -EAGAIN:  // memory is short; what is in flight may free some
        case -ENOMEM:
            (void)::poll(nullptr, 0, 1);  // a pause
            return;
        default:
            break;
    }
    if (result < 0) {
        // A ring used against its rules. Nothing of this queue can be served any more, and the next
        // daemon takes over what is in flight.
        log(LogLevel::kError, {}, "io_uring: {}, ending the process",
            std::generic_category().message(-result));
        std::abort();
    }
}

bool UringQueue::reap() {
    unsigned left = io_uring_cq_ready(&ring_);  // those that come meanwhile are for the next turn
    const bool any = left > 0;
    for (; left > 0; --left) {
        unsigned head = 0;
        const io_uring_cqe* cqe = nullptr;
        io_uring_for_each_cqe(&ring_, head, cqe) {
            break;
        }
        auto* op = static_cast<Op*>(io_uring_cqe_get_data(cqe));
        const std::int32_t result = cqe->res;
        io_uring_cq_advance(&ring_, 1);
        ended(op, result);
    }
    return any;
}

void UringQueue::ended(Op* op, std::int32_t result) {
    lunkit_completion* completion = op->completion;
    switch (op->kind) {
        case Kind::kWake:
            start(op);
            return;
        case Kind::kPollRemove:
            ops_.give_back(op);
            return;
        case Kind::kPoll:
            if (op->cancelled) {
                result = -ECANCELED;
            }
            ops_.give_back(op);
            break;
        case Kind::kCommand:
            ops_.give_back(op);
            break;
        case Kind::kTransfer:
        case Kind::kDataSync:
            --on_ring_;
            if (result == -EINTR) {
                start(op);
            } else if (result == -ECANCELED) {
                take_detour(op);
            } else {
                came_to(op, result);
            }
            return;
    }
    complete(completion, result);
}

/// Nobody cancels a transfer or a sync: the kernel found no thread for it, and it has not run.
void UringQueue::take_detour(Op* op) {
    Detour* detour = detours_.take();
    detour->done = detour_ended;
    detour->queue = this;
    detour->op = op;
    (void)submit_offload(op->lane, run_detour, op, detour);  // always LUNKIT_PENDING
}

std::int64_t UringQueue::run_detour(void* op) {
    const auto* what = static_cast<const Op*>(op);
    if (what->kind == Kind::kDataSync) {
        return data_sync_blocking(what->fd);
    }
    const std::span<const iovec> iov(what->iov, static_cast<std::size_t>(what->iov_count));
    return transfer_blocking({.fd = what->fd,
                              .is_write = what->is_write,
                              .rw_flags = what->rw_flags,
                              .offset = what->offset,
                              .iov = iov});
}

void UringQueue::detour_ended(lunkit_completion* detour) {
    auto* ended = static_cast<Detour*>(detour);
    UringQueue* queue = ended->queue;
    Op* op = ended->op;
    const std::int64_t result = ended->result;
    queue->detours_.give_back(ended);
    queue->came_to(op, result);
}

/// A transfer or a sync has its result.
void UringQueue::came_to(Op* op, std::int64_t result) {
    lunkit_completion* completion = op->completion;
    if (Op* next = op->lanes->leave(op->lane); next != nullptr) {
        start(next);
    }
    ops_.give_back(op);
    operation_ended();
    complete(completion, result);
}

}  // namespace lunkit::core

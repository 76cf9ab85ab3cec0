// SPDX-License-Identifier: Apache-2.0
// EngineQueue: what both engines (io_uring; epoll and workers) offer to the runner beside Queue.
//
// One thread calls run(); every other member is for that thread unless it says "any thread".
// The loop, in order: posted completions, pollers, kernel events; then it submits and sleeps, if no
// poller asks it to go on looking.
#pragma once

#include <sys/uio.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "core/settings.hpp"
#include "lunkit/queue.hpp"
#include "lunkit/result.hpp"

namespace lunkit::core {

class WorkerPool;

/// Something in memory that the loop looks at before it sleeps (a command ring's cmd_head).
class Poller {
  public:
    virtual ~Poller() = default;
    /// Does what is there to do; gives how many requests that was. Called once a turn of the loop.
    virtual unsigned poll() = 0;
    /// The end of a turn: everything that was ready has run. Sends what was gathered (the one kick
    /// per batch).
    virtual void flush() = 0;

  protected:
    Poller() = default;
    Poller(const Poller&) = default;
    Poller& operator=(const Poller&) = default;
    Poller(Poller&&) = default;
    Poller& operator=(Poller&&) = default;
};

/// A transfer the engine makes without blocking the loop. iov must stay valid until completion.
struct FileTransfer {
    int fd = -1;
    bool is_write = false;
    int rw_flags = 0;  ///< RWF_*
    std::uint64_t offset = 0;
    std::span<const iovec> iov;
    const void* lane = nullptr;  ///< see Queue::submit_offload
    /// The file is open with O_DIRECT: it rarely needs a worker of the engine's, so that more of a
    /// lane's transfers may run at once (io_uring: 128, else 16).
    bool direct = false;
};

/// A command that a driver takes through io_uring (IORING_OP_URING_CMD); what op and payload mean,
/// its header says.
struct DriverCommand {
    int fd = -1;
    std::uint32_t op = 0;
    std::array<std::byte, 16> payload{};  ///< all that a submission of the usual size has room for
};

struct EngineStats {
    std::uint64_t turns = 0;  ///< of the loop
    std::uint64_t sleeps = 0;
    std::uint64_t system_calls = 0;  ///< made by the engine itself
    std::uint64_t completions = 0;
};

/// Goes when its loop does not run, nothing is submitted any more and whoever posted has returned.
/// What is still in flight then is waited for (polls and timers are dropped), but its completions
/// are not called.
class EngineQueue : public Queue {
  public:
    /// Runs the loop on the calling thread until stop(); then everything posted has been called.
    /// May be called again, on the same thread.
    virtual void run() = 0;
    /// Any thread; also before run(), which then returns when it has called what was posted.
    virtual void stop() = 0;

    /// One preadv2/pwritev2: may be short, and is where there are more than IOV_MAX iovecs;
    /// completes with its byte count or -errno. -EINTR is retried.
    virtual int submit_transfer(const FileTransfer& transfer, lunkit_completion* completion) = 0;
    /// fdatasync.
    virtual int submit_data_sync(int fd, const void* lane, lunkit_completion* completion) = 0;

    /// Completes with what the driver answers, perhaps in hours: it does not count as an operation
    /// that will end soon. -EOPNOTSUPP: not with this engine.
    virtual int submit_command(const DriverCommand& command, lunkit_completion* completion) = 0;

    /// A poller is asked in every turn. With spin > 0 the loop, before it sleeps, goes on asking
    /// for at most that long after the last find (or the last operation in flight), and gives it up
    /// while finds do not come of it.
    virtual void add_poller(Poller* poller) = 0;
    /// Also from inside poll() or flush(): the poller is not touched afterwards.
    virtual void remove_poller(Poller* poller) = 0;

    [[nodiscard]] virtual std::string_view engine_name() const = 0;  ///< "uring" or "threads"
    [[nodiscard]] virtual EngineStats stats() const = 0;             ///< any thread

    /// The queue behind a host call's handle.
    static EngineQueue& of(lunkit_queue* handle) { return *reinterpret_cast<EngineQueue*>(handle); }
    [[nodiscard]] lunkit_queue* handle() final { return reinterpret_cast<lunkit_queue*>(this); }
};

/// Makes a queue with the chosen engine; `pool` (shared by all queues) runs what must block. kAuto
/// takes io_uring where it works and else the threads, with one log line that says why.
Result<std::unique_ptr<EngineQueue>> make_queue(EngineChoice engine, WorkerPool& pool,
                                                std::chrono::microseconds spin);

}  // namespace lunkit::core

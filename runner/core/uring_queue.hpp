// SPDX-License-Identifier: Apache-2.0
// UringQueue: the engine on io_uring(7).
#pragma once

#include <liburing.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <thread>

#include "core/chain.hpp"
#include "core/lanes.hpp"
#include "core/queue_core.hpp"
#include "core/record_pool.hpp"
#include "core/worker_pool.hpp"
#include "lunkit/result.hpp"

namespace lunkit::core {

class UringQueue final : public QueueCore {
  public:
    struct Options {
        unsigned entries = 256;  ///< of the submission ring; the completion ring has 16 times that
        bool plain = false;      ///< as on a kernel before 5.18: none of the newer setup flags
    };
    /// The error says, for an operator, why io_uring cannot be used here.
    static Result<std::unique_ptr<EngineQueue>> create(WorkerPool& pool,
                                                       std::chrono::microseconds spin,
                                                       Options options);
    static Result<std::unique_ptr<EngineQueue>> create(WorkerPool& pool,
                                                       std::chrono::microseconds spin) {
        return create(pool, spin, Options{});
    }
    UringQueue(const UringQueue&) = delete;
    UringQueue& operator=(const UringQueue&) = delete;
    UringQueue(UringQueue&&) = delete;
    UringQueue& operator=(UringQueue&&) = delete;
    ~UringQueue() override;

    int submit_poll(int fd, std::uint32_t events, lunkit_completion* completion) override;
    int submit_transfer(const FileTransfer& transfer, lunkit_completion* completion) override;
    int submit_data_sync(int fd, const void* lane, lunkit_completion* completion) override;
    int submit_command(const DriverCommand& command, lunkit_completion* completion) override;
    [[nodiscard]] std::string_view engine_name() const override { return "uring"; }

  protected:
    void begin() override;
    bool reap() override;
    void enter(Nanoseconds longest) override;
    void cancel_poll(lunkit_completion* completion) override;

  private:
    enum class Kind : std::uint8_t { kTransfer, kDataSync, kPoll, kPollRemove, kCommand, kWake };
    struct Op {
        Kind kind = Kind::kWake;
        bool is_write = false;
        bool cancelled = false;  // kPoll
        int fd = -1;
        int rw_flags = 0;
        int iov_count = 0;
        std::uint32_t events = 0;  // kPoll
        DriverCommand command;     // kCommand
        std::uint64_t offset = 0;
        const iovec* iov = nullptr;
        Op* target = nullptr;        // kPollRemove
        Lanes<Op>* lanes = nullptr;  // kTransfer, kDataSync
        const void* lane = nullptr;  // the Lanes'
        lunkit_completion* completion = nullptr;
        Op* next = nullptr;  // the Lanes', the waiting line's or RecordPool's
    };

    /// A transfer or sync that a worker of the pool makes.
    struct Detour : lunkit_completion {
        UringQueue* queue = nullptr;
        Op* op = nullptr;
        Detour* next = nullptr;  // RecordPool's
    };

    UringQueue(WorkerPool& pool, std::chrono::microseconds spin, UniqueFd wake_fd);
    Status set_up(const Options& options);

    int start_in_lane(Op* op, const void* lane, lunkit_completion* completion);
    void start(Op* op);
    void prepare(io_uring_sqe* sqe, Op* op);
    bool submit();
    bool submit_waiting();
    void ended(Op* op, std::int32_t result);
    void take_detour(Op* op);
    static std::int64_t run_detour(void* op);  // worker thread
    static void detour_ended(lunkit_completion* detour);
    void came_to(Op* op, std::int64_t result);
    void settled(int result);
    [[nodiscard]] bool kernel_has_work() const;

    io_uring ring_{};
    bool is_set_up_ = false;
    std::thread::id owner_;         // of the ring, once it is enabled
    std::uint64_t wake_count_ = 0;  // read from the eventfd; nobody looks at it
    Op wake_;
    Chain<Op> waiting_;  // found the submission ring full
    Lanes<Op> buffered_lanes_;
    Lanes<Op> direct_lanes_;
    RecordPool<Op> ops_;
    RecordPool<Detour> detours_;
    std::size_t on_ring_ = 0;  // transfers and syncs that the kernel has, or will with submit()
};

}  // namespace lunkit::core

// SPDX-License-Identifier: Apache-2.0
// ThreadsQueue: the engine on epoll(7) and the worker pool, for hosts where io_uring is forbidden.
#pragma once

#include <sys/epoll.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "core/queue_core.hpp"
#include "core/record_pool.hpp"
#include "core/worker_pool.hpp"
#include "lunkit/result.hpp"
#include "lunkit/unique_fd.hpp"

namespace lunkit::core {

class ThreadsQueue final : public QueueCore {
  public:
    static Result<std::unique_ptr<EngineQueue>> create(WorkerPool& pool,
                                                       std::chrono::microseconds spin);

    ThreadsQueue(const ThreadsQueue&) = delete;
    ThreadsQueue& operator=(const ThreadsQueue&) = delete;
    ThreadsQueue(ThreadsQueue&&) = delete;
    ThreadsQueue& operator=(ThreadsQueue&&) = delete;
    ~ThreadsQueue() override { wait_for_offloads(); }  // workers use the transfers' records

    /// As io_uring's: any number of polls on one descriptor; files that cannot be polled are ready.
    int submit_poll(int fd, std::uint32_t events, lunkit_completion* completion) override;
    int submit_transfer(const FileTransfer& transfer, lunkit_completion* completion) override;
    int submit_data_sync(int fd, const void* lane, lunkit_completion* completion) override;
    int submit_command(const DriverCommand& /*command*/,
                       lunkit_completion* /*completion*/) override {
        return -EOPNOTSUPP;
    }
    [[nodiscard]] std::string_view engine_name() const override { return "threads"; }

  protected:
    void begin() override {}
    bool reap() override;
    void enter(Nanoseconds longest) override;
    void cancel_poll(lunkit_completion* completion) override;

  private:
    struct Poll {
        int fd = -1;
        std::uint32_t events = 0;
        lunkit_completion* completion = nullptr;
        Poll* next = nullptr;  // of the same descriptor, or RecordPool's
    };
    struct Transfer : lunkit_completion {
        ThreadsQueue* queue = nullptr;
        FileTransfer what;
        bool is_data_sync = false;
        lunkit_completion* completion = nullptr;
        Transfer* next = nullptr;  // RecordPool's
    };

    ThreadsQueue(WorkerPool& pool, std::chrono::microseconds spin, UniqueFd wake_fd,
                 UniqueFd epoll_fd);

    int submit(Transfer* transfer, lunkit_completion* completion);
    static std::int64_t run(void* transfer);  // worker thread
    static void finished(lunkit_completion* transfer);
    [[nodiscard]] int arm(int fd);
    void happened(int fd, std::uint32_t events);
    void take_wake_up();
    [[nodiscard]] int wait(Nanoseconds longest);

    UniqueFd epoll_fd_;
    std::vector<Poll*> polls_;  // by descriptor: those pending
    std::array<epoll_event, 64> events_{};
    std::size_t event_count_ = 0;  // in events_, from enter() for reap()
    bool has_pwait2_ = true;       // epoll_pwait2(2), Linux 5.11
    RecordPool<Poll> poll_records_;
    RecordPool<Transfer> transfer_records_;
};

}  // namespace lunkit::core

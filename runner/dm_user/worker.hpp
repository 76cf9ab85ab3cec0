// SPDX-License-Identifier: Apache-2.0
// Worker: serves one channel of a target, a request at a time: reads it, has it executed on the
// device's queue, answers it. Several workers share the target's requests.
//
// Its memory is bounded, whatever a request's size (128 MiB in one message were seen). A write goes
// to the storage as its payload comes in. A read is answered when all its data is there, because
// behind SUCCESS no error can be told. What is longer than the memory is read twice therefore: once
// to know that it can be, then again as it is sent. Should only the second time fail, the channel
// is replaced, which fails that read and nothing else.
//
// A channel that has broken is replaced as well, the new one opened before the old one goes: the
// kernel fails what waits when a target has none.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "core/log.hpp"
#include "core/service.hpp"
#include "core/trace.hpp"
#include "dm_user/abi.hpp"
#include "dm_user/channel.hpp"
#include "dm_user/message_stream.hpp"
#include "dm_user/queue_caller.hpp"
#include "lunkit/block_device.hpp"
#include "lunkit/io_request.hpp"
#include "lunkit/queue.hpp"
#include "lunkit/result.hpp"

namespace lunkit::dm_user {

/// What the workers of a target share; outlives them.
struct Target {
    std::string name;  ///< of the control node
    BlockDevice& block;
    Queue& queue;                        ///< the block device's; its loop runs
    std::uint64_t start_sectors512 = 0;  ///< where the target begins in its mapped device
    OpenChannel open_channel;
    /// Where its requests can be watched.
    std::shared_ptr<core::TraceTap> trace = std::make_shared<core::TraceTap>();
};

class Worker {
  public:
    /// `room`: whole sectors, for the payload; outlives it.
    Worker(const Target& target, std::unique_ptr<Channel> channel, std::span<std::byte> room);

    /// On a thread of its own; closes the channel at its end. Gives why it ended: ENOTBLK: the
    /// target has gone; another error: the control node cannot be used; none: it was asked to stop.
    Status run();
    /// Any thread: run() ends between two requests. Only a signal wakes it while it waits for one,
    /// and one that comes too early does not.
    void stop() { stopping_.store(true); }

    /// Any thread.
    [[nodiscard]] const core::DeviceCounters& counters() const { return counters_; }

  private:
    /// What became of a request; an error in its place is the channel's.
    struct Served {
        Status outcome;
        bool is_answered = false;
    };

    Status serve_channels();
    Status serve_channel();
    Status serve(MessageStream& stream, const abi::Message& request);
    Result<Served> perform(MessageStream& stream, const abi::Message& request);
    Result<Served> read(MessageStream& stream, const abi::Message& request);
    Result<Served> write(MessageStream& stream, const abi::Message& request);
    Status execute(const abi::Message& request);
    [[nodiscard]] Result<std::uint64_t> offset_of(const abi::Message& request) const;
    Status read_piece(std::uint64_t offset, std::span<std::byte> piece);
    Status write_piece(std::uint64_t offset, std::span<std::byte> piece, std::uint32_t flags);
    Status flush();
    template <typename Visit>
    Status for_each_piece(std::uint64_t length, Visit visit);
    void note_end(const abi::Message& request, const Status& outcome,
                  std::chrono::nanoseconds took);

    const Target& target_;
    std::unique_ptr<Channel> channel_;
    const std::span<std::byte> room_;
    QueueCaller caller_;
    std::atomic<bool> stopping_{false};
    bool served_one_ = false;  // the present channel has taken an answer
    core::DeviceCounters counters_;
    core::LogLimit error_limit_;
};

}  // namespace lunkit::dm_user

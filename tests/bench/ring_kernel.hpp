// SPDX-License-Identifier: Apache-2.0
// RingKernel: the kernel's side of a TCMU device for measurements, on the thread of the queue that
// serves it: whenever all commands are answered it puts as many new ones on the ring, READ(10) or
// WRITE(10) of one block of data each, at random places of the device. It checks nothing and costs
// some ten nanoseconds a command; support/tcmu_kernel_model.hpp is the one that checks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/engine_queue.hpp"
#include "core/memory_mapping.hpp"
#include "lunkit/unique_fd.hpp"
#include "tcmu/served_ring.hpp"

namespace lunkit::bench {

class RingKernel final : public core::Poller {
  public:
    struct Load {
        bool writes = false;
        std::uint32_t bytes = 4096;     ///< of a command: whole blocks of 512
        std::uint32_t depth = 32;       ///< at most kMostCommands
        std::uint64_t device_size = 0;  ///< bytes
    };
    static constexpr std::uint32_t kMostCommands = 128;

    /// `queue` outlives it. Add it as a poller once the device has started.
    RingKernel(core::EngineQueue& queue, Load load);
    RingKernel(const RingKernel&) = delete;
    RingKernel& operator=(const RingKernel&) = delete;
    RingKernel(RingKernel&&) = delete;
    RingKernel& operator=(RingKernel&&) = delete;
    ~RingKernel() override = default;

    /// For the device; once.
    [[nodiscard]] tcmu::UioNode take_node();
    /// Puts so many commands, by and by, and stops the queue when the last is answered.
    void begin(std::uint64_t commands) { left_ = commands; }
    [[nodiscard]] std::uint64_t answered() const { return answered_; }
    /// Commands that did not end GOOD.
    [[nodiscard]] std::uint64_t failed() const { return failed_; }

    unsigned poll() override;
    void flush() override {}

  private:
    void put_command(std::uint32_t position, std::uint32_t slot);
    void take_answers();

    core::EngineQueue& queue_;
    const Load load_;
    UniqueFd memory_fd_;
    UniqueFd node_;   // the device's
    UniqueFd kicks_;  // the other end
    core::MemoryMapping map_;
    std::uint32_t head_ = 0;
    std::uint32_t taken_ = 0;  // up to where answers were looked at
    std::uint16_t cmd_id_ = 0;
    std::uint32_t commands_since_ = 0;  // kicks were taken
    std::uint64_t random_ = 88172645463325252U;
    std::uint64_t left_ = 0;
    std::uint64_t answered_ = 0;
    std::uint64_t failed_ = 0;
    bool running_ = false;  // a batch is on the ring
};

}  // namespace lunkit::bench

// SPDX-License-Identifier: Apache-2.0
// SigbusGuard: keeps a page that is not there from ending the daemon.
//
// An offset inside a device's mapping may name a page that the kernel has not allocated, or has
// taken back; touching it raises SIGBUS. The handler, one for the process, replaces such a page by
// a private page of zeros and marks the device it belongs to; the access then goes on and the
// device's loop finds the mark. A SIGBUS anywhere else takes its usual course (the action that was
// installed before).
//
// System calls on such a page give EFAULT instead; the command that made them fails by that.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "lunkit/result.hpp"

namespace lunkit::tcmu {

/// One guarded mapping; unregisters when it goes (before the mapping does, and when nobody touches
/// it any more). Made and destroyed on any thread.
class SigbusGuard {
  public:
    SigbusGuard() = default;
    SigbusGuard(SigbusGuard&& other) noexcept : place_(std::exchange(other.place_, nullptr)) {}
    SigbusGuard& operator=(SigbusGuard&& other) noexcept;
    SigbusGuard(const SigbusGuard&) = delete;
    SigbusGuard& operator=(const SigbusGuard&) = delete;
    ~SigbusGuard() { release(); }

    /// Installs the handler with the first call.
    static Result<SigbusGuard> watch(std::span<std::byte> mapping);

    /// Any thread: whether a page of the mapping was missing and has been replaced.
    [[nodiscard]] bool faulted() const {
        return place_ != nullptr && place_->faulted.load(std::memory_order_acquire);
    }

    /// The handler's view of a mapping.
    struct Place {
        std::atomic<std::uintptr_t> begin{0};  // 0: free, or being filled
        std::atomic<std::uintptr_t> end{0};
        std::atomic<bool> faulted{false};
        bool taken = false;  // under the registry's mutex
    };

  private:
    void release();
    Place* place_ = nullptr;
};

}  // namespace lunkit::tcmu

// SPDX-License-Identifier: Apache-2.0
// Gate: stopping something that serves requests needs two things, that no new request comes in and
// that one knows when those inside have ended. One thread: the gate's queue.
#pragma once

#include <cstdint>
#include <utility>

#include "lunkit/queue.hpp"

namespace lunkit {

class Gate {
  public:
    Gate() = default;
    Gate(const Gate&) = delete;
    Gate& operator=(const Gate&) = delete;
    Gate(Gate&&) = delete;
    Gate& operator=(Gate&&) = delete;
    ~Gate() = default;

    /// Leaves the gate when it goes; false when the gate was closed.
    class [[nodiscard]] Pass {
      public:
        Pass() = default;
        explicit Pass(Gate* gate) : gate_(gate) {}
        Pass(Pass&& other) noexcept : gate_(std::exchange(other.gate_, nullptr)) {}
        Pass(const Pass&) = delete;
        Pass& operator=(const Pass&) = delete;
        Pass& operator=(Pass&&) = delete;
        ~Pass() {
            if (gate_ != nullptr) {
                gate_->leave();
            }
        }
        explicit operator bool() const { return gate_ != nullptr; }

      private:
        Gate* gate_ = nullptr;
    };

    Pass enter() {
        if (closed_) {
            return Pass();
        }
        ++inside_;
        return Pass(this);
    }

    [[nodiscard]] bool is_closed() const { return closed_; }
    [[nodiscard]] std::uint64_t inside() const { return inside_; }

    /// Lets nobody in any more and completes, from `queue`'s loop, when all have left.
    /// At most one caller at a time.
    auto close(Queue& queue) {
        return Operation([this, &queue](lunkit_completion* completion) {
            closed_ = true;
            if (inside_ == 0) {
                completion->result = 0;
                return LUNKIT_DONE;
            }
            queue_ = &queue;
            closer_ = completion;
            return LUNKIT_PENDING;
        });
    }
    void open() { closed_ = false; }

  private:
    void leave() {
        --inside_;
        if (inside_ == 0 && closer_ != nullptr) {
            queue_->post(std::exchange(closer_, nullptr));
        }
    }

    std::uint64_t inside_ = 0;
    bool closed_ = false;
    Queue* queue_ = nullptr;
    lunkit_completion* closer_ = nullptr;
};

}  // namespace lunkit

// SPDX-License-Identifier: Apache-2.0
// Exclusion: requests run freely beside each other until one of them needs a range for itself (an
// emulated COMPARE AND WRITE; read-modify-write of a block that is larger than the request).
//
// While no such request is there, an ordinary one costs a counter up and a counter down. The first
// exclusive one makes newcomers claim their range in a lock, and waits until those that came before
// it without a claim have ended, and for claims that overlap its own. Coroutines of several queues.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <utility>

#include "lunkit/io_request.hpp"
#include "lunkit/queue.hpp"
#include "lunkit/range_lock.hpp"

namespace lunkit {

class Exclusion {
  public:
    /// An ordinary request, from construction to destruction:
    ///   Exclusion::Shared pass(exclusion, range);
    ///   if (!pass.entered()) { (void)co_await pass.acquire(queue); }
    class Shared {
      public:
        Shared(Exclusion& exclusion, ByteRange range)
            : exclusion_(exclusion), range_(range), entered_(exclusion.enter()) {}
        Shared(const Shared&) = delete;
        Shared& operator=(const Shared&) = delete;
        Shared(Shared&&) = delete;
        Shared& operator=(Shared&&) = delete;
        ~Shared() {
            if (entered_) {
                exclusion_.leave();
            }
        }
        [[nodiscard]] bool entered() const { return entered_; }
        /// When entered() says no. Gives an Outcome that is always 0.
        auto acquire(Queue& queue) {
            guard_.emplace(exclusion_.ranges_, range_, SharedRangeLock::Mode::kShared);
            return guard_->acquire(queue);
        }

      private:
        Exclusion& exclusion_;
        ByteRange range_;
        bool entered_;
        std::optional<SharedRangeLock::Guard> guard_;
    };

    /// A request that needs its range for itself:
    ///   Exclusion::Exclusive alone(exclusion, range);
    ///   (void)co_await alone.acquire(queue);
    ///   (void)co_await alone.drain(queue);
    class Exclusive {
      public:
        Exclusive(Exclusion& exclusion, ByteRange range)
            : exclusion_(exclusion),
              guard_(exclusion.ranges_, range, SharedRangeLock::Mode::kExclusive) {
            exclusion.exclusive_.fetch_add(1);
        }
        Exclusive(const Exclusive&) = delete;
        Exclusive& operator=(const Exclusive&) = delete;
        Exclusive(Exclusive&&) = delete;
        Exclusive& operator=(Exclusive&&) = delete;
        ~Exclusive() { exclusion_.exclusive_.fetch_sub(1); }

        /// First: waits for claims that overlap. Then: for requests that made no claim.
        auto acquire(Queue& queue) { return guard_.acquire(queue); }
        auto drain(Queue& queue) {
            return Operation([this, &queue](lunkit_completion* completion) {
                return exclusion_.wait_for_unclaimed(*this, queue, completion);
            });
        }

      private:
        friend Exclusion;
        Exclusion& exclusion_;
        SharedRangeLock::Guard guard_;
        Queue* queue_ = nullptr;
        lunkit_completion* waiter_ = nullptr;
        Exclusive* next_ = nullptr;
    };

  private:
    /// Either the newcomer sees the exclusive request, or that one sees it in the counter: both are
    /// sequentially consistent.
    bool enter() {
        unclaimed_.fetch_add(1);
        if (exclusive_.load() == 0) {
            return true;
        }
        leave();
        return false;
    }
    void leave() {
        if (unclaimed_.fetch_sub(1) == 1 && exclusive_.load() != 0) {
            wake();
        }
    }
    int wait_for_unclaimed(Exclusive& exclusive, Queue& queue, lunkit_completion* completion) {
        const std::lock_guard hold(mutex_);
        if (unclaimed_.load() == 0) {
            return LUNKIT_DONE;
        }
        exclusive.queue_ = &queue;
        exclusive.waiter_ = completion;
        exclusive.next_ = std::exchange(draining_, &exclusive);
        return LUNKIT_PENDING;
    }
    void wake() {
        const std::lock_guard hold(mutex_);
        if (unclaimed_.load() != 0) {
            return;  // whoever brings it to 0 wakes
        }
        Exclusive* waiting = std::exchange(draining_, nullptr);
        while (waiting != nullptr) {
            Exclusive* next = waiting->next_;  // once posted, it may be gone
            waiting->queue_->post(waiting->waiter_);
            waiting = next;
        }
    }

    std::atomic<std::uint64_t> unclaimed_{0};
    std::atomic<std::uint32_t> exclusive_{0};
    SharedRangeLock ranges_;
    std::mutex mutex_;
    Exclusive* draining_ = nullptr;
};

}  // namespace lunkit

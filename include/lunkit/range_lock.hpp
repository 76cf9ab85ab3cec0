// SPDX-License-Identifier: Apache-2.0
// RangeLock: shared and exclusive locks on byte ranges that coroutines of one queue wait for.
// SharedRangeLock is the same for coroutines of several queues; AsyncMutex is a RangeLock over
// everything. Fair: a request waits for every earlier one, held or still waiting, that overlaps it,
// unless both are shared. No memory is allocated: the entry is the Guard.
//
//   RangeLock::Guard guard(lock, {offset, length}, RangeLock::Mode::kExclusive);
//   co_await guard.acquire(queue);          // released when the guard goes
//
// A wait can be ended early by withdraw(). enter() saves the await where there is nothing to wait
// for.
#pragma once

#include <cerrno>
#include <cstdint>
#include <mutex>

#include "lunkit/handler.h"
#include "lunkit/io_request.hpp"
#include "lunkit/queue.hpp"

namespace lunkit {

namespace detail {
/// One thread needs no mutex.
struct NoMutex {
    void lock() const noexcept {}
    void unlock() const noexcept {}
};
}  // namespace detail

/// `Mutex` guards the list of claims, for a moment at a time; waiting is the coroutines' own.
template <typename Mutex>
class BasicRangeLock {
  public:
    enum class Mode : std::uint8_t { kShared, kExclusive };

    BasicRangeLock() = default;
    BasicRangeLock(const BasicRangeLock&) = delete;
    BasicRangeLock& operator=(const BasicRangeLock&) = delete;
    BasicRangeLock(BasicRangeLock&&) = delete;
    BasicRangeLock& operator=(BasicRangeLock&&) = delete;
    ~BasicRangeLock() = default;

    /// One claim; its place is in the owner's frame. Must not outlive the lock.
    class Guard {
      public:
        Guard(BasicRangeLock& lock, ByteRange range, Mode mode)
            : lock_(lock), range_(range), mode_(mode) {}
        Guard(const Guard&) = delete;
        Guard& operator=(const Guard&) = delete;
        Guard(Guard&&) = delete;
        Guard& operator=(Guard&&) = delete;
        ~Guard() {
            if (linked_) {
                const std::lock_guard hold(lock_.mutex_);
                lock_.remove(*this);
            }
        }
        /// Takes its place among the others. True: the range is held; else acquire() waits.
        [[nodiscard]] bool enter() {
            const std::lock_guard hold(lock_.mutex_);
            return take_place();
        }
        /// Gives 0, or -ECANCELED after withdraw().
        auto acquire(Queue& queue) {
            return Operation([this, &queue](lunkit_completion* completion) {
                const std::lock_guard hold(lock_.mutex_);
                if (linked_ ? held_ : take_place()) {
                    return LUNKIT_DONE;
                }
                queue_ = &queue;
                waiter_ = completion;
                return LUNKIT_PENDING;
            });
        }
        /// Ends the wait; the claim stands until the guard goes, and later ones wait for it so
        /// long. False: it does not wait (any more).
        bool withdraw() {
            const std::lock_guard hold(lock_.mutex_);
            if (waiter_ == nullptr || held_) {
                return false;
            }
            held_ = true;
            waiter_->result = -ECANCELED;
            queue_->post(waiter_);
            return true;
        }

      private:
        friend BasicRangeLock;
        bool take_place() {
            lock_.append(*this);
            held_ = !blocked(*this);
            return held_;
        }
        [[nodiscard]] bool conflicts(const Guard& other) const {
            return (mode_ == Mode::kExclusive || other.mode_ == Mode::kExclusive) &&
                   range_.overlaps(other.range_);
        }
        BasicRangeLock& lock_;
        ByteRange range_;
        Mode mode_;
        bool linked_ = false;
        bool held_ = false;
        Queue* queue_ = nullptr;
        lunkit_completion* waiter_ = nullptr;
        Guard* previous_ = nullptr;
        Guard* next_ = nullptr;
    };

    [[nodiscard]] bool empty() const {
        const std::lock_guard hold(mutex_);
        return first_ == nullptr;
    }

  private:
    void append(Guard& guard) {
        guard.linked_ = true;
        guard.previous_ = last_;
        (last_ != nullptr ? last_->next_ : first_) = &guard;
        last_ = &guard;
    }
    [[nodiscard]] static bool blocked(const Guard& guard) {
        for (const Guard* other = guard.previous_; other != nullptr; other = other->previous_) {
            if (guard.conflicts(*other)) {
                return true;
            }
        }
        return false;
    }
    void remove(Guard& guard) {
        (guard.previous_ != nullptr ? guard.previous_->next_ : first_) = guard.next_;
        (guard.next_ != nullptr ? guard.next_->previous_ : last_) = guard.previous_;
        guard.linked_ = false;
        for (Guard* other = guard.next_; other != nullptr; other = other->next_) {
            if (!other->held_ && guard.conflicts(*other) && !blocked(*other)) {
                other->held_ = true;
                if (other->waiter_ != nullptr) {  // else it has entered and finds it held
                    other->queue_->post(other->waiter_);
                }
            }
        }
    }
    [[no_unique_address]] mutable Mutex mutex_;
    Guard* first_ = nullptr;
    Guard* last_ = nullptr;
};

using RangeLock = BasicRangeLock<detail::NoMutex>;
using SharedRangeLock = BasicRangeLock<std::mutex>;

/// One holder at a time, in order of arrival.
class AsyncMutex {
  public:
    /// `AsyncMutex::Guard guard(mutex); co_await guard.acquire(queue);`
    class Guard : public RangeLock::Guard {
      public:
        explicit Guard(AsyncMutex& mutex)
            : RangeLock::Guard(mutex.lock_, {0, 1}, RangeLock::Mode::kExclusive) {}
    };

  private:
    RangeLock lock_;
};

}  // namespace lunkit

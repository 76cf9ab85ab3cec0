// SPDX-License-Identifier: Apache-2.0
// OpenZones: which zones are open, and that they are not too many (ZBC-2). Where there is
// no room for another one, an implicitly opened zone is closed, the one that was opened first;
// never one that is being written: that is waited for. One thread, that of the device's queue.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "lunkit/queue.hpp"
#include "lunkit/result.hpp"
#include "lunkit/task.hpp"
#include "zone_table.hpp"

namespace lunkit::zbc {

/// `what` of the rules, see LUNKIT_ERROR_ZONE.
[[nodiscard]] inline std::unexpected<Error> zone_failure(int code) {
    return std::unexpected<Error>(Error{code, {}, LUNKIT_NO_OFFSET, ErrorClass::kZone});
}

class OpenZones {
  public:
    /// `max`: 0 for any number. `table` outlives it.
    OpenZones(ZoneTable& table, std::uint32_t max) : table_(table), max_(max) {}
    OpenZones(const OpenZones&) = delete;
    OpenZones& operator=(const OpenZones&) = delete;
    OpenZones(OpenZones&&) = delete;
    OpenZones& operator=(OpenZones&&) = delete;
    ~OpenZones() = default;

    /// Counts what the table says of the zones from `first` on, once, when it is loaded. A
    /// predecessor that died between two steps may have left one open too many: one that was
    /// opened implicitly is closed.
    void adopt(std::uint64_t first);

    /// Places for zones that will be opened explicitly, so that a command opens all of its zones or
    /// none. What is not taken is given back with it.
    class Places {
      public:
        Places(OpenZones& zones, std::uint64_t count)
            : zones_(zones), left_(zones.has_place_for(count) ? count : 0), fit_(left_ == count) {
            zones_.promised_ += left_;
        }
        Places(const Places&) = delete;
        Places& operator=(const Places&) = delete;
        Places(Places&&) = delete;
        Places& operator=(Places&&) = delete;
        ~Places() {
            zones_.promised_ -= left_;
            zones_.wake();
        }
        /// Whether there are as many as were asked for; else there is none.
        [[nodiscard]] bool fit() const { return fit_; }

      private:
        friend OpenZones;
        void take() {
            --left_;
            --zones_.promised_;
        }
        OpenZones& zones_;
        std::uint64_t left_;
        bool fit_;
    };

    /// Opens a zone that is not full and whose lock the caller holds, unless it is open. Stored is
    /// what was closed for it. ETOOMANYREFS: all that can be open are so explicitly.
    Task<Status> open_implicitly(Queue& queue, std::uint64_t zone);
    /// The same with one of `places`, for a zone that may be implicitly opened; all is stored.
    Task<Status> open_explicitly(Queue& queue, std::uint64_t zone, Places& places);
    /// The zone is not open any more and has `written` bytes. Not stored yet.
    void leave(std::uint64_t zone, std::uint64_t written);

    /// While it lives, its zone is not closed to make room.
    class Writing {
      public:
        Writing(OpenZones& zones, std::uint64_t zone) : zones_(zones), zone_(zone) {
            zones_.writing_[zone] = true;
        }
        Writing(const Writing&) = delete;
        Writing& operator=(const Writing&) = delete;
        Writing(Writing&&) = delete;
        Writing& operator=(Writing&&) = delete;
        ~Writing() {
            zones_.writing_[zone_] = false;
            zones_.wake();
        }

      private:
        OpenZones& zones_;
        std::uint64_t zone_;
    };

  private:
    struct Waiter {
        Queue* queue = nullptr;
        lunkit_completion* completion = nullptr;
        Waiter* next = nullptr;
    };
    /// Completes when a zone has been written or closed; those who wait go on in the order of their
    /// arrival.
    auto change(Queue& queue, Waiter& waiter) {
        return Operation([this, &queue, &waiter](lunkit_completion* completion) {
            waiter = {&queue, completion, nullptr};
            (last_waiter_ != nullptr ? last_waiter_->next : first_waiter_) = &waiter;
            last_waiter_ = &waiter;
            return LUNKIT_PENDING;
        });
    }
    void wake();
    void add(std::uint64_t zone, Opened how);
    /// The implicitly opened zone that was opened first and is not being written, if there is one.
    std::optional<std::uint64_t> close_idle();
    /// For one more zone, with so many promised to others.
    [[nodiscard]] bool has_room(std::uint64_t promised) const {
        return max_ == 0 || explicit_ + promised + implicit_.size() < max_;
    }
    [[nodiscard]] bool has_place_for(std::uint64_t more) const {
        return max_ == 0 || explicit_ + promised_ + more <= max_;
    }

    ZoneTable& table_;
    const std::uint32_t max_;
    std::uint64_t explicit_ = 0;
    std::uint64_t promised_ = 0;           // see Places
    std::vector<std::uint32_t> implicit_;  // as they were opened; empty if any number can be
    std::vector<bool> writing_;
    Waiter* first_waiter_ = nullptr;
    Waiter* last_waiter_ = nullptr;
};

}  // namespace lunkit::zbc

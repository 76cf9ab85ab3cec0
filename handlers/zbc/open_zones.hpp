// SPDX-License-Identifier: Apache-2.0
// OpenZones: which zones are open, and that they are not too many (ZBC-2). Where there is
// no room for another one, an implicitly opened zone is closed, the one that was opened first;
// never one that is being written: that is waited for. One thread, that of the device's queue.
#pragma once

#include <cstdint>
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

    /// Counts what the table says, once, when it is loaded. A predecessor that died between two
    /// steps may have left one open too many: it is closed.
    void adopt();

    /// Opens a zone that is not full and whose lock the caller holds; one that is open already may
    /// become explicitly opened. ETOOMANYREFS: all that can be open are so explicitly.
    Task<Status> open(Queue& queue, std::uint64_t zone, Opened how);
    /// The zone is not open any more and has `written` bytes. Not stored yet.
    void leave(std::uint64_t zone, std::uint64_t written);
    /// Whether so many more can be opened explicitly.
    [[nodiscard]] bool has_room_for(std::uint64_t more) const {
        return max_ == 0 || explicit_ + more <= max_;
    }

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
    /// Completes when a zone has been written or closed.
    auto change(Queue& queue, Waiter& waiter) {
        return Operation([this, &queue, &waiter](lunkit_completion* completion) {
            waiter = {&queue, completion, waiters_};
            waiters_ = &waiter;
            return LUNKIT_PENDING;
        });
    }
    void wake();
    [[nodiscard]] bool is_room() const { return max_ == 0 || explicit_ + implicit_.size() < max_; }

    ZoneTable& table_;
    const std::uint32_t max_;
    std::uint64_t explicit_ = 0;
    std::vector<std::uint32_t> implicit_;  // as they were opened; empty if any number can be
    std::vector<bool> writing_;
    Waiter* waiters_ = nullptr;
};

}  // namespace lunkit::zbc

// SPDX-License-Identifier: Apache-2.0
// WaitingCommands: the commands of a device that wait for earlier ones of the same blocks and have
// not begun, so that a task management function can end them. No memory is allocated: a Place is
// in the frame of the command that waits. One thread, that of the device's queue.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "lunkit/range_lock.hpp"

namespace lunkit::tcmu {

class WaitingCommands {
  public:
    /// While it lives the command can be ended.
    class Place {
      public:
        Place(WaitingCommands& all, std::uint16_t cmd_id, RangeLock::Guard& in_order)
            : all_(all), cmd_id_(cmd_id), in_order_(in_order), next_(all.first_) {
            if (next_ != nullptr) {
                next_->previous_ = this;
            }
            all_.first_ = this;
        }
        Place(const Place&) = delete;
        Place& operator=(const Place&) = delete;
        Place(Place&&) = delete;
        Place& operator=(Place&&) = delete;
        ~Place() {
            (previous_ != nullptr ? previous_->next_ : all_.first_) = next_;
            if (next_ != nullptr) {
                next_->previous_ = previous_;
            }
        }

      private:
        friend WaitingCommands;
        WaitingCommands& all_;
        const std::uint16_t cmd_id_;
        RangeLock::Guard& in_order_;
        Place* previous_ = nullptr;
        Place* next_;
    };

    /// Ends the wait of those that are named: acquire() of their lock gives -ECANCELED. How many.
    std::size_t end(std::span<const std::uint16_t> cmd_ids) {
        std::size_t ended = 0;
        for (Place* place = first_; place != nullptr; place = place->next_) {
            if (std::ranges::find(cmd_ids, place->cmd_id_) != cmd_ids.end() &&
                place->in_order_.withdraw()) {
                ++ended;
            }
        }
        return ended;
    }

  private:
    Place* first_ = nullptr;
};

}  // namespace lunkit::tcmu

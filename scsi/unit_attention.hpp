// SPDX-License-Identifier: Apache-2.0
// Unit attention conditions (SAM-5 5.14) of one logical unit. TCMU does not name the initiators, so
// a condition is pending once for all of them.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "scsi/sense.hpp"

namespace lunkit::scsi {

class UnitAttentions {
  public:
    /// Oldest first; one that is pending already is not added again.
    void establish(AdditionalSense condition) {
        const auto end = pending_.begin() + static_cast<std::ptrdiff_t>(count_);
        if (std::find(pending_.begin(), end, condition) == end && count_ < pending_.size()) {
            pending_[count_++] = condition;
        }
    }
    [[nodiscard]] bool empty() const { return count_ == 0; }
    /// Removes and gives the oldest.
    std::optional<AdditionalSense> take() {
        if (count_ == 0) {
            return {};
        }
        const AdditionalSense first = pending_[0];
        std::shift_left(pending_.begin(), pending_.end(), 1);
        --count_;
        return first;
    }
    /// One that was told already; nothing happens if it is not pending.
    void withdraw(AdditionalSense condition) {
        const auto end = pending_.begin() + static_cast<std::ptrdiff_t>(count_);
        count_ = static_cast<std::size_t>(std::remove(pending_.begin(), end, condition) -
                                          pending_.begin());
    }

    /// All of them, as UnitMemory::attentions holds them.
    [[nodiscard]] std::uint64_t packed() const {
        std::uint64_t all = 0;
        for (std::size_t i = count_; i-- > 0;) {
            all = all << 16U | pending_[i].packed();
        }
        return all;
    }
    void unpack(std::uint64_t all) {
        for (count_ = 0; all != 0 && count_ < pending_.size(); all >>= 16U) {
            pending_[count_++] = AdditionalSense::unpack(static_cast<std::uint16_t>(all));
        }
    }

  private:
    std::array<AdditionalSense, 4> pending_;  // more kinds than the unit has
    std::size_t count_ = 0;
};

}  // namespace lunkit::scsi

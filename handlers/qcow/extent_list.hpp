// SPDX-License-Identifier: Apache-2.0
// ExtentList: the answer to extents(), made run by run; neighbours that are alike become one.
#pragma once

#include <cstdint>
#include <span>

#include "lunkit/block_device.hpp"

namespace lunkit::qcow {

class ExtentList {
  public:
    explicit ExtentList(std::span<Extent> room) : room_(room) {}
    /// False: it is full, and the run does not stand there.
    bool add(std::uint64_t length, std::uint32_t flags) {
        if (count_ > 0 && room_[count_ - 1].flags == flags) {
            room_[count_ - 1].length += length;
            return true;
        }
        if (count_ == room_.size()) {
            return false;
        }
        room_[count_++] = {length, flags, 0};
        return true;
    }
    [[nodiscard]] std::uint32_t count() const { return count_; }

  private:
    std::span<Extent> room_;
    std::uint32_t count_ = 0;
};

}  // namespace lunkit::qcow

// SPDX-License-Identifier: Apache-2.0
// Which device a handler's open() works for, on this thread. The files that it opens meanwhile
// belong to that device: messages name it, and locks wait for a predecessor when it is taken over.
// A thread-local and not a parameter, so that no handler can get it wrong.
#pragma once

#include <string>

#include "host/device_label.hpp"

namespace lunkit::host {

class CurrentDevice {
  public:
    /// `label` must outlive this scope.
    CurrentDevice(const DeviceLabel& label, bool take_over)
        : label_(label), take_over_(take_over), outer_(current_) {
        current_ = this;
    }
    CurrentDevice(const CurrentDevice&) = delete;
    CurrentDevice& operator=(const CurrentDevice&) = delete;
    CurrentDevice(CurrentDevice&&) = delete;
    CurrentDevice& operator=(CurrentDevice&&) = delete;
    ~CurrentDevice() { current_ = outer_; }

    /// Empty outside of an open().
    [[nodiscard]] static DeviceLabel label() {
        return current_ != nullptr ? current_->label_ : DeviceLabel();
    }
    /// What it is called so far.
    [[nodiscard]] static std::string name() { return std::string(label().get()); }
    [[nodiscard]] static bool take_over() { return current_ != nullptr && current_->take_over_; }

  private:
    const DeviceLabel& label_;
    bool take_over_;
    CurrentDevice* outer_;
    static inline thread_local CurrentDevice* current_ = nullptr;
};

}  // namespace lunkit::host

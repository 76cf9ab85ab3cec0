// SPDX-License-Identifier: Apache-2.0
// DeviceLabel: what lines of the log call a device. A ublk device has a name only when its storage
// is open; from then on what the handler and its files log must be found, and wanted, by that name.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace lunkit::host {

/// A name that is learnt later. Any thread.
class LateName {
  public:
    /// The first counts. One thread at a time.
    void set(std::string name) {
        if (!known_.load(std::memory_order_relaxed)) {
            name_ = std::move(name);
            known_.store(true, std::memory_order_release);
        }
    }
    /// Empty: not yet. Stays valid.
    [[nodiscard]] std::string_view get() const {
        return known_.load(std::memory_order_acquire) ? std::string_view(name_)
                                                      : std::string_view();
    }

  private:
    std::string name_;
    std::atomic<bool> known_{false};
};

struct DeviceLabel {
    std::string name;
    std::shared_ptr<const LateName> late = {};  ///< may be null

    /// Valid while the label is.
    [[nodiscard]] std::string_view get() const {
        const std::string_view learnt = late ? late->get() : std::string_view();
        return learnt.empty() ? std::string_view(name) : learnt;
    }
};

}  // namespace lunkit::host

// SPDX-License-Identifier: Apache-2.0
#include "tcmu/device_event.hpp"

#include <cerrno>

#include "core/log.hpp"

namespace lunkit::tcmu {

PendingReply& PendingReply::operator=(PendingReply&& other) noexcept {
    if (this != &other) {
        (void)answer(-EIO);  // the one it held, if any, was forgotten
        channel_ = std::exchange(other.channel_, nullptr);
        kind_ = other.kind_;
        device_id_ = other.device_id_;
    }
    return *this;
}

PendingReply::~PendingReply() {
    (void)answer(-EIO);
}

bool PendingReply::answer(int result) {
    if (channel_ == nullptr) {
        return false;
    }
    constexpr int kLargestErrno = 4095;
    const int given = result <= 0 && result >= -kLargestErrno ? result : -EIO;
    const Status sent = std::exchange(channel_, nullptr)->answer(kind_, device_id_, given);
    if (!sent && sent.error().code != ENODEV) {
        core::log(core::LogLevel::kError, {}, "cannot answer the kernel for device {}: {}",
                  device_id_, sent.error().what);
    }
    return sent.has_value();
}

}  // namespace lunkit::tcmu

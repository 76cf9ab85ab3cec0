// SPDX-License-Identifier: Apache-2.0
// What the daemon tells systemd (sd_notify(3)); does nothing where systemd did not start it.
// Loop thread.
#pragma once

#include <chrono>
#include <string_view>

#include "control/glib_handle.hpp"

namespace lunkit::control {

void notify_ready(std::string_view status);
void notify_status(std::string_view status);
/// Followed by notify_ready() when the reload has ended.
void notify_reloading();
/// Stopping may take `limit`: systemd's own time limit is moved accordingly.
void notify_stopping(std::chrono::milliseconds limit);

/// Pings systemd's watchdog, as often as it asks for, for as long as the loop turns.
class Watchdog {
  public:
    Watchdog();

  private:
    LoopTimer timer_;
};

}  // namespace lunkit::control

// SPDX-License-Identifier: Apache-2.0
#include "control/notify.hpp"

#include <fmt/format.h>
#include <systemd/sd-daemon.h>

#include <cstdint>
#include <string>

namespace lunkit::control {
namespace {

void send(const std::string& state) {
    (void)::sd_notify(0, state.c_str());  // the daemon's work does not depend on who listens
}

}  // namespace

void notify_ready(std::string_view status) {
    send(fmt::format("READY=1\nSTATUS={}", status));
}

void notify_status(std::string_view status) {
    send(fmt::format("STATUS={}", status));
}

void notify_reloading() {
    const auto now = std::chrono::duration_cast<std::chrono::microseconds>(
        std::chrono::steady_clock::now().time_since_epoch());
    send(fmt::format("RELOADING=1\nMONOTONIC_USEC={}", now.count()));
}

void notify_stopping(std::chrono::milliseconds limit) {
    send(fmt::format("STOPPING=1\nSTATUS=stopping\nEXTEND_TIMEOUT_USEC={}",
                     std::chrono::microseconds(limit).count()));
}

Watchdog::Watchdog() {
    std::uint64_t microseconds = 0;
    if (::sd_watchdog_enabled(0, &microseconds) > 0 && microseconds >= 2000) {
        timer_.start(std::chrono::milliseconds(microseconds / 2000), LoopTimer::Repeat::kEvery,
                     [] { send("WATCHDOG=1"); });
    }
}

}  // namespace lunkit::control

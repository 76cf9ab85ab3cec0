// SPDX-License-Identifier: Apache-2.0
// ControlLoop: the main thread of lunkitd once everything is made: GLib's main loop with D-Bus,
// signals, reload, systemd and the start and stop of the front ends. It never waits for storage.
//
// Order of start: the bus name, then the front ends, then READY. targetcli finds the daemon from
// the first moment, and slow storage cannot make systemd or D-Bus give up on it.
#pragma once

#include <unistd.h>

#include <chrono>
#include <memory>
#include <vector>

#include "control/handler_catalog.hpp"
#include "control/live_settings.hpp"
#include "control/options.hpp"
#include "core/service.hpp"

namespace lunkit::control {

class ControlLoop {
  public:
    /// What the loop works with; outlives it.
    struct Parts {
        const SettingsSource& source;
        LiveSettings& settings;
        const HandlerCatalog& handlers;
        const std::vector<std::unique_ptr<core::Service>>& services;
        /// Who may manage the daemon: the user it runs as, which is root.
        uid_t trusted = ::geteuid();
        std::chrono::milliseconds check_limit{10'000};
        std::chrono::milliseconds bus_retry{2'000};
        /// Beyond twice drain_timeout (draining, closing): for what a front end does besides.
        std::chrono::milliseconds stop_grace{10'000};
        /// Of fresh settings; errors let nothing change.
        ExamineSettings examine = [](const core::Settings&) { return SettingsDoubts(); };
    };

    explicit ControlLoop(const Parts& parts);
    ControlLoop(const ControlLoop&) = delete;
    ControlLoop& operator=(const ControlLoop&) = delete;
    ControlLoop(ControlLoop&&) = delete;
    ControlLoop& operator=(ControlLoop&&) = delete;
    ~ControlLoop();

    struct Ended {
        ExitCode code = kExitOk;
        /// Nothing of ours runs any more. If not (a device did not drain, a check hangs), the
        /// process must end without destroying what those still use: flush the log and _exit.
        bool clean = true;
        bool was_ready = false;  ///< else the start has failed, or was stopped
    };
    /// Runs on the main thread until a signal or a failure ends it.
    [[nodiscard]] Ended run();

  private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace lunkit::control

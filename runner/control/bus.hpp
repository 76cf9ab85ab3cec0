// SPDX-License-Identifier: Apache-2.0
// Bus: the daemon's place on the system bus. It connects, shows the objects, takes the name, and
// begins again when the connection is lost: a daemon that serves disks goes on without D-Bus.
// Loop thread; nothing blocks.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "control/bus_object.hpp"
#include "control/glib_handle.hpp"

namespace lunkit::control {

class Bus {
  public:
    /// How one attempt to take the name ended.
    enum class Outcome : std::uint8_t {
        kOwned,
        kTaken,        ///< somebody else has the name
        kUnavailable,  ///< no bus, or it does not let us
    };
    /// `explanation` is for the operator; empty with kOwned.
    using Settled = std::function<void(Outcome outcome, const std::string& explanation)>;

    /// `retry_after`: between two attempts. The objects outlive the bus.
    Bus(std::vector<BusObject*> objects, std::chrono::milliseconds retry_after);
    Bus(const Bus&) = delete;
    Bus& operator=(const Bus&) = delete;
    Bus(Bus&&) = delete;
    Bus& operator=(Bus&&) = delete;
    ~Bus();

    /// Begins; `first` gets the outcome of the first attempt, once, within seconds even if the bus
    /// hangs; kTaken only if the name is taken at the next attempt as well. From then on the bus
    /// keeps itself connected and logs when that changes.
    void start(Settled first);

  private:
    struct State;
    std::shared_ptr<State> state_;
};

}  // namespace lunkit::control

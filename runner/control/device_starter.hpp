// SPDX-License-Identifier: Apache-2.0
// DeviceStarter: has declared devices made, one after the other in the order of their files. One
// whose storage hangs keeps the others waiting for a while only. (That none is the storage of
// another, host::OwnStorage sees to.)
//
// One whose node is not there yet is made when that appears, also when it has come back; what is
// left of the one before (EAGAIN) has its time to go.
//
// A device that was there once is not made again, so that one that was removed stays so until the
// daemon is started again, or its declaration changes; one that could not be made is tried again.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "control/device_files.hpp"
#include "control/glib_handle.hpp"
#include "control/node_watch.hpp"
#include "core/service.hpp"

namespace lunkit::control {

/// Loop thread. What became of a device is logged.
class DeviceStarter {
  public:
    /// As core::Service::add_device of that front end; answers from the loop, while there is the
    /// starter.
    using Add = std::function<void(const std::string& front_end, core::NewDevice wanted,
                                   core::Service::Added done)>;
    /// `patience`: for one device, before the next has its turn.
    DeviceStarter(Add add, std::chrono::milliseconds patience)
        : add_(std::move(add)),
          patience_(patience),
          nodes_([this](const std::string& node) { appeared(node); }) {}

    /// `declared` is all that is declared now.
    void start(std::vector<DeclaredDevice> declared);
    /// Asks for no more.
    void stop();

  private:
    [[nodiscard]] bool awaits_node(const DeclaredDevice& device) const;
    void appeared(const std::string& node);
    void ask_for_next();
    void answered(const DeclaredDevice& device, const Result<std::string>& node);

    const Add add_;
    const std::chrono::milliseconds patience_;
    std::deque<DeclaredDevice> waiting_;
    std::vector<DeclaredDevice> asked_;  // and not answered
    std::vector<DeclaredDevice> were_there_;
    std::optional<DeclaredDevice> awaited_;  // of asked_: the next comes after it
    LoopTimer timer_;
    std::vector<DeclaredDevice> with_nodes_;  // those that have an awaited_node
    std::vector<DeclaredDevice> again_;       // of them: to be asked for once more
    std::vector<DeclaredDevice>
        told_;  // of them: of which the log has said so, since the last start()
    LoopTimer again_timer_;
    NodeWatch nodes_;
};

}  // namespace lunkit::control

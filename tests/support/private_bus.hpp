// SPDX-License-Identifier: Apache-2.0
// PrivateBus: a message bus of the test's own, standing in for the system bus.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <string>

#include "support/child_process.hpp"

namespace lunkit::test {

class PrivateBus {
  public:
    PrivateBus() {
        std::ofstream(folder_ / "bus.conf")
            << "<busconfig><listen>" << address() << "</listen><auth>EXTERNAL</auth>"
            << "<policy context=\"default\"><allow send_destination=\"*\" eavesdrop=\"true\"/>"
            << "<allow eavesdrop=\"true\"/><allow own=\"*\"/></policy></busconfig>";
        start();
    }
    /// Again at the same address, after stop().
    void start() {
        daemon_ = std::make_unique<ChildProcess>(std::vector<std::string>{
            "dbus-daemon", "--nofork", "--nopidfile", "--nosyslog",
            "--config-file=" + (folder_ / "bus.conf"), "--print-address=1"});
        ASSERT_TRUE(daemon_->wait_output("unix:")) << daemon_->printed();
    }
    void stop() { daemon_.reset(); }

    [[nodiscard]] std::string address() const { return "unix:path=" + (folder_ / "bus"); }
    /// For a child that shall take it for the system bus.
    [[nodiscard]] std::string variable() const { return "DBUS_SYSTEM_BUS_ADDRESS=" + address(); }

  private:
    TemporaryFolder folder_;
    std::unique_ptr<ChildProcess> daemon_;
};

}  // namespace lunkit::test

// SPDX-License-Identifier: Apache-2.0
// ControlProcess: a process beside the daemon that makes the calls in which the kernel waits for
// requests of ublk devices: control commands, and looking at a block device.
//
// A process that dies waits for its calls into the kernel before it lets go of its rings and its
// memory, and the kernel takes back the requests that a server had when the server lets go. So a
// server that is killed inside its own STOP_DEV, while it has requests, waits for itself: for ever,
// and with it every later command to any ublk device, until the next boot (Linux 6.12). Here the
// one that waits has nothing of the server's, and the server ends.
//
// What a daemon asked for that has died since is not done where it would show a device to the world
// that nobody serves: START_DEV and END_USER_RECOVERY take it for served (the fetches have been,
// and are gone), and no later recovery gets it back; a device that is added then is nobody's.
//
// It ends when the daemon has, and its calls.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>

#include "lunkit/result.hpp"
#include "lunkit/unique_fd.hpp"

namespace lunkit::ublk {

class ControlProcess {
  public:
    /// What it does, over there; any thread. A test has its own.
    struct Calls {
        /// See ControlDevice::Send.
        std::function<Result<int>(std::uint32_t op, std::span<const std::byte> payload)> command;
        /// EBUSY: somebody has the block device mounted or claimed.
        std::function<Status(const std::string& node)> check_unused;
        /// Writes what the page cache has of the block device.
        std::function<Status(const std::string& node)> write_back;
        /// Bounds how long the kernel waits for a server of the block device that died with all
        /// tags. (To change that, it waits for requests.)
        std::function<Status(const std::string& node)> limit_silence;
        /// Whether the process (the daemon) is alive, and nothing has been done to end it.
        std::function<bool(pid_t process)> is_alive;
        /// Runs `body` on a thread of its own, which nobody waits for.
        std::function<Status(std::function<void()> body)> start_thread;

        static Calls of_kernel();
    };

    /// Forks: while the process has a single thread, and nothing open that shall not stay open for
    /// as long as the kernel lets a call wait.
    static Result<ControlProcess> start(const Calls& calls);

    /// Any thread, several at once: each waits for its own outcome. EPIPE: the process has ended,
    /// or could not take the request; nobody knows what came of it.
    Result<int> command(std::uint32_t op, std::span<const std::byte> payload) const;
    Status check_unused(const std::string& node) const;
    Status write_back(const std::string& node) const;
    Status limit_silence(const std::string& node) const;

  private:
    explicit ControlProcess(UniqueFd socket) : socket_(std::move(socket)) {}
    UniqueFd socket_;
};

}  // namespace lunkit::ublk

// SPDX-License-Identifier: Apache-2.0
// Connector: the socket to the kernel's netlink connector, in the group of dm-log-userspace and in
// no other. Any thread, one at a time. Whoever sends needs CAP_SYS_ADMIN: the kernel drops an
// answer of another without a word.
#pragma once

#include <cstddef>
#include <span>
#include <utility>

#include "lunkit/result.hpp"
#include "lunkit/unique_fd.hpp"

namespace lunkit::dm_log {

class Connector {
  public:
    /// ENODEV: this kernel (or this network name space: only the first has it) has no connector, or
    /// no dm-log-userspace. EPERM: the process lacks a capability. From here on the kernel takes us
    /// for the server of all logs, and waits for our answers.
    static Result<Connector> open();
    /// Another socket with the same manners; for tests.
    explicit Connector(UniqueFd socket) : socket_(std::move(socket)) {}

    [[nodiscard]] int fd() const { return socket_.get(); }
    /// The next datagram that the kernel has sent, in `room`; EAGAIN: there is none now. ENOBUFS:
    /// the kernel could not deliver some; it sends them again in 15 s.
    [[nodiscard]] Result<std::span<const std::byte>> receive(std::span<std::byte> room) const;
    /// The kernel sends us no more: it looks for another server. What it has sent can be received.
    void leave() const;
    [[nodiscard]] Status send(std::span<const std::byte> datagram) const;

  private:
    UniqueFd socket_;
};

}  // namespace lunkit::dm_log

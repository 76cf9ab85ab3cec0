// SPDX-License-Identifier: Apache-2.0
// Channel: one open of a control node. The seam between the server and the kernel: tests have a
// model of the kernel behind it.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>

#include "lunkit/result.hpp"

namespace lunkit::dm_user {

/// One thread, the one that serves it.
class Channel {
  public:
    virtual ~Channel() = default;
    /// Blocks until there is a message, and gives how many of its bytes came into `room`, which is
    /// not empty; see abi.hpp. EINTR: a signal came first. ENOTBLK: the target has gone.
    virtual Result<std::size_t> read(std::span<std::byte> room) = 0;
    /// Bytes of an answer, of which not both are empty; gives how many were taken. EINVAL: no
    /// answers are taken any more.
    virtual Result<std::size_t> write(std::span<const std::byte> header,
                                      std::span<const std::byte> payload) = 0;

    Channel(const Channel&) = delete;
    Channel& operator=(const Channel&) = delete;

  protected:
    Channel() = default;
};

using OpenChannel = std::function<Result<std::unique_ptr<Channel>>()>;

}  // namespace lunkit::dm_user

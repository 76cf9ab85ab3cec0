// SPDX-License-Identifier: Apache-2.0
// MessageStream: whole requests and whole answers over a channel, which transfers them in pieces of
// any size. One thread. An error is the channel's: it is of no use any more.
#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include "dm_user/abi.hpp"
#include "dm_user/channel.hpp"
#include "lunkit/result.hpp"

namespace lunkit::dm_user {

class MessageStream {
  public:
    /// `channel` outlives it.
    explicit MessageStream(Channel& channel) : channel_(channel) {}

    /// The header of the next request. None: a signal came before the first byte of one.
    /// ENOTBLK: the target has gone.
    Result<std::optional<abi::Message>> next();
    /// Fills `room` with what comes next of the request's payload.
    Status read_payload(std::span<std::byte> room);

    /// Once all of the request's payload was read. `payload`: to a READ, what comes first.
    Status answer(const abi::Message& request, abi::Answer type,
                  std::span<const std::byte> payload = {});
    /// More of the payload of the answer.
    Status write_payload(std::span<const std::byte> payload);

  private:
    Status write_all(std::span<const std::byte> header, std::span<const std::byte> payload);
    Channel& channel_;
};

}  // namespace lunkit::dm_user

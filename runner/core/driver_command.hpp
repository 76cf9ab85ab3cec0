// SPDX-License-Identifier: Apache-2.0
// Commands to a driver's control node, which take more bytes (IORING_SETUP_SQE128) than those that
// a queue gathers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "lunkit/result.hpp"

namespace lunkit::core {

/// Bytes of one submission that belong to the driver.
inline constexpr std::size_t kLongPayload = 80;

/// Sends one IORING_OP_URING_CMD on a ring of its own and waits for the answer, for as long as the
/// driver takes; nothing ends the wait early. `payload`: kLongPayload bytes at most. What the
/// driver answers is the result: a number, or -errno; the error is for a ring that cannot be had.
/// Any thread that may block.
[[nodiscard]] Result<int> run_driver_command(int fd, std::uint32_t op,
                                             std::span<const std::byte> payload);

}  // namespace lunkit::core

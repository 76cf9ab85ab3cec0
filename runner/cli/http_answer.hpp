// SPDX-License-Identifier: Apache-2.0
// HttpAnswer: one request of HTTP answered with metrics, for a process that systemd has started
// with the connection as its standard input and output. No server: it never listens, and answers
// once.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "cli/commands.hpp"

namespace lunkit::cli {

/// Reads a request from the descriptor `from` and answers it in Outcome::out. `metrics` is asked
/// for those when they are what is wanted; its error becomes 503. The exit code is kExitOk whatever
/// is answered; nothing is when the other end says nothing.
[[nodiscard]] Outcome answer_http(int from, std::chrono::milliseconds patience,
                                  const std::function<Outcome()>& metrics);

}  // namespace lunkit::cli

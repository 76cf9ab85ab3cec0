// SPDX-License-Identifier: Apache-2.0
// `lunkit top`: what devices do at present, again and again.
#pragma once

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>

#include "lunkit/result.hpp"

namespace lunkit::cli {

struct LiveView {
    std::chrono::milliseconds interval = std::chrono::seconds(2);
    unsigned count = 0;  ///< views until the end; 0: for ever
};

/// What has happened between two answers of the daemon, `elapsed` apart, as rates; the busiest
/// device first. A device that was not there before has none.
[[nodiscard]] std::string rates_report(const nlohmann::json& before, const nlohmann::json& now,
                                       std::chrono::duration<double> elapsed);

/// As much of `text` as a window of that many lines and columns shows; what was in their
/// place is erased.
[[nodiscard]] std::string clipped(const std::string& text, std::size_t lines, std::size_t columns);

/// On a terminal, for ever: a screen of its own until "q", Ctrl-C or a signal; a daemon that goes
/// is told of and waited for. Else: tables one after the other, and the daemon's end is an error.
[[nodiscard]] Status run_live_view(LiveView view);

}  // namespace lunkit::cli

// SPDX-License-Identifier: Apache-2.0
// `lunkit trace`: the commands of a device as they end.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/request.hpp"
#include "core/trace.hpp"
#include "lunkit/result.hpp"

namespace lunkit::cli {

/// A record with the keys of `trace --json`; `block_size` in bytes.
[[nodiscard]] nlohmann::json trace_json(const core::TraceRecord& record, std::uint64_t block_size);
/// The same as a line for people, in local time; without its end.
[[nodiscard]] std::string trace_line(const nlohmann::json& command);

/// Which records are shown. `words`, with commas between them: read, write, other, error, or an
/// operation code as 0x2a. EINVAL: something else.
[[nodiscard]] Result<std::function<bool(const core::TraceRecord&)>> trace_filter(
    const std::string& words);

[[nodiscard]] Choice add_trace_command(CLI::App& app, Request& request);

}  // namespace lunkit::cli

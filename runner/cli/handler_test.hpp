// SPDX-License-Identifier: Apache-2.0
// `lunkit handler test`: whether a handler keeps the promises of lunkit/handler.h. It is loaded as
// the daemon loads it, and needs none.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "lunkit/result.hpp"

namespace lunkit::cli {

struct HandlerTest {
    std::string config;               ///< "<handler>/<path or name>[;key=value]..."; overwritten
    std::string plugin;               ///< the plugin to load; empty: those of handler_dir
    std::string handler_dir;          ///< empty: where they are installed
    std::uint64_t size = 64U << 20U;  ///< wanted, bytes
    std::uint32_t block_size = 512;   ///< logical block, bytes
    std::uint64_t seed = 1;           ///< the same seed asks for the same
};

struct CheckResult {
    enum class Kind : std::uint8_t { kPassed, kFailed, kLeftOut };
    std::string name;
    Kind kind = Kind::kPassed;
    std::string why;  ///< it failed or was left out
};

/// Blocks; not on a queue's thread. An error: there was nothing to test. After a check whose
/// requests never ended nothing more is run, and what they use is never given back.
[[nodiscard]] Result<std::vector<CheckResult>> test_handler(const HandlerTest& test);

[[nodiscard]] bool all_passed(const std::vector<CheckResult>& results);
/// Lines of the Test Anything Protocol, version 13.
[[nodiscard]] std::string checks_report(const std::vector<CheckResult>& results);
[[nodiscard]] nlohmann::json checks_json(const std::vector<CheckResult>& results);

}  // namespace lunkit::cli

// SPDX-License-Identifier: Apache-2.0
// What the commands of lunkit share: what the command line says, and how an answer is given.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "cli/commands.hpp"
#include "cli/daemon_client.hpp"
#include "cli/handler_test.hpp"
#include "lunkit/result.hpp"

namespace lunkit::cli {

inline constexpr const char* kTcmuConf = "/etc/tcmu/tcmu.conf";

/// What the options say; one struct for all commands, each uses its own.
struct Request {
    bool json_wanted = false;
    std::string device;
    std::string config;
    DaemonClient::NewDevice wanted;
    bool force = false;
    std::uint64_t size = 0;  ///< bytes
    bool recreate = false;
    std::string handler_dir;
    std::string repair;  ///< empty: nothing
    bool openmetrics_wanted = false;
    bool http_wanted = false;
    double interval = 2;  ///< seconds
    unsigned count = 0;
    std::string level;  ///< of the log; empty: not given
    std::string only;   ///< empty: all
    std::string write;  ///< a file; empty: nothing is written
    std::string tcmu_conf = kTcmuConf;
    std::string shell;
    std::string saveconfig;  ///< empty: where distributions have it
    HandlerTest handler_test;
    bool may_overwrite = false;  ///< nothing is tested without
};

/// `answer` as JSON if that is wanted, else `text`.
[[nodiscard]] Outcome printed(const Request& request, const nlohmann::json& answer,
                              std::string text);
/// kExitFailure, and a line on stderr for each of the error's.
[[nodiscard]] Outcome failed(const Error& error);

// For add_option()'s transform(): what it reads by itself may be octal, or below 0.
/// Decimal.
[[nodiscard]] CLI::Validator number(std::uint64_t least, std::uint64_t most);
/// Bytes, or with K, M, G or T.
[[nodiscard]] CLI::Validator size();

/// The device called `name`, see find_devices(). ENOENT: there is none, or more than one.
[[nodiscard]] Result<nlohmann::json> one_device(const DaemonClient& daemon,
                                                const std::string& name);

using Command = Result<Outcome> (*)(const DaemonClient&, const Request&);
/// A command and the option of the command line that says so.
using Choice = std::pair<const CLI::App*, Command>;

/// A command that knows --json.
CLI::App* add_command(CLI::App& app, const std::string& name, const std::string& help,
                      Request& request);

}  // namespace lunkit::cli

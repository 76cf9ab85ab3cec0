// SPDX-License-Identifier: Apache-2.0
#include "cli/log_level_command.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "cli/json_values.hpp"
#include "lunkit/try.hpp"

namespace lunkit::cli {
namespace {

using nlohmann::json;

constexpr const char* kAsConfigured = "default";

const std::vector<std::string>& level_names() {
    static const std::vector<std::string> names = {"error", "warning", "notice",
                                                   "info",  "debug",   kAsConfigured};
    return names;
}

Result<Outcome> set_level(const DaemonClient& daemon, const Request& request,
                          const std::string& device, const std::string& level) {
    TRY(const json reply, daemon.set_log_level(device, level == kAsConfigured ? "" : level));
    return printed(request, json{{"device", device}, {"level", level}}, "");
}

Result<Outcome> show_levels(const DaemonClient& daemon, const Request& request) {
    TRY(const json levels, daemon.log_levels());
    std::string text = text_of(levels, "level") + "\n";
    for (const auto& entry : levels.at("devices").items()) {
        text += fmt::format("{}: {}\n", entry.key(), entry.value().get<std::string>());
    }
    return printed(request, levels, std::move(text));
}

/// "[DEV] [LEVEL]": a single word that is a level's name is one.
Result<Outcome> log_level(const DaemonClient& daemon, const Request& request) {
    if (request.device.empty()) {
        return show_levels(daemon, request);
    }
    if (request.level.empty() && std::ranges::count(level_names(), request.device) > 0) {
        return set_level(daemon, request, "", request.device);
    }
    TRY(const json device, one_device(daemon, request.device));
    const std::string name = text_of(device, "name");
    if (!request.level.empty()) {
        return set_level(daemon, request, name, request.level);
    }
    TRY(const json levels, daemon.log_levels());
    const std::string own = text_of(levels.at("devices"), name.c_str());
    const std::string level = own.empty() ? text_of(levels, "level") : own;
    return printed(request, json{{"device", name}, {"level", level}}, level + "\n");
}

}  // namespace

Choice add_log_level_command(CLI::App& app, Request& request) {
    CLI::App* const command =
        add_command(app, "log-level", "Show or change what is logged, until a reload", request);
    command->add_option("DEV", request.device,
                        "Name, as list shows it, or its last part; default: the daemon");
    command
        ->add_option("LEVEL", request.level,
                     "error, warning, notice, info, debug or default: as configured")
        ->check(CLI::IsMember(level_names()));
    return {command, &log_level};
}

}  // namespace lunkit::cli

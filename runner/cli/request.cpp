// SPDX-License-Identifier: Apache-2.0
#include "cli/request.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <sstream>
#include <vector>

#include "cli/reports.hpp"
#include "cli/text_table.hpp"
#include "core/number_text.hpp"
#include "lunkit/try.hpp"

namespace lunkit::cli {

using nlohmann::json;

Outcome printed(const Request& request, const json& answer, std::string text) {
    // Names from inside an image may be any bytes.
    constexpr auto kInvalid = json::error_handler_t::replace;
    return {kExitOk,
            request.json_wanted ? answer.dump(2, ' ', false, kInvalid) + "\n" : std::move(text),
            {}};
}

Outcome failed(const Error& error) {
    std::string text;
    std::istringstream lines(error.what);
    for (std::string line; std::getline(lines, line);) {
        text += fmt::format("lunkit: {}\n", printable(line));
    }
    return {kExitFailure, {}, std::move(text)};
}

Result<json> one_device(const DaemonClient& daemon, const std::string& name) {
    TRY(const json devices, daemon.devices());
    const std::vector<json> found = find_devices(devices, name);
    if (found.empty()) {
        return failure(ENOENT, fmt::format("no device '{}'", name));
    }
    if (found.size() > 1) {
        std::string names;
        for (const json& device : found) {
            names += fmt::format(" {}", device.value("name", ""));
        }
        return failure(ENOENT, fmt::format("'{}' may be any of:{}", name, names));
    }
    return found.front();
}

CLI::Validator number(std::uint64_t least, std::uint64_t most) {
    return CLI::Validator(
        [least, most](std::string& text) {
            std::uint64_t value = 0;
            const Status parsed = core::parse_number(text, least, most, value);
            text = fmt::to_string(value);
            return parsed ? std::string() : parsed.error().what;
        },
        fmt::format("{}..{}", least, most));
}

CLI::Validator size() {
    return CLI::Validator(
        [](std::string& text) {
            std::uint64_t value = 0;
            const Status parsed = core::parse_size(text, value);
            text = fmt::to_string(value);
            return parsed ? std::string() : parsed.error().what;
        },
        "SIZE");
}

CLI::App* add_command(CLI::App& app, const std::string& name, const std::string& help,
                      Request& request) {
    CLI::App* const command = app.add_subcommand(name, help);
    command->add_flag("--json", request.json_wanted, "Print JSON");
    return command;
}

}  // namespace lunkit::cli

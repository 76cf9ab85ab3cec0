// SPDX-License-Identifier: Apache-2.0
#include "cli/front_end_commands.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <iterator>
#include <limits>

#include "cli/reports.hpp"
#include "cli/text_table.hpp"
#include "core/number_text.hpp"
#include "lunkit/try.hpp"

namespace lunkit::cli {
namespace {

using nlohmann::json;

Result<Outcome> ublk_add(const DaemonClient& daemon, const Request& request) {
    TRY(const json node, daemon.add("ublk", request.wanted));
    return printed(request, json{{"node", node}}, node.get<std::string>() + "\n");
}

/// What is not there has been removed: a script may say it twice. `key`: what JSON calls it.
Result<Outcome> removed(const Request& request, const char* key, const Result<json>& answer) {
    if (!answer && answer.error().code != ENOENT) {
        return std::unexpected(answer.error());
    }
    return printed(request, json{{key, answer.has_value()}},
                   answer ? "" : printable(answer.error().what) + "\n");
}

Result<Outcome> ublk_resize(const DaemonClient& daemon, const Request& request) {
    TRY(const json answer, daemon.ublk_resize(request.device, request.size, request.recreate));
    return printed(request, json{{"size", request.size}}, "");
}

Result<Outcome> ublk_del(const DaemonClient& daemon, const Request& request) {
    return removed(request, "removed", daemon.remove("ublk", request.device, request.force));
}

Result<Outcome> dm_user_attach(const DaemonClient& daemon, const Request& request) {
    TRY(const json node, daemon.add("dm-user", request.wanted));
    return printed(request, json{{"node", node}}, node.get<std::string>() + "\n");
}

Result<Outcome> dm_user_detach(const DaemonClient& daemon, const Request& request) {
    return removed(request, "detached", daemon.remove("dm-user", request.device, false));
}

Result<json> devices_of(const DaemonClient& daemon, const char* front_end) {
    TRY(const json devices, daemon.devices());
    json ours = json::array();
    std::ranges::copy_if(devices, std::back_inserter(ours), [front_end](const json& device) {
        return device.value("front_end", "") == front_end;
    });
    return ours;
}

Result<Outcome> ublk_list(const DaemonClient& daemon, const Request& request) {
    TRY(const json devices, devices_of(daemon, "ublk"));
    return printed(request, devices, devices_report(devices));
}

Result<Outcome> dm_user_list(const DaemonClient& daemon, const Request& request) {
    TRY(const json devices, devices_of(daemon, "dm-user"));
    return printed(request, devices, devices_report(devices));
}

Result<Outcome> dm_log_list(const DaemonClient& daemon, const Request& request) {
    TRY(const json logs, devices_of(daemon, "dm-log"));
    return printed(request, logs, dirty_logs_report(logs));
}

Result<Outcome> dm_log_show(const DaemonClient& daemon, const Request& request) {
    TRY(const json logs, devices_of(daemon, "dm-log"));
    const auto log = std::ranges::find_if(
        logs, [&request](const json& one) { return one.value("name", "") == request.device; });
    if (log == logs.end()) {
        return failure(ENOENT, fmt::format("there is no dirty log '{}'", request.device));
    }
    return printed(request, *log, device_report(*log));
}

Result<Outcome> dm_log_dump(const DaemonClient& daemon, const Request& request) {
    TRY(const json runs, daemon.regions(request.device));
    return printed(request, runs, regions_report(runs));
}

}  // namespace

std::vector<Choice> add_ublk_commands(CLI::App& app, Request& request) {
    CLI::App* const ublk =
        app.add_subcommand("ublk", "Serve block devices without SCSI: /dev/ublkbN");
    ublk->require_subcommand(1);
    CLI::App* const add = add_command(*ublk, "add", "Make a device and print its node", request);
    DaemonClient::NewDevice& wanted = request.wanted;
    add->add_option("CONFIG", wanted.config, "<handler>/<path or name>[;key=value]...")->required();
    add->add_option("--number", wanted.number, "N of /dev/ublkbN; default: the first that is free")
        ->transform(number(0, std::numeric_limits<std::uint32_t>::max()));
    add->add_option("--size", wanted.size,
                    "Bytes, or with K, M, G, T; default: as large as the storage is")
        ->transform(size());
    add->add_option("--block-size", wanted.block_size, "Bytes of a logical block; default: 512")
        ->transform(number(512, 4096))
        ->check(CLI::IsMember({512, 1024, 2048, 4096}));
    add->add_flag("--read-only", wanted.read_only, "Refuse writes");
    add->add_option("--queues", wanted.queues, "Hardware queues, a thread for each; default: 1")
        ->transform(number(1, 4096));
    CLI::App* const del = add_command(
        *ublk, "del", "Remove a device; one that is not there counts as removed", request);
    del->add_option("DEV", request.device, "Its node, or N")->required();
    del->add_flag("--force", request.force, "Even if it is mounted or part of another device");
    CLI::App* const resize =
        add_command(*ublk, "resize", "Give a device and its storage another size", request);
    resize->add_option("DEV", request.device, "Its node, or N")->required();
    resize->add_option("SIZE", request.size, "Bytes, or with K, M, G, T")
        ->required()
        ->transform(size());
    resize->add_flag("--recreate", request.recreate,
                     "Where the kernel cannot, remove it and make it again, if nobody uses it");
    const CLI::App* const list_command =
        add_command(*ublk, "list", "List the ublk devices that are served", request);
    return {{add, &ublk_add}, {del, &ublk_del}, {resize, &ublk_resize}, {list_command, &ublk_list}};
}

std::vector<Choice> add_dm_user_commands(CLI::App& app, Request& request) {
    CLI::App* const dm_user =
        app.add_subcommand("dm-user", "Serve dm-user targets of device-mapper");
    dm_user->require_subcommand(1);
    CLI::App* const attach =
        add_command(*dm_user, "attach",
                    "Serve a target and print its control node; one that is served in the same "
                    "way already is fine",
                    request);
    DaemonClient::NewDevice& wanted = request.wanted;
    attach->add_option("NAME", wanted.name, "The control node, or its name in the table")
        ->required();
    attach->add_option("CONFIG", wanted.config, "<handler>/<path or name>[;key=value]...")
        ->required();
    attach
        ->add_option("--size", wanted.size,
                     "Bytes, or with K, M, G, T; default: as large as the storage is")
        ->transform(size());
    attach
        ->add_option("--start", wanted.start,
                     "Sector at which the target begins in its table; default: 0")
        ->transform(number(0, core::kMostBytes / 512));
    attach->add_option("--channels", wanted.channels, "Requests served at a time; default: 4")
        ->transform(number(1, 64));
    attach->add_flag("--read-only", wanted.read_only, "Refuse writes");
    CLI::App* const detach = add_command(
        *dm_user, "detach", "Serve a target no longer; one that is not served is fine", request);
    detach->add_option("NAME", request.device, "The control node, or its name in the table")
        ->required();
    const CLI::App* const list_command =
        add_command(*dm_user, "list", "List the dm-user targets that are served", request);
    return {{attach, &dm_user_attach}, {detach, &dm_user_detach}, {list_command, &dm_user_list}};
}

std::vector<Choice> add_dm_log_commands(CLI::App& app, Request& request) {
    CLI::App* const dm_log = app.add_subcommand("dm-log", "Dirty logs of device-mapper's mirrors");
    dm_log->require_subcommand(1);
    const CLI::App* const list_command =
        add_command(*dm_log, "list", "List the dirty logs that are served", request);
    const auto about_one = [&](const char* name, const char* help) {
        CLI::App* const command = add_command(*dm_log, name, help, request);
        command->add_option("UUID", request.device, "That of the mirror's table")->required();
        return command;
    };
    return {{list_command, &dm_log_list},
            {about_one("show", "Show all about one dirty log"), &dm_log_show},
            {about_one("dump", "Show what it knows of each region"), &dm_log_dump}};
}

}  // namespace lunkit::cli

// SPDX-License-Identifier: Apache-2.0
#include "cli/commands.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <functional>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "cli/completion.hpp"
#include "cli/daemon_client.hpp"
#include "cli/doctor.hpp"
#include "cli/handler_test.hpp"
#include "cli/image_commands.hpp"
#include "cli/live_view.hpp"
#include "cli/migrate.hpp"
#include "cli/openmetrics.hpp"
#include "cli/reports.hpp"
#include "core/kernel_module.hpp"
#include "core/log.hpp"
#include "host/handler_directory.hpp"
#include "host/handler_registry.hpp"
#include "lunkit/try.hpp"

namespace lunkit::cli {
namespace {

using nlohmann::json;

constexpr const char* kTcmuConf = "/etc/tcmu/tcmu.conf";

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
    double interval = 2;  ///< seconds
    unsigned count = 0;
    std::string tcmu_conf = kTcmuConf;
    std::string shell;
    std::string saveconfig;  ///< empty: where distributions have it
    HandlerTest handler_test;
    bool may_overwrite = false;  ///< nothing is tested without
};

Outcome printed(const Request& request, const json& answer, std::string text) {
    // Names from inside an image may be any bytes.
    constexpr auto kInvalid = json::error_handler_t::replace;
    return {kExitOk,
            request.json_wanted ? answer.dump(2, ' ', false, kInvalid) + "\n" : std::move(text),
            {}};
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

Result<Outcome> list(const DaemonClient& daemon, const Request& request) {
    TRY(const json devices, daemon.devices());
    return printed(request, devices, devices_report(devices));
}

Result<Outcome> show(const DaemonClient& daemon, const Request& request) {
    TRY(const json device, one_device(daemon, request.device));
    return printed(request, device, device_report(device));
}

Result<Outcome> handlers(const DaemonClient& daemon, const Request& request) {
    TRY(const json answer, daemon.handlers());
    return printed(request, answer, handlers_report(answer));
}

Result<Outcome> check(const DaemonClient& daemon, const Request& request) {
    TRY(const json answer, daemon.check(request.config));
    const bool valid = answer.at("valid").get<bool>();
    if (request.json_wanted || valid) {
        Outcome outcome = printed(request, answer, fmt::format("{}: valid\n", request.config));
        outcome.code = valid ? kExitOk : kExitFailure;
        return outcome;
    }
    return failure(EINVAL,
                   fmt::format("{}: {}", request.config, answer.at("message").get<std::string>()));
}

Result<Outcome> stats(const DaemonClient& daemon, const Request& request) {
    json devices = json::array();
    if (request.device.empty()) {
        TRY(devices, daemon.devices());
    } else {
        TRY(json device, one_device(daemon, request.device));
        devices.push_back(std::move(device));
    }
    if (request.openmetrics_wanted) {
        return Outcome{kExitOk, openmetrics(devices), {}};
    }
    json counters = json::array();
    std::ranges::transform(devices, std::back_inserter(counters), counters_of);
    return printed(request, counters, stats_report(devices));
}

Result<Outcome> reload(const DaemonClient& daemon, const Request& request) {
    TRY(const json notes, daemon.reload());
    std::string text = "the configuration was read again\n";
    for (const json& note : notes) {
        text += fmt::format("needs a restart: {}\n", note.get<std::string>());
    }
    return printed(request, json{{"need_restart", notes}}, std::move(text));
}

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
                   answer ? "" : answer.error().what + "\n");
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

Outcome failed(const Error& error) {
    std::string text;
    std::istringstream lines(error.what);
    for (std::string line; std::getline(lines, line);) {
        text += fmt::format("lunkit: {}\n", line);
    }
    return {error.code == ENOENT ? kExitNotFound : kExitFailure, {}, std::move(text)};
}

/// Answers without a daemon too.
Outcome version(const Request& request) {
    json daemon_version;  // null: not running
    std::string text = "not running";
    if (const auto daemon = DaemonClient::connect()) {
        const auto answer = daemon->version();
        if (answer) {
            daemon_version = *answer;
            text = answer->get<std::string>();
        } else if (answer.error().code != ENOTCONN) {
            text = answer.error().what;
        }
    }
    return printed(request, json{{"lunkit", LUNKIT_VERSION}, {"lunkitd", daemon_version}},
                   fmt::format("lunkit {}\nlunkitd {}\n", LUNKIT_VERSION, text));
}

std::vector<std::string> names_of(const json& all) {
    std::vector<std::string> names;
    std::ranges::transform(all, std::back_inserter(names),
                           [](const json& one) { return one.value("name", ""); });
    return names;
}

Result<Patient::Daemon> ask_daemon() {
    TRY(const DaemonClient daemon, DaemonClient::connect());
    TRY(const json version, daemon.version());
    TRY(const json devices, daemon.devices());
    TRY(const json handlers, daemon.handlers());
    return Patient::Daemon{version.get<std::string>(), names_of(devices), names_of(handlers)};
}

Outcome printed_findings(const Request& request, const std::vector<Finding>& findings) {
    Outcome outcome = printed(request, findings_json(findings), findings_report(findings));
    outcome.code = has_trouble(findings) ? kExitFailure : kExitOk;
    return outcome;
}

/// Answers without a daemon too. Trouble is an answer, and a failure for scripts.
Outcome doctor(const Request& request) {
    Patient patient{.find_module = core::find_kernel_module, .own_version = LUNKIT_VERSION};
    patient.daemon = ask_daemon();
    return printed_findings(request, examine(patient));
}

/// By the handlers of this machine; needs no daemon.
Outcome migrate(const Request& request) {
    core::set_log_level(core::LogLevel::kWarning);  // goes to stderr; the answer is on stdout
    host::HandlerRegistry handlers;
    if (const Status loaded = handlers.load_directory(host::handler_directory(request.handler_dir));
        !loaded) {
        return failed(loaded.error());
    }
    Predecessor predecessor{
        .tcmu_conf = request.tcmu_conf,
        .saveconfigs = {"/etc/rtslib-fb-target/saveconfig.json", "/etc/target/saveconfig.json"},
        .has_handler = [&](const std::string& config) { return handlers.knows(config); },
        .check = [&](const std::string& config) { return handlers.check_config(config, false); }};
    if (!request.saveconfig.empty()) {
        predecessor.saveconfigs = {request.saveconfig};
    }
    for (const std::string& named : {request.tcmu_conf, request.saveconfig}) {
        if (named != kTcmuConf && !named.empty() && ::access(named.c_str(), F_OK) != 0) {
            return failed({.code = EINVAL, .what = named + ": there is no such file"});
        }
    }
    return printed_findings(request, compare(predecessor));
}

/// info and verify. Damage is an answer, and a failure for scripts.
Outcome storage(const Request& request, host::Inspection how) {
    const auto facts = inspect_storage(request.handler_dir, request.config, how);
    if (!facts) {
        Outcome outcome = failed(facts.error());
        outcome.code = kExitFailure;
        return outcome;
    }
    Outcome outcome = printed(request, facts_json(*facts), facts_report(*facts));
    if (std::ranges::find(*facts, "damage", &Fact::key) != facts->end()) {
        outcome.code = kExitFailure;
    }
    return outcome;
}

/// A broken promise is an answer, and a failure for scripts.
Outcome test_a_handler(const Request& request) {
    const auto results = test_handler(request.handler_test);
    if (!results) {
        return failed(results.error());
    }
    Outcome outcome = printed(request, checks_json(*results), checks_report(*results));
    outcome.code = all_passed(*results) ? kExitOk : kExitFailure;
    return outcome;
}

Outcome top(const Request& request) {
    const Status status = run_live_view({std::chrono::round<std::chrono::milliseconds>(
                                             std::chrono::duration<double>(request.interval)),
                                         request.count});
    return status ? Outcome() : failed(status.error());
}

using Command = Result<Outcome> (*)(const DaemonClient&, const Request&);

Outcome with_daemon(Command command, const Request& request) {
    const auto daemon = DaemonClient::connect();
    if (!daemon) {
        return failed(daemon.error());
    }
    auto outcome = command(*daemon, request);
    return outcome ? std::move(*outcome) : failed(outcome.error());
}

CLI::App* add_command(CLI::App& app, const std::string& name, const std::string& help,
                      Request& request) {
    CLI::App* const command = app.add_subcommand(name, help);
    command->add_flag("--json", request.json_wanted, "Print JSON");
    return command;
}

/// A command and the option of the command line that says so.
using Choice = std::pair<const CLI::App*, Command>;

/// "ublk" with its own commands.
std::vector<Choice> add_ublk_commands(CLI::App& app, Request& request) {
    CLI::App* const ublk =
        app.add_subcommand("ublk", "Serve block devices without SCSI: /dev/ublkbN");
    ublk->require_subcommand(1);
    CLI::App* const add = add_command(*ublk, "add", "Make a device and print its node", request);
    DaemonClient::NewDevice& wanted = request.wanted;
    add->add_option("CONFIG", wanted.config, "<handler>/<path or name>[;key=value]...")->required();
    add->add_option("--number", wanted.number, "N of /dev/ublkbN; default: the first that is free");
    add->add_option("--size", wanted.size,
                    "Bytes, or with K, M, G, T; default: as large as the storage is")
        ->transform(CLI::AsSizeValue(false));
    add->add_option("--block-size", wanted.block_size, "Bytes of a logical block; default: 512")
        ->check(CLI::IsMember({512, 1024, 2048, 4096}));
    add->add_flag("--read-only", wanted.read_only, "Refuse writes");
    add->add_option("--queues", wanted.queues, "Hardware queues, a thread for each; default: 1")
        ->check(CLI::Range(1, 4096));
    CLI::App* const del = add_command(
        *ublk, "del", "Remove a device; one that is not there counts as removed", request);
    del->add_option("DEV", request.device, "Its node, or N")->required();
    del->add_flag("--force", request.force, "Even if it is mounted or part of another device");
    CLI::App* const resize =
        add_command(*ublk, "resize", "Give a device and its storage another size", request);
    resize->add_option("DEV", request.device, "Its node, or N")->required();
    resize->add_option("SIZE", request.size, "Bytes, or with K, M, G, T")
        ->required()
        ->transform(CLI::AsSizeValue(false));
    resize->add_flag("--recreate", request.recreate,
                     "Where the kernel cannot, remove it and make it again, if nobody uses it");
    const CLI::App* const list_command =
        add_command(*ublk, "list", "List the ublk devices that are served", request);
    return {{add, &ublk_add}, {del, &ublk_del}, {resize, &ublk_resize}, {list_command, &ublk_list}};
}

/// "handler" with its own command.
const CLI::App* add_handler_test(CLI::App& app, Request& request) {
    CLI::App* const handler = app.add_subcommand("handler", "For authors of handlers");
    handler->require_subcommand(1);
    CLI::App* const command = add_command(
        *handler, "test", "Test whether a handler keeps the promises of its ABI; needs no daemon",
        request);
    HandlerTest& test = request.handler_test;
    command->add_option("CONFIG", test.config, "<handler>/<path or name>[;key=value]...")
        ->required();
    command
        ->add_flag("--overwrite", request.may_overwrite,
                   "Yes, what CONFIG names may be overwritten")
        ->required();
    command->add_option("--plugin", test.plugin, "Load this handler_*.so and no other")
        ->check(CLI::ExistingFile);
    command->add_option("--handler-dir", test.handler_dir,
                        "Load handlers from there instead of where they are installed");
    command->add_option("--size", test.size, "Bytes to ask for, or with K, M, G, T; default: 64M")
        ->transform(CLI::AsSizeValue(false));
    command->add_option("--block-size", test.block_size, "Bytes of a logical block; default: 512")
        ->check(CLI::IsMember({512, 1024, 2048, 4096}));
    command->add_option("--seed", test.seed, "Another one asks for something else; default: 1");
    return command;
}

/// "dm-user" with its own commands.
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
        ->transform(CLI::AsSizeValue(false));
    attach->add_option("--start", wanted.start,
                       "Sector at which the target begins in its table; default: 0");
    attach->add_option("--channels", wanted.channels, "Requests served at a time; default: 4")
        ->check(CLI::Range(1, 64));
    attach->add_flag("--read-only", wanted.read_only, "Refuse writes");
    CLI::App* const detach = add_command(
        *dm_user, "detach", "Serve a target no longer; one that is not served is fine", request);
    detach->add_option("NAME", request.device, "The control node, or its name in the table")
        ->required();
    const CLI::App* const list_command =
        add_command(*dm_user, "list", "List the dm-user targets that are served", request);
    return {{attach, &dm_user_attach}, {detach, &dm_user_detach}, {list_command, &dm_user_list}};
}

/// "dm-log" with its own commands.
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

}  // namespace

Outcome run_command(std::vector<std::string> arguments) {
    Request request;
    CLI::App app("Look into lunkitd and manage it.", "lunkit");
    app.require_subcommand(1);
    app.set_version_flag("-V,--version", "lunkit " LUNKIT_VERSION);
    app.footer(
        "Exit status: 0 ok; 1 failure, such as a daemon that does not run; 2 usage; 3 no such "
        "device.\nSee lunkit(1).");
    const auto add = [&](const std::string& name, const std::string& help) {
        return add_command(app, name, help, request);
    };
    const CLI::App* const list_command = add("list", "List the devices that are served");
    CLI::App* const show_command = add("show", "Show all about one device");
    show_command->add_option("DEV", request.device, "Name, as list shows it, or its last part")
        ->required();
    const CLI::App* const handlers_command = add("handlers", "List the handlers that were loaded");
    CLI::App* const check_command =
        add("check", "Say whether a device could be made with a configuration");
    check_command->add_option("CONFIG", request.config, "<handler>/<path or name>[;key=value]...")
        ->required();
    const auto about_storage = [&](CLI::App* command) {
        command->add_option("CONFIG", request.config, "<handler>/<path or name>[;key=value]...")
            ->required();
        command->add_option("--handler-dir", request.handler_dir,
                            "Load handlers from there instead of where they are installed");
    };
    CLI::App* const info_command =
        add("info", "Describe the storage that a configuration names; needs no daemon");
    about_storage(info_command);
    CLI::App* const verify_command =
        add("verify", "Look for damage in all its metadata; needs no daemon");
    about_storage(verify_command);
    verify_command->add_option("--repair", request.repair, "leaks: free the space nobody uses")
        ->check(CLI::IsMember({"leaks"}));
    CLI::App* const stats_command = add("stats", "Show the counters of all devices or of one");
    stats_command->add_option("DEV", request.device, "Name, as list shows it, or its last part");
    stats_command
        ->add_flag("--openmetrics", request.openmetrics_wanted,
                   "Print OpenMetrics, which Prometheus reads")
        ->excludes("--json");
    CLI::App* const top_command =
        app.add_subcommand("top", "Show what the devices do at present, again and again");
    top_command->add_option("--interval", request.interval, "Seconds between two views; default: 2")
        ->check([](const std::string& text) {
            double seconds = 0;
            const bool is_number = CLI::detail::lexical_cast(text, seconds);
            return is_number && seconds >= 0.1 && seconds <= 3600
                       ? std::string()
                       : "'" + text + "' is not a number from 0.1 to 3600";
        });
    top_command->add_option("--count", request.count, "Views until the end; default: for ever")
        ->check(CLI::PositiveNumber);
    const CLI::App* const reload_command = add("reload", "Read lunkitd.conf again");
    const CLI::App* const doctor_command =
        add("doctor", "Say what on this machine keeps devices from working, and the cure");
    CLI::App* const migrate_command =
        add("migrate", "Say what of tcmu-runner's configuration holds; changes nothing");
    migrate_command->add_option("--tcmu-conf", request.tcmu_conf, "Instead of /etc/tcmu/tcmu.conf");
    migrate_command->add_option("--saveconfig", request.saveconfig,
                                "Instead of what targetcli saves");
    migrate_command->add_option("--handler-dir", request.handler_dir,
                                "Load handlers from there instead of where they are installed");
    CLI::App* const completion_command =
        app.add_subcommand("completion", "Print what a shell needs to complete command lines");
    completion_command->add_option("SHELL", request.shell, "bash, zsh or fish")
        ->required()
        ->check(CLI::IsMember({"bash", "zsh", "fish"}));
    const CLI::App* const version_command = add("version", "Print the versions");
    const CLI::App* const handler_test_command = add_handler_test(app, request);
    std::vector<Choice> commands = add_ublk_commands(app, request);
    std::ranges::copy(add_dm_user_commands(app, request), std::back_inserter(commands));
    std::ranges::copy(add_dm_log_commands(app, request), std::back_inserter(commands));

    std::ranges::reverse(arguments);  // CLI11 takes them from the back
    try {
        app.parse(std::move(arguments));
    } catch (const CLI::ParseError& error) {
        std::ostringstream out;
        std::ostringstream err;
        const bool is_help = app.exit(error, out, err) == 0;
        return {is_help ? kExitOk : kExitUsage, out.str(), err.str()};
    }
    if (version_command->parsed()) {
        return version(request);
    }
    if (top_command->parsed()) {
        return top(request);
    }
    if (completion_command->parsed()) {
        return {kExitOk, completion_script(app, request.shell), {}};
    }
    if (migrate_command->parsed()) {
        return migrate(request);
    }
    if (doctor_command->parsed()) {
        return doctor(request);
    }
    if (handler_test_command->parsed()) {
        return test_a_handler(request);
    }
    if (info_command->parsed()) {
        return storage(request, host::Inspection::kDescribe);
    }
    if (verify_command->parsed()) {
        return storage(request, request.repair.empty() ? host::Inspection::kVerify
                                                       : host::Inspection::kRepairLeaks);
    }
    commands.insert(commands.end(), {{list_command, &list},
                                     {show_command, &show},
                                     {handlers_command, &handlers},
                                     {check_command, &check},
                                     {stats_command, &stats},
                                     {reload_command, &reload}});
    const auto chosen =
        std::ranges::find_if(commands, [](const auto& entry) { return entry.first->parsed(); });
    return with_daemon(chosen->second, request);
}

}  // namespace lunkit::cli

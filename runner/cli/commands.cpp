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
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "cli/completion.hpp"
#include "cli/doctor.hpp"
#include "cli/front_end_commands.hpp"
#include "cli/http_answer.hpp"
#include "cli/image_commands.hpp"
#include "cli/live_view.hpp"
#include "cli/log_level_command.hpp"
#include "cli/migrate.hpp"
#include "cli/openmetrics.hpp"
#include "cli/reports.hpp"
#include "cli/request.hpp"
#include "cli/text_table.hpp"
#include "cli/trace_command.hpp"
#include "core/kernel_module.hpp"
#include "core/log.hpp"
#include "host/handler_directory.hpp"
#include "host/handler_registry.hpp"
#include "lunkit/try.hpp"

namespace lunkit::cli {
namespace {

using nlohmann::json;

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
        text += fmt::format("needs a restart: {}\n", printable(note.get<std::string>()));
    }
    return printed(request, json{{"need_restart", notes}}, std::move(text));
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
        return failed(facts.error());
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

Outcome with_daemon(Command command, const Request& request) {
    const auto daemon = DaemonClient::connect();
    if (!daemon) {
        return failed(daemon.error());
    }
    auto answer = command(*daemon, request);
    if (answer) {
        return std::move(*answer);
    }
    Outcome outcome = failed(answer.error());
    if (answer.error().code == ENOENT) {
        outcome.code = kExitNotFound;
    }
    return outcome;
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
        ->transform(size());
    command->add_option("--block-size", test.block_size, "Bytes of a logical block; default: 512")
        ->transform(number(512, 4096))
        ->check(CLI::IsMember({512, 1024, 2048, 4096}));
    command->add_option("--seed", test.seed, "Another one asks for something else; default: 1")
        ->transform(number(0, std::numeric_limits<std::uint64_t>::max()));
    return command;
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
    CLI::Option* const openmetrics_flag =
        stats_command
            ->add_flag("--openmetrics", request.openmetrics_wanted,
                       "Print OpenMetrics, which Prometheus reads")
            ->excludes("--json");
    stats_command
        ->add_flag("--http", request.http_wanted,
                   "Print it as the answer to the HTTP request that stdin has")
        ->needs(openmetrics_flag);
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
        ->transform(number(1, std::numeric_limits<unsigned>::max()));
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
    commands.push_back(add_log_level_command(app, request));
    commands.push_back(add_trace_command(app, request));

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
    if (request.http_wanted) {
        constexpr std::chrono::seconds kPatience{5};
        return answer_http(STDIN_FILENO, kPatience,
                           [&request] { return with_daemon(&stats, request); });
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

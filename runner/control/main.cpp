// SPDX-License-Identifier: Apache-2.0
// lunkitd: makes the parts, in the order in which they need each other, and runs the control loop.
// They go in the opposite order, which is the order of shutting down.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "control/control_loop.hpp"
#include "control/device_files.hpp"
#include "control/folders_check.hpp"
#include "control/instance_lock.hpp"
#include "control/live_settings.hpp"
#include "control/log_writer.hpp"
#include "control/options.hpp"
#include "control/process_setup.hpp"
#include "control/registry_catalog.hpp"
#include "control/systemd_store.hpp"
#include "core/log.hpp"
#include "core/queue_set.hpp"
#include "dm_log/dm_log_service.hpp"
#include "dm_user/dm_user_service.hpp"
#include "host/file_policy.hpp"
#include "host/handler_directory.hpp"
#include "host/handler_registry.hpp"
#include "host/own_storage.hpp"
#include "tcmu/tcmu_service.hpp"
#include "ublk/control_process.hpp"
#include "ublk/ublk_service.hpp"

namespace {

using lunkit::Status;
using namespace lunkit::control;  // NOLINT(google-build-using-namespace): this file is its main
using lunkit::core::LogLevel;

using UblkControl = lunkit::Result<lunkit::ublk::ControlProcess>;

/// How the daemon ended.
struct Ending {
    ExitCode code = kExitFailure;
    bool was_ready = false;
};

Ending fail(const std::string& what, ExitCode code = kExitFailure) {
    lunkit::core::log(LogLevel::kError, {}, "{}", what);
    return {code};
}

/// A folder that the settings name is not as it must be, unless the error is one that passes.
Ending fail_by_folder(const lunkit::Error& error) {
    constexpr std::array kLasting = {ENOENT, ENOTDIR, EPERM, EACCES, EROFS, ELOOP, ENAMETOOLONG};
    const bool lasts = std::ranges::find(kLasting, error.code) != kLasting.end();
    return fail(error.what, lasts ? kExitConfig : kExitFailure);
}

Ending serve(const Options& options, LiveSettings& settings, SystemdStore& store,
             UblkControl ublk_control) {
    const auto& now = settings.current();
    if (now.tcmu && ::geteuid() != 0) {
        return fail(
            "lunkitd must run as root: it configures the kernel's target and opens its "
            "devices");
    }
    const auto lock = InstanceLock::take(now.run_dir);
    if (!lock) {
        return fail_by_folder(lock.error());
    }
    auto queues = lunkit::core::QueueSet::start(now.engine, now.queues, now.spin);
    if (!queues) {
        return fail(queues.error().what);
    }
    auto policy = lunkit::host::FilePolicy::only(now.allowed_dirs);
    if (!policy) {
        return fail(policy.error().what, kExitConfig);
    }
    for (const std::string& missing : policy->missing()) {
        lunkit::core::log(LogLevel::kWarning, {}, "{}; left out until it is there", missing);
    }
    if (const Status status = lunkit::host::set_file_policy(std::move(*policy)); !status) {
        return fail(status.error().what);
    }
    lunkit::host::HandlerRegistry handlers;
    const std::string handler_dir = lunkit::host::handler_directory(now.handler_dir);
    if (const Status status = handlers.load_directory(handler_dir); !status) {
        return fail_by_folder(status.error());
    }
    lunkit::core::Runtime runtime{**queues, handlers, now};
    std::vector<std::unique_ptr<lunkit::core::Service>> services;
    if (now.tcmu) {
        services.push_back(lunkit::tcmu::make_tcmu_service(runtime));
    }
    if (now.ublk) {
        if (!ublk_control) {
            return fail(ublk_control.error().what);
        }
        services.push_back(lunkit::ublk::make_ublk_service(runtime, std::move(*ublk_control)));
    }
    if (now.dm_user) {
        services.push_back(lunkit::dm_user::make_dm_user_service(runtime, store));
    } else {
        lunkit::dm_user::abandon_targets(store);
    }
    if (now.dm_log) {
        services.push_back(lunkit::dm_log::make_dm_log_service(runtime));
    }
    const lunkit::host::OwnStorage own_storage([&services](const std::string& disk) {
        return std::ranges::any_of(
            services, [&disk](const auto& service) { return service->serves_disk(disk); });
    });
    const RegistryCatalog catalog(handlers);
    ControlLoop loop({.source = options.source,
                      .settings = settings,
                      .handlers = catalog,
                      .services = services,
                      .examine = &check_folders});
    const ControlLoop::Ended ended = loop.run();
    if (!ended.clean) {
        LogWriter::flush(std::chrono::seconds(1));
        ::_exit(ended.code);
    }
    return {ended.code, ended.was_ready};
}

int check_config(const SettingsSource& source) {
    const SettingsResult settings = load_settings(source);
    KeyFileErrors errors = settings ? KeyFileErrors() : settings.error();
    std::ranges::move(read_device_files(device_folder(source)).errors, std::back_inserter(errors));
    if (!errors.empty()) {
        fmt::print(stderr, "{}\n", fmt::join(errors, "\n"));
        return kExitConfig;
    }
    const SettingsDoubts doubts = check_folders(*settings);
    for (const std::string& error : doubts.errors) {
        fmt::print(stderr, "{}: {}\n", source.path, error);
    }
    if (!doubts.errors.empty()) {
        return kExitConfig;
    }
    for (const std::string& note : doubts.notes) {
        fmt::print(stderr, "{}: {}\n", source.path, note);
    }
    fmt::print("{}: no errors\n", source.path);
    return kExitOk;
}

Ending run(const Options& options) {
    become_io_flusher();
    raise_file_limit();
    SettingsResult loaded = load_settings(options.source);
    // While there is one thread, and nothing is open that another process should not have.
    UblkControl ublk_control = lunkit::failure(ENODEV, "there is no front end ublk");
    if (loaded && loaded->ublk) {
        ublk_control =
            lunkit::ublk::ControlProcess::start(lunkit::ublk::ControlProcess::Calls::of_kernel());
    }
    SystemdStore store;
    const LogWriter log(choose_log_target(options.foreground));
    if (!loaded) {
        for (const std::string& error : loaded.error()) {
            (void)fail(error);  // the exit code is another one
        }
        return {kExitConfig};
    }
    lunkit::core::set_log_level(loaded->log_level);
    ignore_broken_pipes();
    share_one_heap();
    use_small_pages();
    if (loaded->lock_memory) {
        if (const Status locked = lock_memory(); !locked) {
            return fail(locked.error().what);
        }
    }
    LiveSettings settings(std::move(*loaded));
    return serve(options, settings, store, std::move(ublk_control));
}

}  // namespace

int main(int argc, char** argv) {
    const Options options = parse_options({argv, argv + argc});
    switch (options.action) {
        case Options::Action::kPrint:
            fmt::print("{}", options.text);
            return kExitOk;
        case Options::Action::kUsageError:
            fmt::print(stderr, "{}", options.text);
            return kExitUsage;
        case Options::Action::kCheckConfig:
            return check_config(options.source);
        case Options::Action::kRun:
            break;
    }
    const Ending ending = run(options);
    if (ending.code == kExitFailure && !ending.was_ready) {
        let_time_pass_for_systemd();
    }
    return ending.code;
}

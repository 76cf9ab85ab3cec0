// SPDX-License-Identifier: Apache-2.0
#include "control/control_loop.hpp"

#include <fmt/format.h>
#include <glib-unix.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <functional>
#include <iterator>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "control/blocking_calls.hpp"
#include "control/bus.hpp"
#include "control/config_check.hpp"
#include "control/device_files.hpp"
#include "control/device_starter.hpp"
#include "control/external_handlers.hpp"
#include "control/glib_handle.hpp"
#include "control/handler_objects.hpp"
#include "control/lunkit_object.hpp"
#include "control/notify.hpp"
#include "control/settings_table.hpp"
#include "control/trace_streams.hpp"
#include "core/log.hpp"
#include "lunkit/try.hpp"

namespace lunkit::control {
namespace {

using core::LogLevel;

constexpr std::chrono::milliseconds kStatusInterval{5'000};
constexpr std::chrono::milliseconds kReloadLimit{10'000};
constexpr std::chrono::milliseconds kDeclaredPatience{30'000};
constexpr const char* kReadingLane = "settings";

/// Any thread may call it; `done` is called from the loop.
template <typename Answer>
auto from_loop(std::move_only_function<void(Answer)> done) {
    return [done = std::move(done)](Answer answer) mutable {
        post_to_loop([done = std::move(done), answer = std::move(answer)]() mutable {
            done(std::move(answer));
        });
    };
}

/// What the files say.
struct Configuration {
    SettingsResult settings;
    SettingsDoubts doubts;
    DeclaredDevices declared;
};

struct LoopUnref {
    void operator()(GMainLoop* loop) const { g_main_loop_unref(loop); }
};

}  // namespace

class ControlLoop::Impl : public Daemon {
  public:
    explicit Impl(const Parts& parts)
        : parts_(parts),
          loop_(g_main_loop_new(nullptr, FALSE)),
          check_(parts_.handlers, calls_, parts_.check_limit),
          handler_objects_(parts_.handlers, check_, parts_.trusted),
          external_handlers_(handler_objects_, parts_.handlers, parts_.trusted,
                             {.check = parts_.check_limit}),
          lunkit_object_(*this, parts_.handlers, check_, parts_.trusted),
          bus_({&handler_objects_, &external_handlers_, &lunkit_object_}, parts_.bus_retry),
          starter_(
              [this](const std::string& front_end, core::NewDevice wanted,
                     core::Service::Added done) {
                  add_device(front_end, std::move(wanted), std::move(done));
              },
              kDeclaredPatience) {}

    Ended run() {
        watch_signals();
        bus_.start([this](Bus::Outcome outcome, const std::string& explanation) {
            bus_settled(outcome, explanation);
        });
        g_main_loop_run(loop_.get());
        for (const guint source : signal_sources_) {
            g_source_remove(source);
        }
        status_timer_.stop();
        ended_.clean = ended_.clean && calls_.running() == 0;
        return ended_;
    }

    // Daemon
    [[nodiscard]] std::vector<core::DeviceStatus> devices() const override {
        std::vector<core::DeviceStatus> all;
        for (const auto& service : parts_.services) {
            std::ranges::move(service->list(), std::back_inserter(all));
        }
        return all;
    }
    void reload(Reloaded done) override;
    void add_device(const std::string& front_end, core::NewDevice wanted,
                    core::Service::Added done) override;
    void remove_device(const std::string& front_end, const std::string& name, bool force,
                       core::Service::Removed done) override;
    void resize_device(const std::string& front_end, const std::string& name, std::uint64_t size,
                       bool recreate, core::Service::Resized done) override;
    void list_regions(const std::string& front_end, const std::string& name,
                      core::Service::Regions done) override;
    Status set_log_level(const std::string& device, std::optional<core::LogLevel> level) override;
    Result<UniqueFd> trace(const std::string& front_end, const std::string& name) override;

  private:
    enum class Phase : std::uint8_t { kStarting, kRunning, kStopping };

    void watch_signals();
    void bus_settled(Bus::Outcome outcome, const std::string& explanation);
    void start_services();
    void start_declared();
    void read_configuration();
    [[nodiscard]] Result<core::Service*> running(const std::string& front_end);
    /// `call` asks the service of that front end; `done` comes from the loop, also where it fails.
    template <typename Answer, typename Call>
    void ask(const std::string& front_end, std::move_only_function<void(Answer)> done, Call call);
    void stop(const char* why);
    [[nodiscard]] std::size_t count_of_last() const;
    void stop_services(bool last);
    void service_stopped(bool clean);
    void end(ExitCode code, bool clean) {
        ended_ = {code, clean, was_ready_};
        g_main_loop_quit(loop_.get());
    }
    [[nodiscard]] Result<std::vector<std::string>> apply(const SettingsResult& fresh);
    [[nodiscard]] Result<std::vector<std::string>> apply(Configuration fresh);
    [[nodiscard]] std::string status_text() const;

    Parts parts_;
    std::unique_ptr<GMainLoop, LoopUnref> loop_;
    Phase phase_ = Phase::kStarting;
    Ended ended_;
    bool was_ready_ = false;
    std::vector<Reloaded> reloads_;  // asked for since the reading began that goes on
    bool reading_ = false;
    bool declared_applied_ = false;  // by a reload
    std::array<guint, 3> signal_sources_{};
    std::vector<core::Service*> started_;
    std::map<std::string, Error, std::less<>> unavailable_;  // front ends that could not start
    std::size_t still_stopping_ = 0;
    bool last_are_stopping_ = false;
    bool all_ended_ = true;
    LoopTimer stop_timer_;
    LoopTimer status_timer_;
    std::string status_;
    Watchdog watchdog_;
    BlockingCalls calls_;
    ConfigCheck check_;
    TraceStreams traces_;
    HandlerObjects handler_objects_;
    ExternalHandlers external_handlers_;
    LunkitObject lunkit_object_;
    Bus bus_;
    DeviceStarter starter_;
};

void ControlLoop::Impl::watch_signals() {
    const auto on_stop = [](gpointer data) -> gboolean {
        static_cast<Impl*>(data)->stop("a signal");
        return G_SOURCE_CONTINUE;
    };
    const auto on_hangup = [](gpointer data) -> gboolean {
        static_cast<Impl*>(data)->reload([](const Result<std::vector<std::string>>&) {});
        return G_SOURCE_CONTINUE;
    };
    signal_sources_ = {g_unix_signal_add(SIGTERM, on_stop, this),
                       g_unix_signal_add(SIGINT, on_stop, this),
                       g_unix_signal_add(SIGHUP, on_hangup, this)};
}

void ControlLoop::Impl::bus_settled(Bus::Outcome outcome, const std::string& explanation) {
    if (phase_ != Phase::kStarting) {
        return;
    }
    if (outcome == Bus::Outcome::kTaken) {
        core::log(LogLevel::kError, {}, "{}; stop it before lunkitd is started", explanation);
        end(kExitUnavailable, true);
        return;
    }
    if (outcome == Bus::Outcome::kUnavailable) {
        core::log(LogLevel::kError, {},
                  "D-Bus: {}; devices are served, but targetcli and lunkit do not find the daemon "
                  "until that changes (it keeps trying)",
                  explanation);
    }
    start_services();
}

void ControlLoop::Impl::start_services() {
    for (const auto& service : parts_.services) {
        if (const Status status = service->start(); status) {
            started_.push_back(service.get());
        } else if (status.error().code != ENODEV && started_.empty()) {
            // It is wanted, and may come up at the next try: systemd starts the daemon again.
            core::log(LogLevel::kError, {}, "{}: {}, giving up", service->name(),
                      status.error().what);
            end(kExitFailure, true);
            return;
        } else {
            unavailable_.emplace(service->name(), status.error());
        }
    }
    for (const auto& [name, error] : unavailable_) {
        const bool is_missed = error.code != ENODEV || started_.empty();
        core::log(is_missed ? LogLevel::kError : LogLevel::kInfo, {}, "{}: {}", name, error.what);
    }
    if (started_.empty() && !parts_.services.empty()) {
        core::log(LogLevel::kError, {}, "no front end could be started, giving up");
        end(kExitUnavailable, true);
        return;
    }
    phase_ = Phase::kRunning;
    was_ready_ = true;
    status_ = status_text();
    notify_ready(status_);
    status_timer_.start(kStatusInterval, LoopTimer::Repeat::kEvery, [this] {
        if (std::string now = status_text(); now != status_ && phase_ == Phase::kRunning) {
            status_ = std::move(now);
            notify_status(status_);
        }
    });
    core::log(LogLevel::kNotice, {}, "lunkitd {} is ready", LUNKIT_VERSION);
    start_declared();
}

/// A file with errors keeps its own devices away, and no others.
void ControlLoop::Impl::start_declared() {
    auto found = std::make_shared<DeclaredDevices>();
    calls_.run(
        kReadingLane, {kReloadLimit, "reading the declared devices timed out"},
        [folder = device_folder(parts_.source), found]() -> Status {
            *found = read_device_files(folder);  // nobody looks at it once the limit is past
            return {};
        },
        [this, found](const Status& status) {
            if (!status) {
                core::log(LogLevel::kError, {}, "{}", status.error().what);
                return;
            }
            for (const std::string& error : found->errors) {
                core::log(LogLevel::kError, {}, "{}", error);
            }
            if (phase_ == Phase::kRunning && !declared_applied_) {
                starter_.start(std::move(found->devices));
            }
        });
}

std::string ControlLoop::Impl::status_text() const {
    const auto all = devices();
    const auto failed = std::ranges::count_if(all, [](const core::DeviceStatus& device) {
        return device.state == core::DeviceState::kFailed;
    });
    return failed == 0 ? fmt::format("serving {} devices", all.size())
                       : fmt::format("serving {} devices, {} failed",
                                     all.size() - static_cast<std::size_t>(failed), failed);
}

void ControlLoop::Impl::stop(const char* why) {
    if (phase_ == Phase::kStopping) {
        return;
    }
    phase_ = Phase::kStopping;
    starter_.stop();
    core::log(LogLevel::kNotice, {}, "stopping: {}", why);
    if (started_.empty()) {
        end(kExitOk, true);
        return;
    }
    // A front end drains its devices and then closes them, each within drain_timeout.
    const auto limit = 2 * parts_.settings.current().drain_timeout + parts_.stop_grace;
    notify_stopping(limit);
    stop_timer_.start(limit, LoopTimer::Repeat::kOnce, [this] {
        core::log(LogLevel::kError, {},
                  "{} front ends have not stopped in time; the next daemon goes on with what they "
                  "leave",
                  still_stopping_);
        end(kExitFailure, false);
    });
    still_stopping_ = started_.size();
    stop_services(count_of_last() == started_.size());
}

std::size_t ControlLoop::Impl::count_of_last() const {
    return static_cast<std::size_t>(std::ranges::count_if(
        started_, [](const core::Service* service) { return service->stops_last(); }));
}

/// Those that stop last, or all others.
void ControlLoop::Impl::stop_services(bool last) {
    last_are_stopping_ = last;
    for (core::Service* const service : started_) {
        if (service->stops_last() == last) {
            service->stop(
                [this](bool clean) { post_to_loop([this, clean] { service_stopped(clean); }); });
        }
    }
}

void ControlLoop::Impl::service_stopped(bool clean) {
    all_ended_ = all_ended_ && clean;
    if (--still_stopping_ > 0) {
        if (!last_are_stopping_ && still_stopping_ == count_of_last()) {
            stop_services(true);
        }
        return;
    }
    if (all_ended_) {
        core::log(LogLevel::kNotice, {}, "stopped");
    } else {
        core::log(LogLevel::kError, {},
                  "stopped, although something still runs; the next daemon goes on with what is "
                  "left");
    }
    end(all_ended_ ? kExitOk : kExitFailure, all_ended_);
}

void ControlLoop::Impl::reload(Reloaded done) {
    if (phase_ == Phase::kStopping) {
        post_to_loop(
            [done = std::move(done)]() mutable { done(failure(ECANCELED, "the daemon stops")); });
        return;
    }
    if (phase_ == Phase::kRunning) {
        notify_reloading();
    }
    reloads_.push_back(std::move(done));
    if (!reading_) {
        read_configuration();
    }
}

/// For all reloads that wait. One reading at a time: what is applied last has then been read last.
void ControlLoop::Impl::read_configuration() {
    reading_ = true;
    auto fresh = std::make_shared<Configuration>();
    calls_.run(
        kReadingLane, {kReloadLimit, "reading the settings timed out"},
        [source = parts_.source, examine = parts_.examine,
         known_dirs = parts_.settings.current().allowed_dirs, fresh]() -> Status {
            fresh->settings = load_settings(source);  // nobody looks at it once the limit is past
            if (fresh->settings) {
                core::Settings looked_at = *fresh->settings;
                if (looked_at.allowed_dirs == known_dirs) {
                    looked_at.allowed_dirs.clear();  // one of them may hang
                }
                fresh->doubts = examine(looked_at);
            }
            fresh->declared = read_device_files(device_folder(source));
            return {};
        },
        [this, fresh, waiting = std::exchange(reloads_, {})](const Status& status) mutable {
            reading_ = false;
            const Result<std::vector<std::string>> result =
                status ? apply(std::move(*fresh))
                       : apply(std::unexpected(SettingsErrors{status.error().what}));
            for (Reloaded& done : waiting) {
                done(result);
            }
            const bool is_ending =
                phase_ == Phase::kStopping || (!status && status.error().code == ECANCELED);
            if (!reloads_.empty() && !is_ending) {
                read_configuration();
                return;
            }
            for (Reloaded& done : reloads_) {
                done(failure(ECANCELED, "the daemon stops"));
            }
            reloads_.clear();
            if (phase_ == Phase::kRunning) {
                notify_ready(status_);
            }
        });
}

/// A front end whose part of the kernel was missing is tried again, for whoever wants to use it.
Result<core::Service*> ControlLoop::Impl::running(const std::string& front_end) {
    if (phase_ == Phase::kStopping) {
        return failure(ECANCELED, "the daemon stops");
    }
    const auto found = std::ranges::find_if(parts_.services, [&front_end](const auto& service) {
        return service->name() == front_end;
    });
    if (found == parts_.services.end() || phase_ != Phase::kRunning) {
        return failure(ENODEV,
                       fmt::format("lunkitd does not serve '{}' (see lunkitd.conf)", front_end));
    }
    const auto unavailable = unavailable_.find(front_end);
    if (unavailable == unavailable_.end()) {
        return found->get();
    }
    if (unavailable->second.code == ENODEV) {
        if (const Status status = (*found)->start(); !status) {
            unavailable->second = status.error();
        } else {
            unavailable_.erase(unavailable);
            started_.push_back(found->get());
            return found->get();
        }
    }
    return std::unexpected(unavailable->second);
}

template <typename Answer, typename Call>
void ControlLoop::Impl::ask(const std::string& front_end,
                            std::move_only_function<void(Answer)> done, Call call) {
    auto answer = from_loop(std::move(done));
    if (const auto service = running(front_end); service) {
        call(**service, std::move(answer));
    } else {
        answer(std::unexpected(service.error()));
    }
}

void ControlLoop::Impl::add_device(const std::string& front_end, core::NewDevice wanted,
                                   core::Service::Added done) {
    ask(front_end, std::move(done), [&wanted](core::Service& service, auto answer) {
        service.add_device(std::move(wanted), std::move(answer));
    });
}

void ControlLoop::Impl::remove_device(const std::string& front_end, const std::string& name,
                                      bool force, core::Service::Removed done) {
    ask(front_end, std::move(done), [&name, force](core::Service& service, auto answer) {
        service.remove_device(name, force, std::move(answer));
    });
}

void ControlLoop::Impl::resize_device(const std::string& front_end, const std::string& name,
                                      std::uint64_t size, bool recreate,
                                      core::Service::Resized done) {
    ask(front_end, std::move(done), [&](core::Service& service, auto answer) {
        service.resize_device(name, size, recreate, std::move(answer));
    });
}

void ControlLoop::Impl::list_regions(const std::string& front_end, const std::string& name,
                                     core::Service::Regions done) {
    ask(front_end, std::move(done), [&name](core::Service& service, auto answer) {
        service.list_regions(name, std::move(answer));
    });
}

Status ControlLoop::Impl::set_log_level(const std::string& device,
                                        std::optional<core::LogLevel> level) {
    const LogLevel configured = parts_.settings.current().log_level;
    if (device.empty()) {
        core::set_log_level(level.value_or(configured));
        core::log(LogLevel::kNotice, {}, "log level: {}",
                  log_level_name(level.value_or(configured)));
        return {};
    }
    const auto all = devices();
    if (std::ranges::find(all, device, &core::DeviceStatus::name) == all.end()) {
        return failure(ENOENT, fmt::format("no device '{}'", device));
    }
    core::set_log_level(device, level);
    core::log(LogLevel::kNotice, {.device = device}, "log level: {}",
              level ? log_level_name(*level) : "the daemon's");
    return {};
}

Result<UniqueFd> ControlLoop::Impl::trace(const std::string& front_end, const std::string& name) {
    TRY(core::Service* const service, running(front_end));
    TRY(auto tap, service->trace(name));
    TRY(UniqueFd watcher, traces_.open(std::move(tap)));
    core::log(LogLevel::kInfo, {.device = name}, "is being traced");
    return watcher;
}

Result<std::vector<std::string>> ControlLoop::Impl::apply(const SettingsResult& fresh) {
    if (!fresh) {
        for (const std::string& error : fresh.error()) {
            core::log(LogLevel::kError, {}, "reload: {}", error);
        }
        core::log(LogLevel::kError, {}, "reload: nothing was changed");
        return failure(EINVAL, fmt::format("{}", fmt::join(fresh.error(), "\n")));
    }
    LiveSettings::Applied applied = parts_.settings.apply(*fresh);
    core::set_log_levels({.daemon = parts_.settings.current().log_level, .devices = {}});
    for (core::Service* const service : started_) {
        service->settings_changed();
    }
    for (const std::string& change : applied.changed) {
        core::log(LogLevel::kNotice, {}, "reload: {}", change);
    }
    for (const std::string& change : applied.need_restart) {
        core::log(LogLevel::kWarning, {}, "reload: {}: needs a restart", change);
    }
    if (applied.changed.empty() && applied.need_restart.empty()) {
        core::log(LogLevel::kNotice, {}, "reload: no setting has changed");
    }
    return std::move(applied.need_restart);
}

/// The files as a whole: with an error in one of them nothing changes.
Result<std::vector<std::string>> ControlLoop::Impl::apply(Configuration fresh) {
    SettingsErrors errors =
        fresh.settings ? std::move(fresh.doubts.errors) : fresh.settings.error();
    std::ranges::move(fresh.declared.errors, std::back_inserter(errors));
    if (!errors.empty()) {
        return apply(std::unexpected(std::move(errors)));
    }
    for (const std::string& note : fresh.doubts.notes) {
        core::log(LogLevel::kWarning, {}, "{}", note);
    }
    auto result = apply(fresh.settings);
    if (result && phase_ == Phase::kRunning) {
        declared_applied_ = true;
        starter_.start(std::move(fresh.declared.devices));
    }
    return result;
}

ControlLoop::ControlLoop(const Parts& parts) : impl_(std::make_unique<Impl>(parts)) {}
ControlLoop::~ControlLoop() = default;
ControlLoop::Ended ControlLoop::run() {
    return impl_->run();
}

}  // namespace lunkit::control

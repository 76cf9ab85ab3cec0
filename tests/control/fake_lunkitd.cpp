// SPDX-License-Identifier: Apache-2.0
// A lunkitd without kernel and plugins: the real control loop over handlers and devices that are
// made up here. The environment says how it shall misbehave:
//   FAKE_CHECK_LIMIT_MS, FAKE_BUS_RETRY_MS, FAKE_STOP_GRACE_MS   shorter times
//   FAKE_TRUSTED_UID                         who may manage it instead of its own user
//   FAKE_START=fails                         the front end cannot serve
//   FAKE_START=stumbles                      it cannot just now
//   FAKE_START=later                         dm-user can, from the second try on
//   FAKE_STOP=never                          it never ends stopping
//   FAKE_TARGET=NAME                         of the dm-user target; else a/target
//   FAKE_TRACE=lasts                         a device that is traced does not go
//   FAKE_LAST=yes                            there is another, which stops after it
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "control/control_loop.hpp"
#include "control/instance_lock.hpp"
#include "control/live_settings.hpp"
#include "control/log_writer.hpp"
#include "control/options.hpp"
#include "core/log.hpp"
#include "core/trace.hpp"

namespace {

using namespace lunkit;           // NOLINT(google-build-using-namespace): a small program
using namespace lunkit::control;  // NOLINT(google-build-using-namespace): a small program

std::string_view from_environment(const char* name) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): nobody changes it
    const char* const value = std::getenv(name);
    return value == nullptr ? "" : value;
}

std::chrono::milliseconds time_from_environment(const char* name, std::chrono::milliseconds usual) {
    const std::string value(from_environment(name));
    return value.empty() ? usual : std::chrono::milliseconds(std::stoi(value));
}

class FakeHandlers : public HandlerCatalog {
  public:
    [[nodiscard]] std::vector<host::HandlerInfo> list() const override {
        return {{"file", "files and devices", "<path>[;direct=on|off]", "/h/handler_file.so", 1},
                {"ram", "memory", "<name>", "/h/handler_ram.so", 1},
                {"stuck", "never answers", "", "/h/handler_stuck.so", 1},
                {"da-sh", "has no place on D-Bus", "", "/h/handler_da-sh.so", 1}};
    }
    [[nodiscard]] Status check_config(const std::string& config, bool syntax_only) const override {
        if (config.starts_with("stuck/")) {
            std::unique_lock lock(mutex_);
            never_.wait(lock, [] { return false; });
        }
        if (config.starts_with("file//missing")) {
            return syntax_only ? Status() : failure(ENOENT, "/missing: No such file or directory");
        }
        if (config.find(";bad") != std::string::npos) {
            return failure(EINVAL, "unknown key 'bad'\xff");
        }
        return {};
    }

  private:
    mutable std::mutex mutex_;
    mutable std::condition_variable never_;
};

class FakeService : public core::Service {
  public:
    explicit FakeService(std::string name) : name_(std::move(name)) {}
    [[nodiscard]] std::string_view name() const override { return name_; }
    Status start() override {
        if (from_environment("FAKE_START") == "fails") {
            return failure(ENODEV, "this kernel has no TCMU");
        }
        if (from_environment("FAKE_START") == "stumbles") {
            return failure(ENOMEM, "out of memory");
        }
        if (from_environment("FAKE_START") == "later" && name_ == "dm-user" && !tried_) {
            tried_ = true;
            return failure(ENODEV, "this kernel has no dm-user yet");
        }
        return {};
    }
    void stop(std::function<void(bool)> stopped) override {
        core::log(core::LogLevel::kNotice, {}, "fake: {} stops", name_);
        const std::string_view how = from_environment("FAKE_STOP");
        if (how != "never") {
            stopped(how != "unclean");
        }
    }
    void settings_changed() override {
        core::log(core::LogLevel::kNotice, {}, "fake: goes on with new settings");
    }
    void add_device(core::NewDevice wanted, Added done) override {
        if (wanted.config == "file//missing") {
            done(failure(ENOENT, "/missing: No such file or directory"));
            return;
        }
        if (wanted.config == "file//hostile") {
            done(failure(EINVAL, "backing file '\x1b[2J\u009b2J' is not there"));
            return;
        }
        if (wanted.config == "file//slow") {
            core::log(core::LogLevel::kNotice, {}, "fake: takes its time over {}", wanted.config);
            unanswered_.push_back(std::move(done));
            return;
        }
        if (!wanted.name.empty()) {
            done(fmt::format("/dev/dm-user/{}-{}-{}-{}-{}", wanted.name, wanted.size,
                             wanted.start_sectors512, wanted.channels,
                             wanted.read_only ? "ro" : "rw"));
            return;
        }
        done(fmt::format("/dev/{}-{}-{}-{}-{}", wanted.number.value_or(0), wanted.size,
                         wanted.block_size, wanted.read_only ? "ro" : "rw", wanted.queues));
    }
    void remove_device(const std::string& name, bool force, Removed done) override {
        if (name == "none") {
            done(failure(ENOENT, "there is no " + name_ + " device 'none'"));
        } else if (name == "mounted" && !force) {
            done(failure(EBUSY, "mounted is in use"));
        } else {
            done({});
        }
    }
    void resize_device(const std::string& name, std::uint64_t size, bool recreate,
                       Resized done) override {
        if (name == "none") {
            done(failure(ENOENT, "there is no ublk device 'none'"));
        } else if (!recreate) {
            done(failure(EOPNOTSUPP, fmt::format("{} bytes take --recreate", size)));
        } else {
            done({});
        }
    }
    void list_regions(const std::string& name, Regions done) override {
        if (name == "mirror-1") {
            done(std::vector<core::RegionRun>{
                {0, 6, true, true}, {6, 3, false, true}, {9, 7, false, false}});
        } else {
            done(failure(ENOENT, "there is no dirty log '" + name + "'"));
        }
    }
    /// Three commands, and it goes.
    [[nodiscard]] Result<std::shared_ptr<core::TraceTap>> trace(const std::string& name) override {
        if (name != target_name()) {
            return failure(ENOENT, "no device '" + name + "' is served");
        }
        auto tap = std::make_shared<core::TraceTap>();
        tracer_ = std::jthread([tap](const std::stop_token& ended) {
            while (!tap->is_watched() && !ended.stop_requested()) {
                std::this_thread::yield();
            }
            tap->put({.ended_at = 1'700'000'000'000'000'001,
                      .took = 12'345,
                      .bytes = 4096,
                      .kind = core::CommandClass::kRead,
                      .cdb_length = 10,
                      .cdb = {0x28, 0, 0, 0, 0x08, 0, 0, 0, 0x08, 0}});
            tap->put({.ended_at = 1'700'000'000'000'000'002,
                      .tag = 7,
                      .error = core::ErrorKind::sense(5, 0x24, 0).packed(),
                      .cdb_length = 6,
                      .cdb = {0x12, 1, 0xff, 0, 0xff, 0}});
            tap->put({.ended_at = 1'700'000'000'000'000'003,
                      .bytes = 512,
                      .offset = 1024,
                      .operation = core::BlockOperation::kWrite,
                      .kind = core::CommandClass::kWrite});
            if (from_environment("FAKE_TRACE") != "lasts") {
                tap->close();
            }
        });
        return tap;
    }
    [[nodiscard]] std::vector<core::DeviceStatus> list() const override {
        if (name_ == "dm-log") {
            return {};  // they stand below, among the others
        }
        if (name_ == "dm-user") {
            core::DeviceStatus target;
            target.front_end = name_;
            target.name = target_name();
            target.config = "ram/t";
            target.node = "/dev/dm-user/a/target";
            target.block_size = 512;
            target.state = core::DeviceState::kRunning;
            return {target};
        }
        core::DeviceStatus disk;
        disk.front_end = "tcmu";
        disk.name = "user_0/disk1";
        disk.config = "file//var/disk1.img";
        disk.node = "/dev/uio0";
        disk.state = core::DeviceState::kRunning;
        disk.size = std::uint64_t{1} << 30;
        disk.block_size = 512;
        disk.write_cache = true;
        disk.read_commands = 12;
        disk.read_bytes = 49152;
        disk.write_commands = 3;
        disk.write_bytes = 1536;
        disk.other_commands = 7;
        disk.errors = 1;
        disk.in_flight = 2;
        disk.kicks = 20;
        disk.latency[0] = {.count = 12,
                           .sum = 1'200'000,
                           .p50 = 80'000,
                           .p90 = 150'000,
                           .p99 = 4'100'000,
                           .p999 = 4'100'000,
                           .max = 4'200'000};
        disk.error_counts = {{"03/11/00", 1}};
        core::DeviceStatus broken;
        broken.front_end = "tcmu";
        broken.name = "user_1/disk2";
        broken.config = "file//gone.img";
        broken.state = core::DeviceState::kFailed;
        broken.error = "/gone.img: No such file or directory";
        broken.read_only = true;
        core::DeviceStatus twin = broken;
        twin.name = "user_2/disk2";
        core::DeviceStatus log;
        log.front_end = "dm-log";
        log.name = "mirror-1";
        log.config = "core 1024 sync";
        log.state = core::DeviceState::kRunning;
        log.size = std::uint64_t{8} << 20;
        log.region_size = std::uint64_t{512} << 10;
        log.regions = 16;
        log.regions_in_sync = 9;
        log.regions_dirty = 10;
        return {disk, broken, twin, log};
    }

  private:
    static std::string target_name() {
        const std::string name(from_environment("FAKE_TARGET"));
        return name.empty() ? "a/target" : name;
    }

    const std::string name_;
    bool tried_ = false;
    std::vector<Added> unanswered_;
    std::jthread tracer_;
};

/// What the others may need until they have stopped.
class LastService : public core::Service {
  public:
    [[nodiscard]] std::string_view name() const override { return "dm-log"; }
    Status start() override { return {}; }
    [[nodiscard]] bool stops_last() const override { return true; }
    void stop(std::function<void(bool)> stopped) override {
        core::log(core::LogLevel::kNotice, {}, "fake: dm-log stops");
        stopped(true);
    }
    [[nodiscard]] std::vector<core::DeviceStatus> list() const override { return {}; }
};

/// allowed_dirs=/slow is looked for until a file "go" is in the run_dir.
SettingsDoubts look_around(const core::Settings& settings) {
    SettingsDoubts doubts;
    if (settings.handler_dir == "/nowhere") {
        doubts.errors.emplace_back("handler_dir: /nowhere: No such file or directory");
    }
    for (const std::string& directory : settings.allowed_dirs) {
        if (directory == "/nowhere") {
            doubts.notes.emplace_back("allowed_dirs: /nowhere is not there");
        }
        if (directory == "/slow") {
            core::log(core::LogLevel::kNotice, {}, "fake: looks for /slow");
            while (!std::filesystem::exists(settings.run_dir + "/go")) {
                std::this_thread::yield();
            }
        }
    }
    return doubts;
}

int serve(const Options& options, core::Settings loaded) {
    const auto lock = InstanceLock::take(loaded.run_dir);
    if (!lock) {
        core::log(core::LogLevel::kError, {}, "{}", lock.error().what);
        return kExitFailure;
    }
    LiveSettings settings(std::move(loaded));
    const FakeHandlers handlers;
    std::vector<std::unique_ptr<core::Service>> services;
    if (from_environment("FAKE_LAST") == "yes") {
        services.push_back(std::make_unique<LastService>());
    } else {
        services.push_back(std::make_unique<FakeService>("dm-log"));
    }
    services.push_back(std::make_unique<FakeService>("ublk"));
    services.push_back(std::make_unique<FakeService>("dm-user"));
    using namespace std::chrono_literals;
    const std::string trusted(from_environment("FAKE_TRUSTED_UID"));
    ControlLoop loop({options.source, settings, handlers, services,
                      trusted.empty() ? ::geteuid() : static_cast<uid_t>(std::stoul(trusted)),
                      time_from_environment("FAKE_CHECK_LIMIT_MS", 10s),
                      time_from_environment("FAKE_BUS_RETRY_MS", 2s),
                      time_from_environment("FAKE_STOP_GRACE_MS", 10s), &look_around});
    const ControlLoop::Ended ended = loop.run();
    if (!ended.clean) {
        LogWriter::flush(1s);
        ::_exit(ended.code);
    }
    return ended.code;
}

}  // namespace

int main(int argc, char** argv) {
    const Options options = parse_options({argv, argv + argc});
    if (options.action != Options::Action::kRun) {
        fmt::print("{}", options.text);
        return kExitUsage;
    }
    const LogWriter log(choose_log_target(options.foreground));
    SettingsResult loaded = load_settings(options.source);
    if (!loaded) {
        return kExitConfig;
    }
    core::set_log_level(loaded->log_level);
    return serve(options, std::move(*loaded));
}

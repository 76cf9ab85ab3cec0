// SPDX-License-Identifier: Apache-2.0
#include "core/log.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <mutex>
#include <string_view>
#include <utility>

namespace lunkit::core {

namespace {

std::string_view level_name(LogLevel level) {
    switch (level) {
        case LogLevel::kError:
            return "error";
        case LogLevel::kWarning:
            return "warning";
        case LogLevel::kNotice:
            return "notice";
        case LogLevel::kInfo:
            return "info";
        case LogLevel::kDebug:
            return "debug";
    }
    return "?";
}

/// "lunkitd: warning: user_0/disk1[7]: text\n" in one write(2), so that lines of several threads do
/// not mix.
void write_to_stderr(LogLevel level, const LogSubject& subject, std::string_view message) {
    fmt::memory_buffer line;
    const auto out = std::back_inserter(line);
    fmt::format_to(out, "lunkitd: {}: ", level_name(level));
    if (!subject.device.empty()) {
        fmt::format_to(out, "{}", subject.device);
        if (subject.tag != 0) {
            fmt::format_to(out, "[{}]", subject.tag);
        }
        fmt::format_to(out, ": ");
    }
    fmt::format_to(out, "{}\n", message);
    const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
    (void)written;  // nobody is left to tell
}

std::atomic<LogSink> current_sink{&write_to_stderr};

// The highest level of all, and whether a device has one of its own: mostly that settles it.
std::atomic<LogLevel> highest_level{LogLevel::kInfo};
std::atomic<bool> devices_differ{false};

struct Levels {
    std::mutex mutex;
    LogLevels known;  // under mutex
};

/// Never freed: a detached thread may log while the process ends.
Levels& levels() {
    static auto* const the_levels = new Levels;
    return *the_levels;
}

/// Changes them under the mutex.
void change_levels(const std::function<void(LogLevels&)>& change) {
    Levels& all = levels();
    const std::lock_guard lock(all.mutex);
    change(all.known);
    LogLevel highest = all.known.daemon;
    for (const auto& [device, level] : all.known.devices) {
        highest = std::max(highest, level);
    }
    devices_differ.store(!all.known.devices.empty(), std::memory_order_relaxed);
    highest_level.store(highest, std::memory_order_relaxed);
}

LogLevel level_of(std::string_view device) {
    Levels& all = levels();
    const std::lock_guard lock(all.mutex);
    const auto own = all.known.devices.find(device);
    return own != all.known.devices.end() ? own->second : all.known.daemon;
}

}  // namespace

void set_log_sink(LogSink sink) {
    current_sink.store(sink != nullptr ? sink : &write_to_stderr, std::memory_order_release);
}

void set_log_level(LogLevel level) {
    change_levels([level](LogLevels& known) { known.daemon = level; });
}

void set_log_level(std::string_view device, std::optional<LogLevel> level) {
    change_levels([&](LogLevels& known) {
        if (level) {
            known.devices.insert_or_assign(std::string(device), *level);
        } else if (const auto own = known.devices.find(device); own != known.devices.end()) {
            known.devices.erase(own);
        }
    });
}

void set_log_levels(LogLevels wanted) {
    change_levels([&](LogLevels& known) { known = std::move(wanted); });
}

LogLevels log_levels() {
    Levels& all = levels();
    const std::lock_guard lock(all.mutex);
    return all.known;
}

bool log_enabled(LogLevel level, std::string_view device) {
    if (level > highest_level.load(std::memory_order_relaxed)) {
        return false;
    }
    return !devices_differ.load(std::memory_order_relaxed) || level <= level_of(device);
}

void log_line(LogLevel level, const LogSubject& subject, std::string_view message) {
    if (log_enabled(level, subject.device)) {
        current_sink.load(std::memory_order_acquire)(level, subject, message);
    }
}

bool LogLimit::admit(std::uint64_t* suppressed) {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return admit_at(std::chrono::duration_cast<std::chrono::seconds>(now).count(), suppressed);
}

bool LogLimit::admit_at(std::int64_t second, std::uint64_t* suppressed) {
    if (second != window_) {
        window_ = second;
        used_ = 0;
    }
    if (used_ >= burst_) {
        ++kept_back_;
        return false;
    }
    ++used_;
    *suppressed = kept_back_;
    kept_back_ = 0;
    return true;
}

}  // namespace lunkit::core

// SPDX-License-Identifier: Apache-2.0
#include "core/log.hpp"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string_view>

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
std::atomic<LogLevel> current_level{LogLevel::kInfo};

}  // namespace

void set_log_sink(LogSink sink) {
    current_sink.store(sink != nullptr ? sink : &write_to_stderr, std::memory_order_release);
}

void set_log_level(LogLevel level) {
    current_level.store(level, std::memory_order_relaxed);
}

bool log_enabled(LogLevel level) {
    return level <= current_level.load(std::memory_order_relaxed);
}

void log_line(LogLevel level, const LogSubject& subject, std::string_view message) {
    if (log_enabled(level)) {
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

// SPDX-License-Identifier: Apache-2.0
// The log of the runner: one line, with the device and the command tag as fields. Whoever ends the
// propagation of an error logs it, once. Any thread; never blocks on storage. Where the lines go
// (journal, stderr) is set once at start by runner/control.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "lunkit/handler.h"

namespace lunkit::core {

enum class LogLevel : int {
    kError = LUNKIT_LOG_ERROR,
    kWarning = LUNKIT_LOG_WARNING,
    kNotice = LUNKIT_LOG_NOTICE,
    kInfo = LUNKIT_LOG_INFO,
    kDebug = LUNKIT_LOG_DEBUG,
};

/// What a line is about. `device` empty: the daemon itself; tag 0: no command.
struct LogSubject {
    std::string_view device = {};
    std::uint64_t tag = 0;
};

using LogSink = void (*)(LogLevel level, const LogSubject& subject, std::string_view message);

/// The default sink writes to stderr.
void set_log_sink(LogSink sink);
/// Of the daemon, and of every device that has none of its own.
void set_log_level(LogLevel level);
/// Of what is logged about one device; nothing: the daemon's counts again.
void set_log_level(std::string_view device, std::optional<LogLevel> level);
/// The daemon's, and those of devices that have one of their own.
struct LogLevels {
    LogLevel daemon = LogLevel::kInfo;
    std::map<std::string, LogLevel, std::less<>> devices;
};
/// All of them; those that are not named are forgotten.
void set_log_levels(LogLevels levels);
[[nodiscard]] LogLevels log_levels();
/// Whether a line about `device` (empty: the daemon) is wanted.
[[nodiscard]] bool log_enabled(LogLevel level, std::string_view device = {});
void log_line(LogLevel level, const LogSubject& subject, std::string_view message);

template <typename... Args>
void log(LogLevel level, const LogSubject& subject, fmt::format_string<Args...> format,
         Args&&... args) {
    if (log_enabled(level, subject.device)) {
        log_line(level, subject, fmt::format(format, std::forward<Args>(args)...));
    }
}

/// Lets through `burst` lines a second of a kind and says how many it kept back. One per place,
/// on one thread.
class LogLimit {
  public:
    explicit LogLimit(unsigned burst = 10) : burst_(burst) {}
    /// Whether this line may go; *suppressed gets how many were kept back before it.
    [[nodiscard]] bool admit(std::uint64_t* suppressed);
    /// The same at a given second of CLOCK_MONOTONIC.
    [[nodiscard]] bool admit_at(std::int64_t second, std::uint64_t* suppressed);

  private:
    unsigned burst_;
    unsigned used_ = 0;
    std::uint64_t kept_back_ = 0;
    std::int64_t window_ = 0;  // CLOCK_MONOTONIC second
};

}  // namespace lunkit::core

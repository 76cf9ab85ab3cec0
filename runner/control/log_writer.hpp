// SPDX-License-Identifier: Apache-2.0
// LogWriter: carries log lines to the journal or to stderr on a thread of its own. The thread that
// logs only queues the line: a journal whose disk is one of our own LUNs, or a stopped terminal,
// must not hold up a data path. When the writer falls behind, lines are dropped and counted.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/log.hpp"

namespace lunkit::control {

enum class LogTarget : std::uint8_t {
    kStderr,
    kStderrWithPriority,  ///< "<N>" before each line: what reads it knows syslog's prefix
    kJournal,             ///< structured: LUNKIT_DEVICE=, LUNKIT_TAG=
};

/// Foreground: stderr, with priorities if that leads to the journal. Else the journal when systemd
/// has started us (JOURNAL_STREAM, INVOCATION_ID) and it is there, else stderr.
[[nodiscard]] LogTarget choose_log_target(bool foreground);

/// "<device>[<tag>]: <message>" with control characters replaced: what a person reads.
[[nodiscard]] std::string log_text(const core::LogSubject& subject, std::string_view message);
/// A line of stderr for it, with its newline.
[[nodiscard]] std::string stderr_line(LogTarget target, core::LogLevel level,
                                      std::string_view text);

/// The sink of core::log() while it lives; one at a time. Lines logged without one go to stderr.
class LogWriter {
  public:
    explicit LogWriter(LogTarget target);
    LogWriter(const LogWriter&) = delete;
    LogWriter& operator=(const LogWriter&) = delete;
    LogWriter(LogWriter&&) = delete;
    LogWriter& operator=(LogWriter&&) = delete;
    /// Writes what is queued, for at most a second.
    ~LogWriter();

    /// Any thread: waits until what was logged before is written, or for `limit`.
    static void flush(std::chrono::milliseconds limit);
};

}  // namespace lunkit::control

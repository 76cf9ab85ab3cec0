// SPDX-License-Identifier: Apache-2.0
#include "control/log_writer.hpp"

#include <fmt/format.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include "control/settings_table.hpp"

namespace lunkit::control {
namespace {

constexpr std::size_t kMaxQueued = 8192;
constexpr const char* kIdentifier = "lunkitd";

struct Line {
    core::LogLevel level;
    std::string device;
    std::uint64_t tag;
    std::string text;
};

bool stderr_is_the_journal() {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): nobody changes the environment of the daemon
    const char* const stream = std::getenv("JOURNAL_STREAM");
    struct stat status{};
    return stream != nullptr && ::fstat(STDERR_FILENO, &status) == 0 &&
           fmt::format("{}:{}", status.st_dev, status.st_ino) == stream;
}

void write_stderr(std::string_view text) {
    while (!text.empty()) {
        const ssize_t done = ::write(STDERR_FILENO, text.data(), text.size());
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done <= 0) {
            return;  // nowhere left to complain to
        }
        text.remove_prefix(static_cast<std::size_t>(done));
    }
}

void send_to_journal(const Line& line) {
    const std::array<std::string, 5> fields = {
        "MESSAGE=" + line.text, fmt::format("PRIORITY={}", static_cast<int>(line.level)),
        fmt::format("SYSLOG_IDENTIFIER={}", kIdentifier), "LUNKIT_DEVICE=" + line.device,
        fmt::format("LUNKIT_TAG={}", line.tag)};
    std::array<iovec, fields.size()> iov{};
    int count = 0;
    for (std::size_t i = 0; i < fields.size(); ++i) {
        if ((i == 3 && line.device.empty()) || (i == 4 && line.tag == 0)) {
            continue;
        }
        iov[static_cast<std::size_t>(count++)] = {const_cast<char*>(fields[i].data()),
                                                  fields[i].size()};
    }
    if (::sd_journal_sendv(iov.data(), count) < 0) {
        write_stderr(stderr_line(LogTarget::kStderr, line.level, line.text));
    }
}

/// What the logging threads and the writer's thread share. Never freed: a detached thread may log
/// while the process ends.
class Backlog {
  public:
    void push(Line line) {
        {
            const std::lock_guard lock(mutex_);
            if (lines_.size() < kMaxQueued) {
                lines_.push_back(std::move(line));
            } else {
                ++dropped_;
            }
        }
        changed_.notify_all();
    }

    bool flush(std::chrono::milliseconds limit) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, limit, [&] { return lines_.empty() && !writing_; });
    }

    void stop() {
        {
            const std::lock_guard lock(mutex_);
            stopping_ = true;
        }
        changed_.notify_all();
    }

    void start() {
        const std::lock_guard lock(mutex_);
        stopping_ = false;
    }

    void run(LogTarget target) {
        std::unique_lock lock(mutex_);
        for (;;) {
            changed_.wait(lock, [&] { return stopping_ || !lines_.empty() || dropped_ > 0; });
            if (lines_.empty() && dropped_ == 0) {
                return;
            }
            std::deque<Line> batch = std::exchange(lines_, {});
            const std::uint64_t dropped = std::exchange(dropped_, 0);
            writing_ = true;
            lock.unlock();
            for (const Line& line : batch) {
                write(target, line);
            }
            if (dropped > 0) {
                write(target, {core::LogLevel::kWarning,
                               {},
                               0,
                               fmt::format("{} log lines were dropped here", dropped)});
            }
            lock.lock();
            writing_ = false;
            changed_.notify_all();
        }
    }

  private:
    static void write(LogTarget target, const Line& line) {
        if (target == LogTarget::kJournal) {
            send_to_journal(line);
        } else {
            write_stderr(stderr_line(target, line.level, line.text));
        }
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Line> lines_;
    std::uint64_t dropped_ = 0;
    bool writing_ = false;
    bool stopping_ = false;
};

Backlog& backlog() {
    static auto* const the_backlog = new Backlog;
    return *the_backlog;
}

void queue_line(core::LogLevel level, const core::LogSubject& subject, std::string_view message) {
    backlog().push({level, std::string(subject.device), subject.tag, log_text(subject, message)});
}

std::thread& writer_thread() {
    static auto* const the_thread = new std::thread;
    return *the_thread;
}

}  // namespace

LogTarget choose_log_target(bool foreground) {
    const bool to_journal = stderr_is_the_journal();
    if (foreground) {
        return to_journal ? LogTarget::kStderrWithPriority : LogTarget::kStderr;
    }
    // NOLINTNEXTLINE(concurrency-mt-unsafe): nobody changes the environment of the daemon
    const bool by_systemd = to_journal || std::getenv("INVOCATION_ID") != nullptr;
    if (by_systemd && ::access("/run/systemd/journal/socket", W_OK) == 0) {
        return LogTarget::kJournal;
    }
    return to_journal ? LogTarget::kStderrWithPriority : LogTarget::kStderr;
}

std::string log_text(const core::LogSubject& subject, std::string_view message) {
    std::string text;
    if (!subject.device.empty()) {
        text += subject.device;
        if (subject.tag != 0) {
            text += fmt::format("[{}]", subject.tag);
        }
        text += ": ";
    }
    text += message;
    for (char& c : text) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
            c = '?';
        }
    }
    return text;
}

std::string stderr_line(LogTarget target, core::LogLevel level, std::string_view text) {
    if (target == LogTarget::kStderrWithPriority) {
        return fmt::format("<{}>{}\n", static_cast<int>(level), text);
    }
    return fmt::format("{}: {}: {}\n", kIdentifier, log_level_name(level), text);
}

LogWriter::LogWriter(LogTarget target) {
    backlog().start();
    writer_thread() = std::thread([target] {
        sigset_t all;
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
        ::pthread_setname_np(::pthread_self(), "log");
        backlog().run(target);
    });
    core::set_log_sink(&queue_line);
}

LogWriter::~LogWriter() {
    core::set_log_sink(nullptr);  // core's own, which writes to stderr
    backlog().stop();
    if (backlog().flush(std::chrono::seconds(1))) {
        writer_thread().join();
    } else {
        writer_thread().detach();  // stuck in a write; it ends with the process
    }
}

void LogWriter::flush(std::chrono::milliseconds limit) {
    (void)backlog().flush(limit);
}

}  // namespace lunkit::control

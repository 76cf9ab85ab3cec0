// SPDX-License-Identifier: Apache-2.0
#include "control/log_writer.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

namespace lunkit::control {
namespace {

using core::LogLevel;

/// Sets what systemd would set, for one test.
class Environment {
  public:
    Environment(const char* name, const std::string& value) : name_(name) {
        ::setenv(name, value.c_str(), 1);  // NOLINT(concurrency-mt-unsafe): one thread
    }
    Environment(const Environment&) = delete;
    Environment& operator=(const Environment&) = delete;
    Environment(Environment&&) = delete;
    Environment& operator=(Environment&&) = delete;
    ~Environment() { ::unsetenv(name_); }  // NOLINT(concurrency-mt-unsafe): one thread

  private:
    const char* name_;
};

std::string journal_stream_of_stderr() {
    struct stat status{};
    ::fstat(STDERR_FILENO, &status);
    return fmt::format("{}:{}", status.st_dev, status.st_ino);
}

TEST(LogTarget, ForegroundOnATerminalIsPlainStderr) {
    EXPECT_EQ(choose_log_target(true), LogTarget::kStderr);
}

TEST(LogTarget, ForegroundWithStderrInTheJournalMarksPriorities) {
    const Environment journal("JOURNAL_STREAM", journal_stream_of_stderr());
    EXPECT_EQ(choose_log_target(true), LogTarget::kStderrWithPriority);
}

TEST(LogTarget, AnotherProgramsJournalStreamIsNotOurs) {
    const Environment journal("JOURNAL_STREAM", "1:1");
    EXPECT_EQ(choose_log_target(true), LogTarget::kStderr);
}

TEST(LogTarget, WithoutSystemdItIsStderr) {
    EXPECT_EQ(choose_log_target(false), LogTarget::kStderr);
}

TEST(LogText, NamesDeviceAndTag) {
    EXPECT_EQ(log_text({"user_0/disk", 7}, "gone"), "user_0/disk[7]: gone");
    EXPECT_EQ(log_text({"user_0/disk", 0}, "gone"), "user_0/disk: gone");
    EXPECT_EQ(log_text({}, "ready"), "ready");
}

// A name or path from outside must not be able to forge a line.
TEST(LogText, ControlCharactersAreReplaced) {
    EXPECT_EQ(log_text({"a\nlunkitd: b", 0}, "\x1b[2J"), "a?lunkitd: b: ?[2J");
}

TEST(StderrLine, HasThePrefixThatItsReaderKnows) {
    EXPECT_EQ(stderr_line(LogTarget::kStderrWithPriority, LogLevel::kWarning, "x"), "<4>x\n");
    EXPECT_EQ(stderr_line(LogTarget::kStderr, LogLevel::kWarning, "x"), "lunkitd: warning: x\n");
}

TEST(LogWriter, WritesWhatWasLoggedBeforeItGoes) {
    testing::internal::CaptureStderr();
    {
        const LogWriter writer(LogTarget::kStderr);
        core::log(LogLevel::kError, {"disk", 0}, "number {}", 1);
        core::log(LogLevel::kError, {}, "number {}", 2);
    }
    EXPECT_EQ(testing::internal::GetCapturedStderr(),
              "lunkitd: error: disk: number 1\nlunkitd: error: number 2\n");
}

}  // namespace
}  // namespace lunkit::control

// SPDX-License-Identifier: Apache-2.0
// `lunkit top`: the rates, and the tool on a terminal of its own (a pty).
#include "cli/live_view.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>

#include "cli/exit_code.hpp"
#include "support/child_process.hpp"
#include "support/private_bus.hpp"

namespace lunkit::cli {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::StartsWith;
using namespace std::chrono_literals;

json device(const char* name, unsigned reads, std::uint64_t read_bytes, unsigned writes = 0) {
    return {{"front_end", "tcmu"},      {"name", name},
            {"state", "running"},       {"read_commands", reads},
            {"read_bytes", read_bytes}, {"write_commands", writes},
            {"in_flight", 3U},          {"errors", 1U}};
}

TEST(RatesReport, BusiestFirstInUnitsPerSecond) {
    const json before = {device("a", 100, 0), device("b", 100, 1 << 20)};
    const json now = {device("a", 110, 0), device("b", 300, 5 << 20, 50)};
    EXPECT_EQ(rates_report(before, now, 2s),
              "NAME  STATE    READS/s  READ/s  WRITES/s  WRITTEN/s  OTHER/s  LATENCY  IN FLIGHT  "
              "ERRORS\n"
              "b     running      100   2 MiB        25        0 B        0        -          3  "
              "     1\n"
              "a     running        5     0 B         0        0 B        0        -          3  "
              "     1\n");
}

TEST(RatesReport, LatencyIsTheMeanOfAllThatEnded) {
    json before = device("a", 1, 0);
    before["read_latency"] = {{"count", 1U}, {"sum_ns", 1000U}};
    json now = device("a", 3, 0);
    now["read_latency"] = {{"count", 3U}, {"sum_ns", 31000U}};
    now["other_latency"] = {{"count", 1U}, {"sum_ns", 6000U}};
    EXPECT_THAT(rates_report(json::array({before}), json::array({now}), 1s),
                HasSubstr(" 12.0 us "));
}

TEST(RatesReport, WhatBeganAnewHasNoRate) {
    const json before = {device("a", 100, 1000)};
    const json now = {device("a", 10, 100), device("new", 10, 100)};
    const std::string text = rates_report(before, now, 1s);
    EXPECT_THAT(text, HasSubstr("a     running        0     0 B"));
    EXPECT_THAT(text, HasSubstr("new   running        0     0 B"));
}

TEST(RatesReport, TimeThatStandsStillIsNoReasonToDivide) {
    EXPECT_THAT(rates_report({device("a", 1, 1)}, {device("a", 2, 2)}, 0s), HasSubstr(" 0 B"));
    EXPECT_EQ(rates_report(json::array(), json::array(), 1s), "no devices\n");
}

TEST(Clipped, WindowIsFilledAndNotScrolled) {
    EXPECT_EQ(clipped("abcdef\ng\nh\n", 2, 4), "\x1b[Kabcd\r\n\x1b[Kg");
    EXPECT_EQ(clipped("\u00e4\u00f6\u00fcx\n", 1, 3), "\x1b[K\u00e4\u00f6\u00fc");
    EXPECT_EQ(clipped("a\n", 3, 9), "\x1b[Ka\r\n\x1b[K\r\n\x1b[K");
}

class LiveViewTest : public testing::Test {
  protected:
    void SetUp() override {
        std::ofstream(folder_ / "lunkitd.conf") << "[daemon]\nrun_dir=" << folder_.path() << "\n";
        daemon_ = std::make_unique<test::ChildProcess>(
            std::vector<std::string>{FAKE_LUNKITD, "--foreground", "--config",
                                     folder_ / "lunkitd.conf"},
            std::vector<std::string>{bus_.variable()});
        ASSERT_TRUE(daemon_->wait_notify("READY=1")) << daemon_->printed();
    }
    void TearDown() override {
        if (pid_ > 0) {
            ::kill(pid_, SIGKILL);
            ::waitpid(pid_, nullptr, 0);
        }
        stop_daemon();
    }
    void stop_daemon() {
        if (daemon_) {
            daemon_->signal(SIGTERM);
            EXPECT_EQ(0, daemon_->wait_exit()) << daemon_->printed();
            daemon_.reset();
        }
    }
    /// The tool on a terminal of 24 lines and 100 columns.
    void begin_on_terminal() {
        const std::string variable = bus_.variable();
        const std::size_t split = variable.find('=');
        winsize window{.ws_row = 24, .ws_col = 100, .ws_xpixel = 0, .ws_ypixel = 0};
        int terminal = -1;
        pid_ = ::forkpty(&terminal, nullptr, nullptr, &window);
        if (pid_ == 0) {
            // NOLINTNEXTLINE(concurrency-mt-unsafe): a child of one thread
            ::setenv(variable.substr(0, split).c_str(), variable.substr(split + 1).c_str(), 1);
            ::execl(LUNKIT, LUNKIT, "top", "--interval", "0.1", nullptr);
            ::_exit(127);
        }
        ASSERT_GT(pid_, 0);
        terminal_.reset(terminal);
    }
    /// Reads until `text` has come, or for 10 s.
    bool wait_for(const std::string& text) {
        while (screen_.find(text) == std::string::npos) {
            pollfd waited{terminal_.get(), POLLIN, 0};
            std::array<char, 4096> room{};
            if (::poll(&waited, 1, 10'000) != 1) {
                return false;
            }
            const ssize_t size = ::read(terminal_.get(), room.data(), room.size());
            if (size <= 0) {
                return false;  // EIO: nobody has the terminal any more
            }
            screen_.append(room.data(), static_cast<std::size_t>(size));
        }
        screen_.erase(0, screen_.find(text) + text.size());
        return true;
    }
    int exit_code() {
        int status = -1;
        ::waitpid(pid_, &status, 0);
        pid_ = -1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    }

    test::PrivateBus bus_;
    test::TemporaryFolder folder_;
    std::unique_ptr<test::ChildProcess> daemon_;
    UniqueFd terminal_;
    std::string screen_;
    pid_t pid_ = -1;
};

TEST_F(LiveViewTest, TerminalIsGivenBackAsItWas) {
    begin_on_terminal();
    EXPECT_TRUE(wait_for("\x1b[?1049h"));
    EXPECT_TRUE(wait_for("every 0.1 s"));
    EXPECT_TRUE(wait_for("user_0/disk1"));
    EXPECT_TRUE(wait_for("user_0/disk1"));  // again
    termios keys{};
    ASSERT_EQ(::tcgetattr(terminal_.get(), &keys), 0);
    EXPECT_EQ(keys.c_lflag & static_cast<tcflag_t>(ECHO), 0U);
    ASSERT_EQ(::write(terminal_.get(), "q", 1), 1);
    EXPECT_TRUE(wait_for("\x1b[?1049l"));
    EXPECT_EQ(exit_code(), kExitOk);
    ASSERT_EQ(::tcgetattr(terminal_.get(), &keys), 0);
    EXPECT_NE(keys.c_lflag & static_cast<tcflag_t>(ECHO), 0U);
}

TEST_F(LiveViewTest, SignalGivesTheTerminalBackToo) {
    begin_on_terminal();
    EXPECT_TRUE(wait_for("user_0/disk1"));
    ::kill(pid_, SIGTERM);
    EXPECT_TRUE(wait_for("\x1b[?1049l"));
    EXPECT_EQ(exit_code(), kExitOk);
}

TEST_F(LiveViewTest, DaemonThatGoesIsToldOf) {
    begin_on_terminal();
    EXPECT_TRUE(wait_for("user_0/disk1"));
    stop_daemon();
    EXPECT_TRUE(wait_for("lunkitd is not running"));
    ASSERT_EQ(::write(terminal_.get(), "\x03", 1), 1);
    EXPECT_EQ(exit_code(), kExitOk);
}

TEST_F(LiveViewTest, WithoutATerminalViewsArePrinted) {
    test::ChildProcess tool({LUNKIT, "top", "--interval", "0.1", "--count", "2"},
                            {bus_.variable()});
    EXPECT_EQ(tool.wait_exit(), kExitOk);
    const std::string text = tool.printed();
    EXPECT_THAT(text, StartsWith("NAME"));
    EXPECT_THAT(text, HasSubstr("\n\nNAME"));
    stop_daemon();
    test::ChildProcess alone({LUNKIT, "top", "--count", "1"}, {bus_.variable()});
    EXPECT_EQ(alone.wait_exit(), kExitFailure);
}

}  // namespace
}  // namespace lunkit::cli

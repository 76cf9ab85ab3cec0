// SPDX-License-Identifier: Apache-2.0
// ChildProcess: a program run by a test, with what it prints and what it tells systemd. Waits end
// after twenty seconds, with false.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lunkit/unique_fd.hpp"

extern char** environ;  // NOLINT(readability-redundant-declaration): only _GNU_SOURCE has it

namespace lunkit::test {

/// A folder for one test; goes with all that is in it.
class TemporaryFolder {
  public:
    TemporaryFolder() {
        std::string name = (std::filesystem::temp_directory_path() / "lunkit-XXXXXX").string();
        path_ = ::mkdtemp(name.data()) != nullptr ? name : "";
    }
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;
    TemporaryFolder(TemporaryFolder&&) = delete;
    TemporaryFolder& operator=(TemporaryFolder&&) = delete;
    ~TemporaryFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    [[nodiscard]] std::string operator/(std::string_view name) const {
        return path_ + "/" + std::string(name);
    }
    [[nodiscard]] const std::string& path() const { return path_; }

  private:
    std::string path_;
};

class ChildProcess {
  public:
    /// `environment`: "KEY=value", before what the test itself has; nothing of systemd's.
    ChildProcess(std::vector<std::string> arguments, std::vector<std::string> environment = {}) {
        open_notify_socket();
        environment.push_back("NOTIFY_SOCKET=" + notify_path_);
        spawn(arguments, environment);
    }
    ChildProcess(const ChildProcess&) = delete;
    ChildProcess& operator=(const ChildProcess&) = delete;
    ChildProcess(ChildProcess&&) = delete;
    ChildProcess& operator=(ChildProcess&&) = delete;
    ~ChildProcess() {
        if (pid_ > 0) {
            (void)::kill(pid_, SIGKILL);
            (void)::waitpid(pid_, nullptr, 0);
        }
    }

    void signal(int number) const { ASSERT_EQ(0, ::kill(pid_, number)); }

    /// Whether the program prints `text` (stdout and stderr together), behind what was waited for
    /// before.
    [[nodiscard]] bool wait_output(std::string_view text) {
        std::size_t at = std::string::npos;
        const bool found = wait(
            output_.get(),
            [&] { return (at = printed_.find(text, waited_for_)) != std::string::npos; },
            [&] { return read_into(output_.get(), printed_); });
        waited_for_ = found ? at + text.size() : waited_for_;
        return found;
    }
    /// Whether it told systemd the line `state` by now or soon.
    [[nodiscard]] bool wait_notify(std::string_view state) {
        const std::string line = "\n" + std::string(state) + "\n";
        return wait(
            notify_.get(), [&] { return notified_.find(line) != std::string::npos; },
            [&] {
                const bool more = read_into(notify_.get(), notified_);
                notified_ += '\n';
                return more;
            });
    }
    /// Its exit code, or 128 + the signal that ended it; -1: it still runs.
    int wait_exit() {
        (void)wait(
            output_.get(), [] { return false; },
            [&] { return read_into(output_.get(), printed_); });
        const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
        pollfd waiting{process.get(), POLLIN, 0};
        if (::poll(&waiting, 1, kLimitMs) != 1) {
            return -1;
        }
        int status = 0;
        (void)::waitpid(std::exchange(pid_, -1), &status, 0);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    /// All it has printed so far; after wait_exit(), all.
    [[nodiscard]] const std::string& printed() const { return printed_; }
    [[nodiscard]] const std::string& notified() const { return notified_; }
    [[nodiscard]] pid_t pid() const { return pid_; }

  private:
    static constexpr int kLimitMs = 60'000;

    void open_notify_socket() {
        notify_.reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
        notify_path_ = folder_ / "notify";
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        notify_path_.copy(address.sun_path, sizeof address.sun_path - 1);
        const auto* const any = reinterpret_cast<const sockaddr*>(&address);
        EXPECT_EQ(0, ::bind(notify_.get(), any, sizeof address));
        notified_ = "\n";
    }

    void spawn(const std::vector<std::string>& arguments,
               const std::vector<std::string>& environment) {
        std::array<int, 2> pipe_ends{};
        ASSERT_EQ(0, ::pipe2(pipe_ends.data(), O_CLOEXEC));
        output_.reset(pipe_ends[0]);
        const UniqueFd write_end(pipe_ends[1]);
        posix_spawn_file_actions_t actions;
        ::posix_spawn_file_actions_init(&actions);
        ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
        ::posix_spawn_file_actions_adddup2(&actions, write_end.get(), STDOUT_FILENO);
        ::posix_spawn_file_actions_adddup2(&actions, write_end.get(), STDERR_FILENO);
        std::vector<char*> argv;
        for (const std::string& argument : arguments) {
            argv.push_back(const_cast<char*>(argument.c_str()));
        }
        argv.push_back(nullptr);
        std::vector<char*> envp;
        for (const std::string& variable : environment) {
            envp.push_back(const_cast<char*>(variable.c_str()));
        }
        for (char** variable = environ; *variable != nullptr; ++variable) {
            if (!is_systemds(*variable)) {
                envp.push_back(*variable);
            }
        }
        envp.push_back(nullptr);
        const int error =
            ::posix_spawnp(&pid_, argv[0], &actions, nullptr, argv.data(), envp.data());
        ::posix_spawn_file_actions_destroy(&actions);
        ASSERT_EQ(0, error) << arguments.front();
    }

    static bool is_systemds(std::string_view variable) {
        for (const char* const name : {"JOURNAL_STREAM=", "INVOCATION_ID=", "NOTIFY_SOCKET=",
                                       "WATCHDOG_", "DBUS_SYSTEM_BUS_ADDRESS="}) {
            if (variable.starts_with(name)) {
                return true;
            }
        }
        return false;
    }

    static bool read_into(int fd, std::string& text) {
        std::array<char, 4096> piece{};
        const ssize_t got = ::read(fd, piece.data(), piece.size());
        if (got > 0) {
            text.append(piece.data(), static_cast<std::size_t>(got));
        }
        return got > 0;
    }

    /// Reads until `found`, the end, or the limit.
    static bool wait(int fd, const std::function<bool()>& found,
                     const std::function<bool()>& read_more) {
        using Clock = std::chrono::steady_clock;
        const auto end = Clock::now() + std::chrono::milliseconds(kLimitMs);
        while (!found()) {
            const auto left =
                std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now());
            pollfd waiting{fd, POLLIN, 0};
            if (left.count() <= 0 || ::poll(&waiting, 1, static_cast<int>(left.count())) != 1 ||
                !read_more()) {
                return found();
            }
        }
        return true;
    }

    TemporaryFolder folder_;
    std::string notify_path_;
    UniqueFd notify_;
    UniqueFd output_;
    std::string printed_;
    std::size_t waited_for_ = 0;
    std::string notified_;
    pid_t pid_ = -1;
};

}  // namespace lunkit::test

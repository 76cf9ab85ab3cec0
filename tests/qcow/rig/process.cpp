// SPDX-License-Identifier: Apache-2.0
#include "rig/process.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "lunkit/unique_fd.hpp"

namespace lunkit::qcow_rig {

Finished run_program(const std::vector<std::string>& arguments) {
    Finished finished;
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
        return finished;
    }
    const UniqueFd output(ends[0]);
    UniqueFd input(ends[1]);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_adddup2(&actions, input.get(), STDOUT_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, input.get(), STDERR_FILENO);
    std::vector<char*> argv;
    argv.reserve(arguments.size() + 1);
    for (const std::string& argument : arguments) {
        argv.push_back(const_cast<char*>(argument.c_str()));  // as exec has it
    }
    argv.push_back(nullptr);
    pid_t pid = 0;
    const int error = ::posix_spawnp(&pid, argv[0], &actions, nullptr, argv.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    if (error != 0) {
        finished.exit_code = 127;
        finished.output = arguments.front() + ": " + std::strerror(error);
        return finished;
    }
    input.reset();
    std::array<char, 4096> piece{};
    for (;;) {
        const ssize_t got = ::read(output.get(), piece.data(), piece.size());
        if (got <= 0 && !(got < 0 && errno == EINTR)) {
            break;
        }
        finished.output.append(piece.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
    }
    int status = 0;
    (void)::waitpid(pid, &status, 0);  // our child, once
    finished.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return finished;
}

Status must_run(const std::vector<std::string>& arguments) {
    const Finished finished = run_program(arguments);
    if (finished.exit_code != 0) {
        return failure(EIO, fmt::format("{}: exit code {}: {}", fmt::join(arguments, " "),
                                        finished.exit_code, finished.output));
    }
    return {};
}

bool have_qemu() {
    static const bool kThere = run_program({"qemu-img", "--version"}).exit_code == 0 &&
                               run_program({"qemu-io", "--version"}).exit_code == 0;
    return kThere;
}

Result<std::vector<std::byte>> read_file(const std::string& path) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat status{};
    if (!fd || ::fstat(fd.get(), &status) != 0) {
        return failure(errno, path);
    }
    std::vector<std::byte> content(static_cast<std::size_t>(status.st_size));
    std::size_t done = 0;
    while (done < content.size()) {
        const ssize_t got =
            ::pread(fd.get(), &content[done], content.size() - done, static_cast<off_t>(done));
        if (got <= 0) {
            return failure(EIO, path);
        }
        done += static_cast<std::size_t>(got);
    }
    return content;
}

Status write_file(const std::string& path, std::span<const std::byte> content) {
    const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    std::size_t done = 0;
    while (fd && done < content.size()) {
        const ssize_t got = ::write(fd.get(), &content[done], content.size() - done);
        if (got <= 0) {
            break;
        }
        done += static_cast<std::size_t>(got);
    }
    return fd && done == content.size() ? Status() : failure(EIO, "cannot write " + path);
}

RunFolder::RunFolder() {
    const bool memory = ::access("/dev/shm", W_OK) == 0;
    const std::filesystem::path parent =
        memory ? std::filesystem::path("/dev/shm") : std::filesystem::temp_directory_path();
    std::string name = parent / "lunkit-qcow-XXXXXX";
    path_ = ::mkdtemp(name.data()) != nullptr ? name : "";
}

RunFolder::~RunFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

}  // namespace lunkit::qcow_rig

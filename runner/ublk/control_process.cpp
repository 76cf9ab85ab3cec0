// SPDX-License-Identifier: Apache-2.0
#include "ublk/control_process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include "core/driver_command.hpp"
#include "core/system_failure.hpp"
#include "lunkit/try.hpp"
#include "ublk/abi.hpp"
#include "ublk/control_device.hpp"

namespace lunkit::ublk {

namespace {

enum class Kind : std::uint8_t { kCommand, kCheckUnused, kWriteBack, kLimitSilence };

constexpr std::size_t kMostBytes = 512;

struct Request {
    Kind kind;
    std::uint32_t op;
    abi::ControlCommand command;
    std::uint32_t length;  // of what follows: the command's buffer, or a node
    std::array<std::byte, kMostBytes> bytes;
};

struct Reply {
    std::int32_t error;    // errno; 0: none
    std::int32_t answer;   // the driver's
    std::uint32_t length;  // of what follows: the command's buffer, or what the error says
    std::array<std::byte, kMostBytes> bytes;
};

template <typename Message>
void put_text(Message& message, std::string_view text) {
    const std::string_view whole = text.substr(0, kMostBytes);
    std::memcpy(message.bytes.data(), whole.data(), whole.size());
    message.length = static_cast<std::uint32_t>(whole.size());
}

template <typename Message>
std::string text_of(const Message& message) {
    return {reinterpret_cast<const char*>(message.bytes.data()), message.length};
}

// --- in the daemon ---

/// Sends `request` with the socket on which its reply is to come.
Status send_request(int socket, Request& request, int reply_to) {
    iovec data{&request, sizeof request};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof reply_to)> control{};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* const rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof reply_to);
    std::memcpy(CMSG_DATA(rights), &reply_to, sizeof reply_to);
    ssize_t sent = 0;
    do {
        sent = ::sendmsg(socket, &message, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? Status(core::system_failure("the control process of ublk")) : Status();
}

Result<Reply> ask(int socket, Request& request) {
    std::array<int, 2> ends{-1, -1};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
        return core::system_failure("cannot make a socket");
    }
    const UniqueFd ours(ends[0]);
    {
        const UniqueFd theirs(ends[1]);
        CHECK(send_request(socket, request, theirs.get()));
    }
    Reply reply{};
    ssize_t got = 0;
    do {
        got = ::recv(ours.get(), &reply, sizeof reply, 0);
    } while (got < 0 && errno == EINTR);
    if (got != sizeof reply || reply.length > kMostBytes) {
        return failure(
            EPIPE,
            "the control process of ublk has ended, or has no room for more; if it says so "
            "again, restart lunkitd");
    }
    if (reply.error != 0) {
        return failure(reply.error, text_of(reply));
    }
    return reply;
}

Status ask_about(int socket, Kind kind, const std::string& node) {
    if (node.size() > kMostBytes) {
        return failure(ENAMETOOLONG, node + " is too long a name");
    }
    Request request{};
    request.kind = kind;
    put_text(request, node);
    CHECK(ask(socket, request));
    return {};
}

// --- in the process ---

Reply failed(const Error& error) {
    Reply reply{};
    reply.error = error.code;
    put_text(reply, error.what);
    return reply;
}

/// Whether the command is of use only to the daemon that asked for it; see the header.
bool needs_its_daemon(std::uint32_t op) {
    return op == abi::kAddDev || op == abi::kStartDev || op == abi::kEndUserRecovery;
}

Reply run_command(Request& request, pid_t daemon, const ControlProcess::Calls& calls) {
    if (needs_its_daemon(request.op) && !calls.is_alive(daemon)) {
        return failed({.code = ECANCELED, .what = "the daemon has ended"});
    }
    if (request.command.len != 0) {
        request.command.addr = reinterpret_cast<std::uintptr_t>(request.bytes.data());
    }
    const Result<int> answer =
        calls.command(request.op, std::as_bytes(std::span(&request.command, 1)));
    if (!answer) {
        return failed(answer.error());
    }
    Reply reply{};
    reply.answer = *answer;
    reply.length = request.length;
    reply.bytes = request.bytes;
    return reply;
}

Status look_at(const std::string& node, Kind kind, const ControlProcess::Calls& calls) {
    switch (kind) {
        case Kind::kCheckUnused:
            return calls.check_unused(node);
        case Kind::kWriteBack:
            return calls.write_back(node);
        case Kind::kLimitSilence:
            return calls.limit_silence(node);
        case Kind::kCommand:
            break;
    }
    return failure(EINVAL, "a request that the control process of ublk does not know");
}

Reply carry_out(Request& request, pid_t daemon, const ControlProcess::Calls& calls) {
    if (request.kind == Kind::kCommand) {
        return run_command(request, daemon, calls);
    }
    const Status status = look_at(text_of(request), request.kind, calls);
    return status ? Reply{} : failed(status.error());
}

/// What came with a message.
UniqueFd passed_socket(msghdr& message) {
    const cmsghdr* const rights = CMSG_FIRSTHDR(&message);
    int passed = -1;
    if (rights != nullptr && rights->cmsg_type == SCM_RIGHTS &&
        rights->cmsg_len == CMSG_LEN(sizeof passed)) {
        std::memcpy(&passed, CMSG_DATA(rights), sizeof passed);
    }
    return UniqueFd(passed);
}

/// The next request and where its reply goes; nothing when the daemon has ended. No socket when
/// that is no whole request: it goes with the message, and so its sender learns of it.
std::optional<UniqueFd> receive(int socket, Request& request) {
    constexpr std::chrono::milliseconds kPause{20};
    iovec data{&request, sizeof request};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t got = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    if (got == 0) {
        return std::nullopt;
    }
    if (got < 0) {
        if (errno == ENOMEM || errno == ENOBUFS) {
            std::this_thread::sleep_for(kPause);
        } else if (errno != EINTR) {
            return std::nullopt;
        }
        return UniqueFd();
    }
    UniqueFd reply_to = passed_socket(message);
    if (got != sizeof request || request.length > kMostBytes) {
        reply_to.reset();
    }
    return reply_to;
}

/// Holds nothing that the daemon has, and takes no signal that is meant for the daemon.
void become_another(int socket) {
    (void)::prctl(PR_SET_NAME, "lunkit-control");  // only a name
    for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
        (void)std::signal(number, SIG_IGN);
    }
    [[maybe_unused]] const int moved = ::chdir("/");  // it exists
    if (const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC); null >= 0) {
        for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
            (void)::dup2(null, standard);
        }
    }
    constexpr unsigned kFirst = STDERR_FILENO + 1;
    const auto kept = static_cast<unsigned>(socket);
    if (kept > kFirst) {
        (void)::close_range(kFirst, kept - 1, 0);
    }
    (void)::close_range(kept + 1, ~0U, 0);
}

void answer(const UniqueFd& reply_to, const Reply& reply) {
    // Where the daemon is no more, nobody wants to know.
    (void)::send(reply_to.get(), &reply, sizeof reply, MSG_NOSIGNAL);
}

struct Job {
    Request request;
    UniqueFd reply_to;
};

[[noreturn]] void run(const UniqueFd& socket, pid_t daemon, const ControlProcess::Calls& calls) {
    become_another(socket.get());
    for (;;) {
        const auto job = std::make_shared<Job>();
        std::optional<UniqueFd> reply_to = receive(socket.get(), job->request);
        if (!reply_to) {
            ::_exit(0);
        }
        if (!*reply_to) {
            continue;
        }
        job->reply_to = *std::move(reply_to);
        // A call may wait for another one.
        const Status started = calls.start_thread([job, daemon, &calls] {
            answer(job->reply_to, carry_out(job->request, daemon, calls));
        });
        if (!started) {
            answer(job->reply_to, failed(started.error()));
        }
    }
}

// As soon as the signal is sent, and not only when the last thread has gone: by then the kernel has
// taken back what the rings had. There is a moment between where a process looks alive.
bool is_process_alive(pid_t process) {
    std::ifstream file(fmt::format("/proc/{}/status", process));
    for (std::string line; std::getline(file, line);) {
        const std::string_view text(line);
        if (text.starts_with("State:") && text.find_first_of("ZX", 6) == 7) {
            return false;
        }
        if (text.starts_with("SigPnd:") || text.starts_with("ShdPnd:")) {
            constexpr int kHex = 16;
            constexpr unsigned long long kKill = 1ULL << (SIGKILL - 1U);
            if ((std::strtoull(line.c_str() + text.find(':') + 1, nullptr, kHex) & kKill) != 0) {
                return false;
            }
        }
    }
    return file.eof();
}

Status start_detached(std::function<void()> body) {
    try {
        std::thread(std::move(body)).detach();
    } catch (const std::system_error& error) {
        return failure(error.code().value(), "the control process of ublk cannot start a thread");
    }
    return {};
}

Result<int> command_of_kernel(std::uint32_t op, std::span<const std::byte> payload) {
    const UniqueFd node(::open(ControlDevice::kNode, O_RDWR | O_CLOEXEC));
    if (!node) {
        return core::system_failure(fmt::format("cannot open {}", ControlDevice::kNode));
    }
    return core::run_driver_command(node.get(), op, payload);
}

Status check_unused_node(const std::string& node) {
    const UniqueFd fd(::open(node.c_str(), O_RDONLY | O_EXCL | O_CLOEXEC));
    if (!fd && errno == EBUSY) {
        return failure(EBUSY,
                       fmt::format("{} is in use: it is mounted or part of another device", node));
    }
    return {};  // a node that cannot be opened is nobody's
}

Status write_back_node(const std::string& node) {
    const UniqueFd fd(::open(node.c_str(), O_RDONLY | O_CLOEXEC));
    if (fd && ::fsync(fd.get()) != 0) {
        return core::system_failure(fmt::format("what was written to {} cannot be stored", node));
    }
    return {};
}

// The driver looks whether a server has died when it takes back a tag that waits for requests.
// Where the server had all of them it only does so when a request times out, which is after 30 s
// unless it is told otherwise. Of a server that lives nothing is taken away then, however slow it
// is.
constexpr std::string_view kIoTimeoutMs = "1000";

Status limit_silence_of(const std::string& node) {
    const std::string path =
        fmt::format("/sys/block/{}/queue/io_timeout", node.substr(node.rfind('/') + 1));
    const UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    std::array<char, 16> text{};
    const ssize_t got = fd ? ::pread(fd.get(), text.data(), text.size(), 0) : -1;
    if (got < 0) {
        return core::system_failure(path);
    }
    const std::string_view present(text.data(), static_cast<std::size_t>(got));
    if (present.substr(0, present.find('\n')) != kIoTimeoutMs &&
        ::pwrite(fd.get(), kIoTimeoutMs.data(), kIoTimeoutMs.size(), 0) < 0) {
        return core::system_failure(path);
    }
    return {};
}

}  // namespace

ControlProcess::Calls ControlProcess::Calls::of_kernel() {
    return {.command = command_of_kernel,
            .check_unused = check_unused_node,
            .write_back = write_back_node,
            .limit_silence = limit_silence_of,
            .is_alive = is_process_alive,
            .start_thread = start_detached};
}

Result<ControlProcess> ControlProcess::start(const Calls& calls) {
    std::array<int, 2> ends{-1, -1};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
        return core::system_failure("cannot make a socket");
    }
    UniqueFd ours(ends[0]);
    const UniqueFd theirs(ends[1]);
    const pid_t daemon = ::getpid();
    const pid_t child = ::fork();
    if (child < 0) {
        return core::system_failure("cannot start the control process of ublk");
    }
    if (child == 0) {
        ours.reset();
        run(theirs, daemon, calls);
    }
    return ControlProcess(std::move(ours));
}

Result<int> ControlProcess::command(std::uint32_t op, std::span<const std::byte> payload) const {
    Request request{};
    request.op = op;
    if (payload.size() != sizeof request.command) {
        return failure(EINVAL, "a control command of another size");
    }
    std::memcpy(&request.command, payload.data(), payload.size());
    // NOLINTNEXTLINE(performance-no-int-to-ptr): the kernel's struct has it as a number
    auto* const buffer = reinterpret_cast<void*>(static_cast<std::uintptr_t>(request.command.addr));
    const std::size_t length = request.command.len;
    if (length > kMostBytes) {
        return failure(EINVAL, "a control command with too large a buffer");
    }
    if (length != 0 && buffer == nullptr) {
        return failure(EINVAL, "a control command without its buffer");
    }
    request.length = static_cast<decltype(request.length)>(length);
    if (length != 0) {
        std::memcpy(request.bytes.data(), buffer, length);
    }
    TRY(const Reply reply, ask(socket_.get(), request));
    if (length != 0) {
        std::memcpy(buffer, reply.bytes.data(), length);
    }
    return reply.answer;
}

Status ControlProcess::check_unused(const std::string& node) const {
    return ask_about(socket_.get(), Kind::kCheckUnused, node);
}

Status ControlProcess::write_back(const std::string& node) const {
    return ask_about(socket_.get(), Kind::kWriteBack, node);
}

Status ControlProcess::limit_silence(const std::string& node) const {
    return ask_about(socket_.get(), Kind::kLimitSilence, node);
}

}  // namespace lunkit::ublk

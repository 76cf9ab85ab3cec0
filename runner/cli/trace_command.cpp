// SPDX-License-Identifier: Apache-2.0
#include "cli/trace_command.hpp"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <limits>
#include <optional>
#include <span>
#include <sstream>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "cli/capture.hpp"
#include "cli/error_text.hpp"
#include "cli/json_values.hpp"
#include "cli/text_table.hpp"
#include "lunkit/try.hpp"
#include "scsi/command_text.hpp"

namespace lunkit::cli {
namespace {

using core::TraceRecord;
using nlohmann::json;

constexpr std::uint64_t kNanosecondsPerSecond = 1'000'000'000;

const char* operation_name(core::BlockOperation operation) {
    switch (operation) {
        case core::BlockOperation::kRead:
            return "READ";
        case core::BlockOperation::kWrite:
            return "WRITE";
        case core::BlockOperation::kFlush:
            return "FLUSH";
        case core::BlockOperation::kDiscard:
            return "DISCARD";
        case core::BlockOperation::kWriteZeroes:
            return "WRITE ZEROES";
        case core::BlockOperation::kOther:
            return "OTHER";
    }
    return "?";
}

std::span<const std::uint8_t> cdb_of(const TraceRecord& record) {
    return std::span(record.cdb).first(std::min<std::size_t>(record.cdb_length, record.cdb.size()));
}

void add_command_text(json& command, const TraceRecord& record, std::uint64_t block_size) {
    if (record.cdb_length == 0) {
        command["command"] = operation_name(record.operation);
        if (record.operation != core::BlockOperation::kFlush && block_size != 0) {
            command["lba"] = record.offset / block_size;
            command["blocks"] = record.bytes / block_size;
        }
        return;
    }
    const scsi::CommandText text = scsi::describe_command(cdb_of(record));
    command["command"] = text.name;
    command["cdb"] = fmt::format("{:02x}", fmt::join(cdb_of(record), ""));
    if (text.logical_block_address) {
        command["lba"] = *text.logical_block_address;
    }
    if (text.number_of_logical_blocks) {
        command["blocks"] = *text.number_of_logical_blocks;
    }
}

Result<unsigned> parse_operation_code(const std::string& word) {
    unsigned code = 0;
    const char* const end = word.data() + word.size();
    const bool is_hex = word.starts_with("0x") || word.starts_with("0X");
    const auto [rest, error] =
        is_hex ? std::from_chars(word.data() + 2, end, code, 16)
               : std::from_chars_result{word.data(), std::errc::invalid_argument};
    if (error != std::errc() || rest != end || code > 0xff) {
        return failure(EINVAL, fmt::format("'{}' is none of read, write, other, error, or an "
                                           "operation code such as 0x2a",
                                           word));
    }
    return code;
}

Status print(const std::string& text) {
    if (std::fputs(text.c_str(), stdout) < 0 || std::fflush(stdout) != 0) {
        return failure(errno, "cannot write the answer");
    }
    return {};
}

/// What --write names.
class CaptureFile {
  public:
    /// `path`: or "-" for stdout.
    static Result<CaptureFile> open(const std::string& path, Capture capture) {
        constexpr mode_t kForOwner = 0600;
        UniqueFd file;
        if (path != "-") {
            file.reset(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, kForOwner));
        } else if (::isatty(STDOUT_FILENO) != 0) {
            return failure(EINVAL, "a capture is nothing for a terminal; name a file, or a pipe");
        } else {
            file.reset(::dup(STDOUT_FILENO));
        }
        if (!file) {
            // No ENOENT, which would mean the device.
            return failure(EIO,
                           fmt::format("{}: {}", path, std::generic_category().message(errno)));
        }
        if (path != "-") {
            (void)::fchmod(file.get(), kForOwner);  // of one that was there; of others no matter
        }
        return CaptureFile(path, std::move(file), std::move(capture));
    }
    void add(const TraceRecord& record) { waiting_ += capture_.command(record); }
    void missing(std::uint64_t commands) { capture_.missing(commands); }
    void end() { waiting_ += capture_.end(); }
    Status write() {
        std::string_view rest = waiting_;
        while (!rest.empty()) {
            const ssize_t written = ::write(file_.get(), rest.data(), rest.size());
            if (written < 0 && errno != EINTR) {
                return failure(
                    errno, fmt::format("{}: {}", path_, std::generic_category().message(errno)));
            }
            rest.remove_prefix(static_cast<std::size_t>(std::max<ssize_t>(written, 0)));
        }
        waiting_.clear();
        return {};
    }

  private:
    CaptureFile(std::string path, UniqueFd file, Capture capture)
        : path_(std::move(path)),
          file_(std::move(file)),
          capture_(std::move(capture)),
          waiting_(capture_.begin()) {}

    std::string path_;
    UniqueFd file_;
    Capture capture_;
    std::string waiting_;
};

/// Shows what it is asked for: as text, or in a file.
struct Watcher {
    const Request& request;
    std::function<bool(const TraceRecord&)> filter;
    std::uint64_t block_size;
    std::optional<CaptureFile> file;
    unsigned shown = 0;

    [[nodiscard]] bool has_enough() const { return request.count != 0 && shown >= request.count; }

    Status show(const TraceRecord& record) {
        if (record.lost > 0) {  // stderr, also with --json: it is about the trace
            (void)std::fputs(
                fmt::format("lunkit: {} commands are missing here\n", record.lost).c_str(), stderr);
            if (file) {
                file->missing(record.lost);
            }
        }
        if (!record.is_command() || !filter(record)) {
            return {};
        }
        ++shown;
        if (file) {
            file->add(record);
            return {};
        }
        const json command = trace_json(record, block_size);
        return print((request.json_wanted ? command.dump() : trace_line(command)) + "\n");
    }
    Status write() { return file ? file->write() : Status(); }
    Status end() {
        if (!file) {
            return {};
        }
        file->end();
        return file->write();
    }
};

std::atomic<int> end_event{-1};

/// Of any thread, and D-Bus has one of its own: hence no signalfd.
void on_end_signal(int /*signal*/) {
    const int error = errno;
    const std::uint64_t one = 1;
    (void)!::write(end_event.load(std::memory_order_relaxed), &one, sizeof one);
    errno = error;
}

/// The records of a device. What ends the tool (SIGINT and the like) ends the trace first: the
/// daemon then says what was lost at its end.
class Stream {
  public:
    static Result<Stream> open(UniqueFd socket) {
        UniqueFd ends(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
        if (!ends) {
            return failure(errno, "no descriptor for signals");
        }
        end_event.store(ends.get(), std::memory_order_relaxed);
        struct sigaction action{};
        action.sa_handler = &on_end_signal;
        // The second one ends it where it writes to somebody who does not read.
        action.sa_flags = SA_RESTART | static_cast<int>(SA_RESETHAND);
        for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
            struct sigaction before{};
            (void)::sigaction(signal, nullptr, &before);  // fails for wrong arguments only
            if (before.sa_handler != SIG_IGN) {           // as nohup has it
                (void)::sigaction(signal, &action, nullptr);
            }
        }
        return Stream(std::move(socket), std::move(ends));
    }

    /// The next ones, at least one; none: somebody has ended the tool.
    Result<std::span<const TraceRecord>> next() {
        for (;;) {
            CHECK(wait());
            if (over_) {
                return std::span<const TraceRecord>();
            }
            const ssize_t got =
                ::recv(socket_.get(), records_.data(), sizeof records_, MSG_DONTWAIT);
            if (got < 0 && (errno == EINTR || errno == EAGAIN)) {
                continue;
            }
            if (got < 0) {
                return failure(errno, "the trace has broken off");
            }
            if (got == 0 && ending_) {
                return std::span<const TraceRecord>();
            }
            if (got == 0) {
                return failure(ECONNRESET, "the device has gone, or lunkitd has ended");
            }
            return std::span(records_).first(static_cast<std::size_t>(got) / sizeof(TraceRecord));
        }
    }

  private:
    static constexpr int kPatienceMs = 1000;  // of who wants the tool to end

    Stream(UniqueFd socket, UniqueFd ends) : socket_(std::move(socket)), ends_(std::move(ends)) {}

    /// For records, or the end.
    Status wait() {
        std::array<pollfd, 2> events{{{.fd = socket_.get(), .events = POLLIN, .revents = 0},
                                      {.fd = ends_.get(), .events = POLLIN, .revents = 0}}};
        const int ready = ::poll(events.data(), events.size(), ending_ ? kPatienceMs : -1);
        if (ready < 0 && errno != EINTR) {
            return failure(errno, "the trace has broken off");
        }
        over_ = ending_ && (ready == 0 || events[1].revents != 0);  // slow, or asked for again
        if (ready > 0 && events[1].revents != 0 && !ending_) {
            std::uint64_t signals = 0;
            (void)!::read(ends_.get(), &signals, sizeof signals);  // one says enough
            ending_ = true;
            (void)::shutdown(socket_.get(), SHUT_WR);  // the daemon may have gone
        }
        return {};
    }

    UniqueFd socket_;
    UniqueFd ends_;
    std::array<TraceRecord, 256> records_;
    bool ending_ = false;
    bool over_ = false;
};

/// Until the reader has enough, somebody ends the tool, or the device goes.
Status show_all(Stream& stream, Watcher& watcher) {
    while (!watcher.has_enough()) {
        TRY(const std::span<const TraceRecord> records, stream.next());
        if (records.empty()) {
            break;
        }
        for (const TraceRecord& record : records) {
            if (watcher.has_enough()) {
                break;
            }
            CHECK(watcher.show(record));
        }
        CHECK(watcher.write());
    }
    return {};
}

Result<Outcome> trace(const DaemonClient& daemon, const Request& request) {
    TRY(auto filter, trace_filter(request.only));
    TRY(const json device, one_device(daemon, request.device));
    const std::string front_end = text_of(device, "front_end");
    const std::string name = text_of(device, "name");
    const std::uint64_t block_size = number_of(device, "block_size");
    TRY(UniqueFd socket, daemon.trace(front_end, name));
    std::optional<CaptureFile> file;
    if (!request.write.empty()) {
        const Capture capture({.name = name, .front_end = front_end, .block_size = block_size});
        TRY(file, CaptureFile::open(request.write, capture));
        if (!capture.has_cdbs()) {
            (void)std::fputs(
                "lunkit: this is no SCSI device: its requests are written as the SCSI "
                "commands that ask for the same\n",
                stderr);
        }
    }
    TRY(Stream stream, Stream::open(std::move(socket)));
    Watcher watcher{request, std::move(filter), block_size, std::move(file)};
    CHECK(watcher.write());  // a reader at the other end of a pipe sees at once what it is
    const Status shown = show_all(stream, watcher);
    CHECK(watcher.end());
    CHECK(shown);
    return Outcome();
}

}  // namespace

json trace_json(const TraceRecord& record, std::uint64_t block_size) {
    json command = {{"time", fmt::format("{}.{:09}", record.ended_at / kNanosecondsPerSecond,
                                         record.ended_at % kNanosecondsPerSecond)},
                    {"tag", record.tag},
                    {"bytes", record.bytes},
                    {"took_ns", record.took}};
    add_command_text(command, record, block_size);
    const auto error = core::ErrorKind::of_packed(record.error);
    command["result"] = error.is_success() ? "GOOD" : error.text();
    return command;
}

std::string trace_line(const json& command) {
    const std::string time = text_of(command, "time");
    const std::size_t point = time.find('.');
    std::time_t seconds = 0;
    (void)std::from_chars(time.data(), time.data() + point, seconds);  // it is ours
    const auto number = [&command](const char* key) {
        return command.contains(key) ? fmt::format("{}", number_of(command, key)) : "-";
    };
    return fmt::format(
        "{:%H:%M:%S}{} {:<22} lba {:>10} blocks {:>6} {:>9}  {}", fmt::localtime(seconds),
        time.substr(point, 7), text_of(command, "command"), number("lba"), number("blocks"),
        duration_text(number_of(command, "took_ns")), error_text(text_of(command, "result")));
}

Result<std::function<bool(const TraceRecord&)>> trace_filter(const std::string& words) {
    if (words.empty()) {
        return [](const TraceRecord&) { return true; };
    }
    std::array<bool, core::kCommandClasses> classes{};
    bool errors = false;
    std::vector<unsigned> codes;
    std::istringstream in(words);
    for (std::string word; std::getline(in, word, ',');) {
        if (word == "read" || word == "write" || word == "other") {
            using enum core::CommandClass;
            const auto wanted = word == "read" ? kRead : word == "write" ? kWrite : kOther;
            classes[static_cast<std::size_t>(wanted)] = true;
        } else if (word == "error") {
            errors = true;
        } else {
            TRY(const unsigned code, parse_operation_code(word));
            codes.push_back(code);
        }
    }
    return [=](const TraceRecord& record) {
        const auto kind = static_cast<std::size_t>(record.kind);
        return (kind < classes.size() && classes[kind]) || (errors && record.error != 0) ||
               (record.cdb_length != 0 && std::ranges::find(codes, record.cdb[0]) != codes.end());
    };
}

Choice add_trace_command(CLI::App& app, Request& request) {
    CLI::App* const command =
        app.add_subcommand("trace", "Show the commands of a device as they end");
    CLI::Option* const json_flag =
        command->add_flag("--json", request.json_wanted, "Print JSON, an object in each line");
    command->add_option("--count", request.count, "Commands until the end; default: for ever")
        ->transform(number(1, std::numeric_limits<unsigned>::max()));
    command
        ->add_option("--only", request.only,
                     "read, write, other, error or operation codes (0x2a), with commas between")
        ->check([](const std::string& words) {
            const auto filter = trace_filter(words);
            return filter ? std::string() : filter.error().what;
        });
    command
        ->add_option("--write", request.write,
                     "Print nothing: write a file (- for stdout) that Wireshark reads, pcapng")
        ->excludes(json_flag);
    command->add_option("DEV", request.device, "Name, as list shows it, or its last part")
        ->required();
    return {command, &trace};
}

}  // namespace lunkit::cli

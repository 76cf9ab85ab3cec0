// SPDX-License-Identifier: Apache-2.0
#include "cli/trace_command.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <ctime>
#include <limits>
#include <sstream>
#include <vector>

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

struct Printer {
    const Request& request;
    std::function<bool(const TraceRecord&)> filter;
    std::uint64_t block_size;
    unsigned shown = 0;

    [[nodiscard]] bool has_enough() const { return request.count != 0 && shown >= request.count; }

    Status show(const TraceRecord& record) {
        if (record.lost > 0) {  // stderr, also with --json: it is about the trace
            (void)std::fputs(
                fmt::format("lunkit: {} commands are missing here\n", record.lost).c_str(), stderr);
        }
        if (!record.is_command() || !filter(record)) {
            return {};
        }
        ++shown;
        const json command = trace_json(record, block_size);
        return print((request.json_wanted ? command.dump() : trace_line(command)) + "\n");
    }
};

/// Until the reader has enough or the device goes; a signal ends the program.
Status print_all(int stream, Printer& printer) {
    std::array<TraceRecord, 256> records;
    while (!printer.has_enough()) {
        const ssize_t got = ::recv(stream, records.data(), sizeof records, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return failure(errno, "the trace has broken off");
        }
        if (got == 0) {
            return failure(ECONNRESET, "the device has gone, or lunkitd has ended");
        }
        const std::size_t count = static_cast<std::size_t>(got) / sizeof(TraceRecord);
        for (std::size_t i = 0; i < count && !printer.has_enough(); ++i) {
            CHECK(printer.show(records[i]));
        }
    }
    return {};
}

Result<Outcome> trace(const DaemonClient& daemon, const Request& request) {
    TRY(auto filter, trace_filter(request.only));
    TRY(const json device, one_device(daemon, request.device));
    TRY(const UniqueFd stream, daemon.trace(text_of(device, "front_end"), text_of(device, "name")));
    Printer printer{request, std::move(filter), number_of(device, "block_size")};
    CHECK(print_all(stream.get(), printer));
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
    command->add_option("DEV", request.device, "Name, as list shows it, or its last part")
        ->required();
    return {command, &trace};
}

}  // namespace lunkit::cli

// SPDX-License-Identifier: Apache-2.0
#include "cli/openmetrics.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <string_view>
#include <vector>

#include "cli/json_values.hpp"
#include "core/latency.hpp"

namespace lunkit::cli {
namespace {

using nlohmann::json;

/// Of which devices a family tells.
enum class Of : std::uint8_t { kAll, kDisks, kDirtyLogs };

struct Sample {
    const char* key;        ///< of the daemon's answer
    const char* operation;  ///< a label, or nullptr
};

struct Family {
    const char* name;
    const char* type;
    const char* unit;  ///< nullptr: a count; else the name ends with it
    const char* help;
    Of of;
    std::vector<Sample> samples;
};

const std::vector<Family>& families() {
    static const std::vector<Family> all = {
        {"lunkit_size_bytes", "gauge", "bytes", "Capacity.", Of::kAll, {{"size", nullptr}}},
        {"lunkit_commands",
         "counter",
         nullptr,
         "Commands that have ended, or requests.",
         Of::kAll,
         {{"read_commands", "read"}, {"write_commands", "write"}, {"other_commands", "other"}}},
        {"lunkit_transferred_bytes",
         "counter",
         "bytes",
         "Data that commands have read and written.",
         Of::kDisks,
         {{"read_bytes", "read"}, {"write_bytes", "write"}}},
        {"lunkit_errors",
         "counter",
         nullptr,
         "Commands that ended in anything but success.",
         Of::kAll,
         {{"errors", nullptr}}},
        {"lunkit_kicks",
         "counter",
         nullptr,
         "Notifications of the kernel.",
         Of::kDisks,
         {{"kicks", nullptr}}},
        {"lunkit_in_flight_commands",
         "gauge",
         nullptr,
         "Commands under way.",
         Of::kDisks,
         {{"in_flight", nullptr}}},
        {"lunkit_regions",
         "gauge",
         nullptr,
         "Regions of a mirror.",
         Of::kDirtyLogs,
         {{"regions", nullptr}}},
        {"lunkit_regions_in_sync",
         "gauge",
         nullptr,
         "Regions whose legs are equal but for writes under way.",
         Of::kDirtyLogs,
         {{"regions_in_sync", nullptr}}},
        {"lunkit_regions_dirty",
         "gauge",
         nullptr,
         "Regions whose legs may differ after a crash.",
         Of::kDirtyLogs,
         {{"regions_dirty", nullptr}}},
    };
    return all;
}

std::string escaped(std::string_view value) {
    std::string out;
    for (const char c : value) {
        switch (c) {
            case '\\':
                out += "\\\\";
                break;
            case '"':
                out += "\\\"";
                break;
            case '\n':
                out += "\\n";
                break;
            default:
                out += c;
        }
    }
    return out;
}

std::string labels_of(const json& device) {
    return fmt::format(R"(front_end="{}",device="{}")", escaped(text_of(device, "front_end")),
                       escaped(text_of(device, "name")));
}

bool tells_of(Of of, const json& device) {
    const bool is_log = text_of(device, "front_end") == "dm-log";
    return of == Of::kAll || is_log == (of == Of::kDirtyLogs);
}

void describe(std::string& out, std::string_view name, std::string_view type, const char* unit,
              std::string_view help) {
    const auto to = std::back_inserter(out);
    fmt::format_to(to, "# TYPE {} {}\n", name, type);
    if (unit != nullptr) {
        fmt::format_to(to, "# UNIT {} {}\n", name, unit);
    }
    fmt::format_to(to, "# HELP {} {}\n", name, help);
}

void put_states(std::string& out, const json& devices) {
    constexpr const char* kName = "lunkit_state";
    constexpr std::array kStates = {"opening", "running", "draining", "failed"};
    describe(out, kName, "gauge", nullptr, "1 for what the device is doing.");
    for (const json& device : devices) {
        for (const char* const state : kStates) {
            fmt::format_to(std::back_inserter(out), "{}{{{},state=\"{}\"}} {:d}\n", kName,
                           labels_of(device), state, text_of(device, "state") == state);
        }
    }
}

void put(std::string& out, const Family& family, const json& devices) {
    describe(out, family.name, family.type, family.unit, family.help);
    const std::string_view suffix = family.type == std::string_view("counter") ? "_total" : "";
    for (const json& device : devices) {
        if (!tells_of(family.of, device)) {
            continue;
        }
        for (const Sample& sample : family.samples) {
            const std::string operation = sample.operation != nullptr
                                              ? fmt::format(R"(,operation="{}")", sample.operation)
                                              : std::string();
            fmt::format_to(std::back_inserter(out), "{}{}{{{}{}}} {}\n", family.name, suffix,
                           labels_of(device), operation, number_of(device, sample.key));
        }
    }
}

/// Seconds: 2^power nanoseconds.
std::string bound_text(unsigned power) {
    return fmt::format("{:.9g}", std::ldexp(1e-9, static_cast<int>(power)));
}

void put_latencies(std::string& out, const json& devices) {
    constexpr const char* kName = "lunkit_command_latency_seconds";
    describe(out, kName, "histogram", "seconds",
             "Time from when a command is fetched until it is answered.");
    const auto to = std::back_inserter(out);
    for (const json& device : devices) {
        if (!tells_of(Of::kDisks, device)) {
            continue;
        }
        for (const char* const operation : {"read", "write", "other"}) {
            const json latency = latency_of(device, operation);
            if (latency.empty()) {
                continue;
            }
            const std::string labels =
                fmt::format(R"({},operation="{}")", labels_of(device), operation);
            unsigned power = core::LatencySummary::kFirstBound;
            for (const json& within : latency.value("within", json::array())) {
                fmt::format_to(to, "{}_bucket{{{},le=\"{}\"}} {}\n", kName, labels,
                               bound_text(power++), within.dump());
            }
            const std::uint64_t count = number_of(latency, "count");
            fmt::format_to(to, "{}_bucket{{{},le=\"+Inf\"}} {}\n", kName, labels, count);
            fmt::format_to(to, "{}_count{{{}}} {}\n", kName, labels, count);
            fmt::format_to(to, "{}_sum{{{}}} {:.9f}\n", kName, labels,
                           static_cast<double>(number_of(latency, "sum_ns")) * 1e-9);
        }
    }
}

void put_error_counts(std::string& out, const json& devices) {
    constexpr const char* kName = "lunkit_errors_by_kind";
    describe(out, kName, "counter", nullptr,
             "Errors by what the command ended in: sense data, a SCSI status, or an error number.");
    for (const json& device : devices) {
        for (const auto& [kind, count] : counts_of(device, "error_counts")) {
            fmt::format_to(std::back_inserter(out), "{}_total{{{},kind=\"{}\"}} {}\n", kName,
                           labels_of(device), escaped(kind), count);
        }
    }
}

}  // namespace

std::string openmetrics(const json& all) {
    json devices = json::array();  // those that are being made have no name yet
    std::ranges::copy_if(all, std::back_inserter(devices),
                         [](const json& device) { return !text_of(device, "name").empty(); });
    std::string out;
    put_states(out, devices);
    for (const Family& family : families()) {
        put(out, family, devices);
    }
    put_error_counts(out, devices);
    put_latencies(out, devices);
    return out + "# EOF\n";
}

}  // namespace lunkit::cli

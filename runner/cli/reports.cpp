// SPDX-License-Identifier: Apache-2.0
#include "cli/reports.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <iterator>
#include <string_view>
#include <variant>

#include "cli/error_text.hpp"
#include "cli/json_values.hpp"
#include "cli/text_table.hpp"

namespace lunkit::cli {
namespace {

using nlohmann::json;
using enum TextTable::Align;

std::string count_text(const json& device, const char* key) {
    return fmt::to_string(number_of(device, key));
}
std::string bytes_text(const json& device, const char* key) {
    return size_text(number_of(device, key));
}

std::string access_text(const json& device) {
    std::string text = flag_of(device, "read_only") ? "ro" : "rw";
    if (flag_of(device, "write_cache")) {
        text += ",cache";
    }
    return text;
}

constexpr std::array kCounters = {"read_commands",  "read_bytes", "write_commands", "write_bytes",
                                  "other_commands", "errors",     "in_flight",      "kicks"};

/// "3 (BUSY 1, 03/11/00 medium error 2)".
std::string errors_text(const json& device) {
    std::string kinds;
    for (const auto& [error, count] : counts_of(device, "error_counts")) {
        kinds += fmt::format("{}{} {}", kinds.empty() ? "" : ", ", error_text(error), count);
    }
    return count_text(device, "errors") + (kinds.empty() ? "" : fmt::format(" ({})", kinds));
}

constexpr std::array kClasses = {"read", "write", "other"};

/// Percentiles of what has run; nothing where nothing has.
std::string latencies_report(const json& devices) {
    TextTable table({{"NAME"},
                     {"COMMANDS"},
                     {"COUNT", kRight},
                     {"P50", kRight},
                     {"P90", kRight},
                     {"P99", kRight},
                     {"P99.9", kRight},
                     {"MAX", kRight}});
    bool is_empty = true;
    for (const json& device : devices) {
        for (const char* const kind : kClasses) {
            const json& latency = latency_of(device, kind);
            if (number_of(latency, "count") == 0) {
                continue;
            }
            const auto time = [&latency](const char* key) {
                return duration_text(number_of(latency, key));
            };
            table.add({text_of(device, "name"), kind, count_text(latency, "count"), time("p50_ns"),
                       time("p90_ns"), time("p99_ns"), time("p999_ns"), time("max_ns")});
            is_empty = false;
        }
    }
    return is_empty ? "" : "\n" + table.text();
}

/// What commands ended in; nothing where all went well.
std::string errors_report(const json& devices) {
    TextTable table({{"NAME"}, {"ERROR"}, {"COUNT", kRight}});
    bool is_empty = true;
    for (const json& device : devices) {
        for (const auto& [error, count] : counts_of(device, "error_counts")) {
            table.add({text_of(device, "name"), error_text(error), fmt::to_string(count)});
            is_empty = false;
        }
    }
    return is_empty ? "" : "\n" + table.text();
}

struct FactText {
    std::string operator()(const std::string& text) const { return printable(text); }
    std::string operator()(std::uint64_t number) const { return fmt::to_string(number); }
    std::string operator()(bool flag) const { return flag ? "yes" : "no"; }
    std::string operator()(const std::vector<std::string>& items) const {
        std::string text;
        for (const std::string& item : items) {
            text += fmt::format("{}{}", text.empty() ? "" : ", ", printable(item));
        }
        return text;
    }
};

}  // namespace

std::string devices_report(const json& devices) {
    if (devices.empty()) {
        return "no devices\n";
    }
    TextTable table({{"NAME"},
                     {"STATE"},
                     {"SIZE", kRight},
                     {"BLOCK", kRight},
                     {"ACCESS"},
                     {"NODE"},
                     {"CONFIG"}});
    for (const json& device : devices) {
        table.add({text_of(device, "name"), text_of(device, "state"), bytes_text(device, "size"),
                   count_text(device, "block_size"), access_text(device), text_of(device, "node"),
                   text_of(device, "config")});
    }
    return table.text();
}

std::string dirty_logs_report(const json& logs) {
    if (logs.empty()) {
        return "no dirty logs\n";
    }
    TextTable table({{"UUID"},
                     {"STATE"},
                     {"SIZE", kRight},
                     {"REGION", kRight},
                     {"REGIONS", kRight},
                     {"IN SYNC", kRight},
                     {"DIRTY", kRight},
                     {"LOG"}});
    for (const json& log : logs) {
        table.add({text_of(log, "name"), text_of(log, "state"), bytes_text(log, "size"),
                   bytes_text(log, "region_size"), count_text(log, "regions"),
                   count_text(log, "regions_in_sync"), count_text(log, "regions_dirty"),
                   text_of(log, "config")});
    }
    return table.text();
}

std::string regions_report(const json& runs) {
    TextTable table({{"FIRST", kRight}, {"LAST", kRight}, {"COUNT", kRight}, {"STATE"}});
    for (const json& run : runs) {
        const std::uint64_t last = number_of(run, "first") + number_of(run, "count") - 1;
        const char* const state = !flag_of(run, "in_sync") ? "not in sync"
                                  : flag_of(run, "clean")  ? "clean"
                                                           : "dirty";
        table.add(
            {count_text(run, "first"), fmt::to_string(last), count_text(run, "count"), state});
    }
    return table.text();
}

std::string device_report(const json& device) {
    std::string out;
    const auto line = [&out](std::string_view title, std::string_view value) {
        if (!value.empty()) {
            fmt::format_to(std::back_inserter(out), "{:<15} {}\n", fmt::format("{}:", title),
                           printable(value));
        }
    };
    const std::uint64_t size = number_of(device, "size");
    line("name", text_of(device, "name"));
    line("front end", text_of(device, "front_end"));
    line("state", text_of(device, "state"));
    line("error", text_of(device, "error"));
    line("config", text_of(device, "config"));
    line("node", text_of(device, "node"));
    line("size", fmt::format("{} ({} bytes)", size_text(size), size));
    if (const std::uint64_t regions = number_of(device, "regions"); regions != 0) {
        line("regions",
             fmt::format("{} of {}, {} in sync, {} dirty", regions,
                         bytes_text(device, "region_size"), count_text(device, "regions_in_sync"),
                         count_text(device, "regions_dirty")));
        line("requests", count_text(device, "other_commands"));
        line("errors", count_text(device, "errors"));
        return out;
    }
    line("block size", count_text(device, "block_size"));
    line("access", flag_of(device, "read_only") ? "read only" : "read and write");
    line("write cache", flag_of(device, "write_cache") ? "on" : "off");
    line("reads", fmt::format("{} ({})", count_text(device, "read_commands"),
                              bytes_text(device, "read_bytes")));
    line("writes", fmt::format("{} ({})", count_text(device, "write_commands"),
                               bytes_text(device, "write_bytes")));
    line("other commands", count_text(device, "other_commands"));
    line("errors", errors_text(device));
    line("in flight", count_text(device, "in_flight"));
    line("kicks", count_text(device, "kicks"));
    return out;
}

std::string handlers_report(const json& handlers) {
    if (handlers.empty()) {
        return "no handlers\n";
    }
    TextTable table({{"NAME"}, {"ABI", kRight}, {"DESCRIPTION"}, {"CONFIGURATION"}, {"FILE"}});
    for (const json& handler : handlers) {
        table.add({text_of(handler, "name"), count_text(handler, "abi_version"),
                   text_of(handler, "description"),
                   text_of(handler, "name") + "/" + text_of(handler, "config_help"),
                   text_of(handler, "path")});
    }
    return table.text();
}

std::string stats_report(const json& devices) {
    if (devices.empty()) {
        return "no devices\n";
    }
    TextTable table({{"NAME"},
                     {"READS", kRight},
                     {"READ", kRight},
                     {"WRITES", kRight},
                     {"WRITTEN", kRight},
                     {"OTHER", kRight},
                     {"ERRORS", kRight},
                     {"IN FLIGHT", kRight},
                     {"KICKS", kRight}});
    for (const json& device : devices) {
        table.add({text_of(device, "name"), count_text(device, "read_commands"),
                   bytes_text(device, "read_bytes"), count_text(device, "write_commands"),
                   bytes_text(device, "write_bytes"), count_text(device, "other_commands"),
                   count_text(device, "errors"), count_text(device, "in_flight"),
                   count_text(device, "kicks")});
    }
    return table.text() + latencies_report(devices) + errors_report(devices);
}

std::string facts_report(const Facts& facts) {
    std::size_t widest = 0;
    for (const Fact& fact : facts) {
        widest = std::max(widest, fact.key.size());
    }
    std::string out;
    for (const Fact& fact : facts) {
        std::string title = fact.key + ":";
        std::ranges::replace(title, '_', ' ');
        fmt::format_to(std::back_inserter(out), "{:<{}} {}\n", title, widest + 1,
                       std::visit(FactText{}, fact.value));
    }
    return out;
}

json facts_json(const Facts& facts) {
    json object = json::object();
    for (const Fact& fact : facts) {
        object[fact.key] = std::visit([](const auto& value) { return json(value); }, fact.value);
    }
    return object;
}

json counters_of(const json& device) {
    json counters = {{"front_end", text_of(device, "front_end")},
                     {"name", text_of(device, "name")}};
    for (const char* const key : kCounters) {
        counters[key] = number_of(device, key);
    }
    for (const char* const kind : kClasses) {
        counters[fmt::format("{}_latency", kind)] = latency_of(device, kind);
    }
    counters["error_counts"] = counts_of(device, "error_counts");
    return counters;
}

std::vector<json> find_devices(const json& devices, const std::string& name) {
    std::vector<json> exact;
    std::vector<json> by_last_part;
    for (const json& device : devices) {
        const std::string full = text_of(device, "name");
        if (full == name) {
            exact.push_back(device);
        } else if (full.ends_with("/" + name)) {
            by_last_part.push_back(device);
        }
    }
    return exact.empty() ? by_last_part : exact;
}

}  // namespace lunkit::cli

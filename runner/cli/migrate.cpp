// SPDX-License-Identifier: Apache-2.0
#include "cli/migrate.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string_view>
#include <system_error>

#include "cli/json_values.hpp"
#include "core/trimmed.hpp"

namespace lunkit::cli {
namespace {

using nlohmann::json;
using Findings = std::vector<Finding>;
using Kind = Finding::Kind;

/// tcmu.conf's log_level as lunkitd.conf has it; nullptr: none of its levels.
const char* level_of(std::string_view value) {
    static const std::map<std::string_view, const char*> levels = {
        {"0", "error"}, {"1", "error"}, {"2", "warning"},
        {"3", "info"},  {"4", "debug"}, {"5", "debug"}};
    const auto found = levels.find(value);
    return found != levels.end() ? found->second : nullptr;
}

Finding about_key(const std::string& path, std::string_view key, std::string_view value) {
    if (key == "log_level") {
        const char* const level = level_of(value);
        if (level == nullptr) {
            return {Kind::kNote, fmt::format("{}: log_level '{}' is no level", path, value)};
        }
        if (level == std::string_view("info")) {
            return {Kind::kFine, fmt::format("{}: log_level {} is lunkitd's default", path, value)};
        }
        return {Kind::kNote, fmt::format("{}: log_level {}", path, value),
                fmt::format("in lunkitd.conf, group [daemon]: log_level={}", level)};
    }
    if (key == "log_dir" || key == "log_dir_path") {
        return {Kind::kNote, fmt::format("{}: log files are kept in {}", path, value),
                "lunkitd logs to the journal: journalctl -u lunkitd"};
    }
    return {Kind::kNote, fmt::format("{}: '{}' has no counterpart", path, key)};
}

void compare_settings(const std::string& path, Findings& findings) {
    std::ifstream file(path);
    if (!file) {
        if (errno != ENOENT) {
            findings.push_back({Kind::kTrouble,
                                fmt::format("{}: {}", path, std::generic_category().message(errno)),
                                "run this as root"});
            return;
        }
        findings.push_back({Kind::kFine, fmt::format("no {}: there were no settings", path)});
        return;
    }
    bool has_settings = false;
    for (std::string line; std::getline(file, line);) {
        const std::string_view text =
            core::trimmed(std::string_view(line).substr(0, line.find('#')));
        if (text.empty()) {
            continue;
        }
        has_settings = true;
        const std::size_t split = text.find('=');
        if (split == std::string_view::npos) {
            findings.push_back({Kind::kNote, fmt::format("{}: '{}' is no setting", path, text)});
            continue;
        }
        findings.push_back(about_key(path, core::trimmed(text.substr(0, split)),
                                     core::trimmed(text.substr(split + 1), " \t\r\"'")));
    }
    if (!has_settings) {
        findings.push_back({Kind::kFine, fmt::format("{} changes nothing", path)});
    }
}

Finding about_device(const Predecessor& predecessor, const json& object) {
    const std::string config = text_of(object, "config");
    const std::string who = fmt::format("user:{} ({})", text_of(object, "name"), config);
    if (!predecessor.has_handler(config)) {
        const std::string handler = config.substr(0, config.find('/'));
        return {Kind::kTrouble, fmt::format("{}: there is no handler '{}' here", who, handler),
                handler == "qcow" ? "install lunkit-handlers-qcow"
                                  : "serve it by tcmu-runner on another machine, or copy its data "
                                    "to a file or a block device"};
    }
    const Status status = predecessor.check(config);
    if (!status && status.error().code == EBUSY) {
        return {Kind::kFine,
                fmt::format("{} is in use, and restored unchanged when it is not", who)};
    }
    if (!status) {
        return {Kind::kTrouble, fmt::format("{}: {}", who, status.error().what),
                "it cannot be restored as it is"};
    }
    return {Kind::kFine, fmt::format("{} is restored unchanged", who)};
}

void compare_devices(const Predecessor& predecessor, Findings& findings) {
    std::ifstream file;
    std::string path;
    for (const std::string& candidate : predecessor.saveconfigs) {
        path = candidate;
        file.open(candidate);
        if (file || errno != ENOENT) {
            break;
        }
        file.clear();
    }
    if (!file.is_open()) {
        const int error = errno;
        const bool is_absent = error == ENOENT;
        findings.push_back(
            {is_absent ? Kind::kFine : Kind::kTrouble,
             is_absent ? "no targets are saved"
                       : fmt::format("{}: {}", path, std::generic_category().message(error)),
             is_absent ? "" : "run this as root"});
        return;
    }
    const json saved = json::parse(file, nullptr, false);
    const auto objects = saved.is_object() ? saved.find("storage_objects") : saved.end();
    if (!saved.is_object() || objects == saved.end() || !objects->is_array()) {
        findings.push_back({Kind::kTrouble, path + " is not what targetcli has saved",
                            "targetcli saveconfig, or take it from its backup folder"});
        return;
    }
    std::size_t count = 0;
    for (const json& object : *objects) {
        if (object.is_object() && text_of(object, "plugin") == "user") {
            ++count;
            findings.push_back(about_device(predecessor, object));
        }
    }
    findings.push_back({Kind::kFine, fmt::format("{}: {} of {} storage objects are in user space",
                                                 path, count, objects->size())});
}

}  // namespace

Findings compare(const Predecessor& predecessor) {
    Findings findings;
    compare_settings(predecessor.tcmu_conf, findings);
    compare_devices(predecessor, findings);
    return findings;
}

}  // namespace lunkit::cli

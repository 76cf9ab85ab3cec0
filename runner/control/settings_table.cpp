// SPDX-License-Identifier: Apache-2.0
#include "control/settings_table.hpp"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "control/value_text.hpp"
#include "core/trimmed.hpp"
#include "lunkit/try.hpp"

namespace lunkit::control {
namespace {

using core::Settings;

// Values that are words.

constexpr std::array kLogLevels = {
    Word<core::LogLevel>{"error", core::LogLevel::kError},
    Word<core::LogLevel>{"warning", core::LogLevel::kWarning},
    Word<core::LogLevel>{"notice", core::LogLevel::kNotice},
    Word<core::LogLevel>{"info", core::LogLevel::kInfo},
    Word<core::LogLevel>{"debug", core::LogLevel::kDebug},
};
constexpr std::array kEngines = {
    Word<core::EngineChoice>{"auto", core::EngineChoice::kAuto},
    Word<core::EngineChoice>{"uring", core::EngineChoice::kUring},
    Word<core::EngineChoice>{"threads", core::EngineChoice::kThreads},
};
constexpr std::array kForeignSubtypes = {
    Word<core::ForeignSubtype>{"ignore", core::ForeignSubtype::kIgnore},
    Word<core::ForeignSubtype>{"late", core::ForeignSubtype::kLate},
};

template <std::uint64_t kLeast, std::uint64_t kMost>
struct Number {
    template <typename Rep, typename Period>
    static Status parse(std::string_view text, std::chrono::duration<Rep, Period>& value) {
        std::uint64_t number = 0;
        CHECK(parse_number(text, kLeast, kMost, number));
        value = std::chrono::duration<Rep, Period>(static_cast<Rep>(number));
        return {};
    }
    static Status parse(std::string_view text, unsigned& value) {
        return parse_number(text, kLeast, kMost, value);
    }
    template <typename Rep, typename Period>
    static std::string print(std::chrono::duration<Rep, Period> value) {
        return fmt::to_string(value.count());
    }
    static std::string print(unsigned value) { return fmt::to_string(value); }
};

template <const auto& kWords>
struct Choice {
    template <typename T>
    static Status parse(std::string_view text, T& value) {
        return parse_word(kWords, text, value);
    }
    template <typename T>
    static std::string print(T value) {
        return print_word(kWords, value);
    }
};

// Values that are paths.

Status check_directory_path(std::string_view path) {
    if (!path.starts_with('/')) {
        return failure(EINVAL, fmt::format("'{}' is not an absolute path", path));
    }
    if (path.find("/../") != std::string_view::npos || path.ends_with("/..")) {
        return failure(EINVAL, fmt::format("'{}' contains '..'", path));
    }
    return {};
}

template <bool kMayBeEmpty>
struct Directory {
    static Status parse(std::string_view text, std::string& value) {
        if (!(kMayBeEmpty && text.empty())) {
            CHECK(check_directory_path(text));
        }
        value = std::string(text);
        return {};
    }
    static std::string print(const std::string& value) { return value; }
};

struct Directories {
    static Status parse(std::string_view text, std::vector<std::string>& value) {
        std::vector<std::string> parsed;
        while (!text.empty()) {
            const std::size_t end = text.find(';');
            const std::string_view path = text.substr(0, end);
            CHECK(check_directory_path(path));
            parsed.emplace_back(path);
            text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        }
        value = std::move(parsed);
        return {};
    }
    static std::string print(const std::vector<std::string>& value) {
        return fmt::format("{}", fmt::join(value, ";"));
    }
};

// Values that are pairs of names.

Status check_backstore_name(std::string_view name) {
    const std::size_t slash = name.find('/');
    const bool is_one = slash != std::string_view::npos && slash > 0 && slash + 1 < name.size() &&
                        name.find_first_of("/> \t", slash + 1) == std::string_view::npos;
    return is_one ? Status()
                  : failure(EINVAL, fmt::format("'{}' is no <handler>/<backstore>", name));
}

struct CopyPairs {
    static Status parse(std::string_view text, std::vector<core::CopyPair>& value) {
        std::vector<core::CopyPair> parsed;
        while (!text.empty()) {
            const std::size_t end = text.find(';');
            const std::string_view pair = text.substr(0, end);
            const std::size_t arrow = pair.find('>');
            if (arrow == std::string_view::npos) {
                return failure(EINVAL, fmt::format("'{}' is no <source>><destination>", pair));
            }
            const std::string_view source = core::trimmed(pair.substr(0, arrow));
            const std::string_view destination = core::trimmed(pair.substr(arrow + 1));
            CHECK(check_backstore_name(source));
            CHECK(check_backstore_name(destination));
            parsed.push_back({std::string(source), std::string(destination)});
            text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        }
        value = std::move(parsed);
        return {};
    }
    static std::string print(const std::vector<core::CopyPair>& value) {
        std::string text;
        for (const core::CopyPair& pair : value) {
            text += fmt::format("{}{}>{}", text.empty() ? "" : ";", pair.source, pair.destination);
        }
        return text;
    }
};

template <auto kMember, typename Kind>
constexpr SettingKey row(std::string_view group, std::string_view key, std::string_view values,
                         bool live, std::string_view help) {
    return SettingKey{
        group,
        key,
        values,
        help,
        live,
        [](Settings& settings, std::string_view text) {
            return Kind::parse(text, settings.*kMember);
        },
        [](const Settings& settings) { return Kind::print(settings.*kMember); },
        [](Settings& to, const Settings& from) { to.*kMember = from.*kMember; },
    };
}

constexpr bool kLive = true;
constexpr bool kRestart = false;
constexpr std::uint64_t kHourMs = 3'600'000;

constexpr std::array kTable = {
    row<&Settings::log_level, Choice<kLogLevels>>("daemon", "log_level",
                                                  "error|warning|notice|info|debug", kLive,
                                                  "The least important messages that are logged."),
    row<&Settings::handler_dir, Directory<true>>(
        "daemon", "handler_dir", "DIRECTORY", kRestart,
        "Where the handler_<name>.so are. Empty: where lunkit was installed."),
    row<&Settings::run_dir, Directory<false>>(
        "daemon", "run_dir", "DIRECTORY", kRestart,
        "State that lives until the next boot: the lock of the running daemon, and for each device "
        "that was left in good order, where the next daemon goes on. Must be on tmpfs."),
    row<&Settings::allowed_dirs, Directories>(
        "daemon", "allowed_dirs", "DIRECTORY[;DIRECTORY...]", kRestart,
        "Below which directories backing files and devices may be. Empty: everywhere."),
    row<&Settings::lock_memory, Choice<kBooleans>>(
        "daemon", "lock_memory", "yes|no", kRestart,
        "Whether to keep in memory what the daemon has touched, so that it never waits for swap. "
        "RAM disks count as well."),
    row<&Settings::engine, Choice<kEngines>>(
        "queues", "engine", "auto|uring|threads", kRestart,
        "How queues do I/O: by io_uring, or by epoll and worker threads. auto takes io_uring "
        "where the kernel lets it."),
    row<&Settings::queues, Number<0, 4096>>(
        "queues", "queues", "0..4096", kRestart,
        "Number of queues, one thread each. 0: one for each CPU that the daemon may use."),
    row<&Settings::spin, Number<0, 10'000>>(
        "queues", "spin_us", "0..10000", kRestart,
        "For how many microseconds an idle queue looks for more commands before it sleeps. It "
        "stops looking by itself while that finds nothing. 0: never."),
    row<&Settings::tcmu, Choice<kBooleans>>(
        "tcmu", "enabled", "yes|no", kRestart,
        "Whether to serve SCSI LUNs of the kernel's target (TCMU)."),
    row<&Settings::foreign_subtypes, Choice<kForeignSubtypes>>(
        "tcmu", "foreign_subtypes", "ignore|late", kLive,
        "What to do about a device whose subtype no handler here has. late: fail its creation "
        "when no other daemon has answered within foreign_timeout_ms. ignore: never answer, for "
        "hosts where another TCMU daemon runs too; a misspelt subtype then hangs its creator."),
    row<&Settings::foreign_timeout, Number<1, kHourMs>>("tcmu", "foreign_timeout_ms", "1..3600000",
                                                        kLive, "See foreign_subtypes."),
    row<&Settings::bring_up_timeout, Number<1, kHourMs>>(
        "tcmu", "bring_up_timeout_ms", "1..3600000", kLive,
        "How long a handler may take to open a device before its creation fails."),
    row<&Settings::drain_timeout, Number<0, kHourMs>>(
        "tcmu", "drain_timeout_ms", "0..3600000", kLive,
        "How long a daemon that stops waits for commands in flight. Those left over are executed "
        "once more by the next one."),
    row<&Settings::copy_pairs, CopyPairs>(
        "tcmu", "copy_pairs", "SOURCE>DESTINATION[;SOURCE>DESTINATION...]", kLive,
        "Between which LUNs EXTENDED COPY may copy, each named as targetcli does, e.g. "
        "file/golden>file/vm1. Every initiator that has SOURCE can then overwrite DESTINATION, and "
        "every one that has DESTINATION can read SOURCE, whatever LIO's access lists say. Empty: "
        "copies stay within a LUN."),
    row<&Settings::ublk, Choice<kBooleans>>(
        "ublk", "enabled", "yes|no", kRestart,
        "Whether to serve block devices /dev/ublkbN, made by \"lunkit ublk add\" or declared in "
        "devices.d. Costs nothing until there is one."),
    row<&Settings::dm_user, Choice<kBooleans>>(
        "dm_user", "enabled", "yes|no", kRestart,
        "Whether to serve dm-user targets of device-mapper, attached by \"lunkit dm-user attach\". "
        "Costs nothing until there is one."),
    row<&Settings::dm_log, Choice<kBooleans>>(
        "dm_log", "enabled", "yes|no", kRestart,
        "Whether to serve the dirty logs of device-mapper's mirrors (tables \"mirror userspace\"). "
        "no, where another program such as cmirrord does: each would answer the other's requests."),
};

}  // namespace

std::span<const SettingKey> settings_table() {
    return kTable;
}

Result<core::LogLevel> parse_log_level(std::string_view text) {
    core::LogLevel level{};
    CHECK(parse_word(kLogLevels, text, level));
    return level;
}

std::string log_level_name(core::LogLevel level) {
    return print_word(kLogLevels, level);
}

}  // namespace lunkit::control

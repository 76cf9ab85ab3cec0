// SPDX-License-Identifier: Apache-2.0
#include "control/settings_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <map>
#include <system_error>
#include <utility>

#include "control/settings_table.hpp"
#include "lunkit/unique_fd.hpp"

namespace lunkit::control {
namespace {

constexpr std::size_t kMaxFileSize = 1 << 20;

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view kBlanks = " \t\r";
    const std::size_t first = text.find_first_not_of(kBlanks);
    if (first == std::string_view::npos) {
        return {};
    }
    return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

bool known_group(std::string_view group) {
    return std::ranges::any_of(settings_table(),
                               [&](const SettingKey& row) { return row.group == group; });
}

const SettingKey* find_row(std::string_view group, std::string_view key) {
    const auto table = settings_table();
    const auto row = std::ranges::find_if(
        table, [&](const SettingKey& r) { return r.group == group && r.key == key; });
    return row == table.end() ? nullptr : &*row;
}

/// The groups of other rows with this key: where a misplaced key belongs.
std::string place_hint(std::string_view key) {
    for (const SettingKey& row : settings_table()) {
        if (row.key == key) {
            return fmt::format(" (it belongs into [{}])", row.group);
        }
    }
    return {};
}

class Parser {
  public:
    explicit Parser(const std::string& file) : file_(file) {}

    SettingsResult parse(std::string_view text) {
        while (!text.empty()) {
            const std::size_t end = text.find('\n');
            ++line_;
            take_line(text.substr(0, end));
            text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        }
        if (!errors_.empty()) {
            return std::unexpected(std::move(errors_));
        }
        return std::move(settings_);
    }

  private:
    void complain(const std::string& what) {
        errors_.push_back(fmt::format("{}:{}: {}", file_, line_, what));
    }

    void take_line(std::string_view raw) {
        const std::string_view line = trimmed(raw);
        if (line.empty() || line.front() == '#' || line.front() == ';') {
            return;
        }
        const auto control = [](unsigned char c) { return (c < 0x20 && c != '\t') || c == 0x7f; };
        if (std::ranges::any_of(line, control)) {
            complain("control characters");
        } else if (line.front() == '[') {
            take_group(line);
        } else {
            take_key(line);
        }
    }

    void take_group(std::string_view line) {
        group_state_ = GroupState::kUnknown;
        if (line.back() != ']') {
            complain(fmt::format("'{}' lacks its ']'", line));
            return;
        }
        group_ = std::string(line.substr(1, line.size() - 2));
        if (!known_group(group_)) {
            complain(fmt::format("unknown group [{}]", group_));
            return;
        }
        group_state_ = GroupState::kKnown;
        const auto [seen, is_new] = groups_.try_emplace(group_, line_);
        if (!is_new) {
            complain(fmt::format("group [{}] is already on line {}", group_, seen->second));
        }
    }

    void take_key(std::string_view line) {
        const std::size_t equals = line.find('=');
        const std::string_view key = trimmed(line.substr(0, equals));
        if (equals == std::string_view::npos || key.empty()) {
            complain(fmt::format("'{}' is neither [group] nor key=value", line));
            return;
        }
        if (group_state_ != GroupState::kKnown) {
            // Keys of a group that was already complained about say nothing new.
            if (group_state_ == GroupState::kNone) {
                complain(fmt::format("key '{}' stands before the first [group]", key));
            }
            return;
        }
        const SettingKey* const row = find_row(group_, key);
        if (row == nullptr) {
            complain(fmt::format("unknown key '{}' in [{}]{}", key, group_, place_hint(key)));
            return;
        }
        const auto [seen, is_new] = keys_.try_emplace(row, line_);
        if (!is_new) {
            complain(fmt::format("key '{}' is already on line {}", key, seen->second));
            return;
        }
        if (const Status status = row->parse(settings_, trimmed(line.substr(equals + 1)));
            !status) {
            complain(fmt::format("{}: {}", key, status.error().what));
        }
    }

    enum class GroupState : std::uint8_t { kNone, kKnown, kUnknown };

    const std::string& file_;
    unsigned line_ = 0;
    GroupState group_state_ = GroupState::kNone;
    std::string group_;
    std::map<std::string, unsigned> groups_;      // -> line
    std::map<const SettingKey*, unsigned> keys_;  // -> line
    core::Settings settings_;
    SettingsErrors errors_;
};

SettingsResult broken(const std::string& path, std::string_view what) {
    return std::unexpected(SettingsErrors{fmt::format("{}: {}", path, what)});
}

SettingsResult broken(const std::string& path, int error) {
    return broken(path, std::generic_category().message(error));
}

/// Appends the sentences of `text` to `out` as comments of at most 78 columns.
void append_comment(std::string& out, std::string_view text) {
    constexpr std::size_t kWidth = 76;
    while (!text.empty()) {
        std::size_t end = text.size();
        if (end > kWidth) {
            end = text.rfind(' ', kWidth);
        }
        out += fmt::format("# {}\n", text.substr(0, end));
        text.remove_prefix(std::min(text.size(), end + 1));
    }
}

}  // namespace

SettingsResult parse_settings(std::string_view text, const std::string& file) {
    return Parser(file).parse(text);
}

SettingsResult read_settings(const std::string& path, WhenMissing when_missing) {
    // O_NONBLOCK: a FIFO at this place shall be refused, not waited for.
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
    if (!fd) {
        if (errno == ENOENT && when_missing == WhenMissing::kDefaults) {
            return core::Settings{};
        }
        return broken(path, errno);
    }
    struct stat status{};
    if (::fstat(fd.get(), &status) != 0) {
        return broken(path, errno);
    }
    if (!S_ISREG(status.st_mode)) {
        return broken(path, "not a regular file");
    }
    std::string text;
    std::array<char, 4096> piece{};
    for (;;) {
        const ssize_t got = ::read(fd.get(), piece.data(), piece.size());
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return broken(path, errno);
        }
        if (got == 0) {
            return parse_settings(text, path);
        }
        text.append(piece.data(), static_cast<std::size_t>(got));
        if (text.size() > kMaxFileSize) {
            return broken(path, "larger than 1 MiB");
        }
    }
}

std::string default_settings_text() {
    std::string text =
        "# Settings of lunkitd; see lunkitd.conf(5).\n"
        "# Every key stands here with its default. \"lunkitd --check-config\" tells what is wrong\n"
        "# with a changed file, \"systemctl reload lunkitd\" applies it as far as it says so.\n";
    std::string_view group;
    const core::Settings defaults;
    for (const SettingKey& row : settings_table()) {
        if (row.group != group) {
            group = row.group;
            text += fmt::format("\n[{}]\n", group);
        }
        text += '\n';
        append_comment(text, row.help);
        append_comment(text, fmt::format("{}; {}.", row.values,
                                         row.live ? "a reload applies it" : "takes a restart"));
        text += fmt::format("#{}={}\n", row.key, row.print(defaults));
    }
    return text;
}

}  // namespace lunkit::control

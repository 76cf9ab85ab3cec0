// SPDX-License-Identifier: Apache-2.0
#include "control/settings_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <utility>

#include "control/settings_table.hpp"

namespace lunkit::control {
namespace {

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

class Taker final : public KeyFileTaker {
  public:
    [[nodiscard]] bool knows_group(std::string_view group) const override {
        return known_group(group);
    }
    [[nodiscard]] std::string unknown_key(std::string_view group,
                                          std::string_view key) const override {
        return find_row(group, key) != nullptr
                   ? ""
                   : fmt::format("'{}' in [{}]{}", key, group, place_hint(key));
    }
    Status take(std::string_view group, std::string_view key, std::string_view value) override {
        return find_row(group, key)->parse(settings, value);
    }

    core::Settings settings;
};

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
    Taker taker;
    if (KeyFileErrors errors = parse_key_file(text, file, taker); !errors.empty()) {
        return std::unexpected(std::move(errors));
    }
    return std::move(taker.settings);
}

SettingsResult read_settings(const std::string& path, WhenMissing when_missing) {
    const auto text = read_key_file(path);
    if (text) {
        return parse_settings(*text, path);
    }
    if (text.error().code == ENOENT && when_missing == WhenMissing::kDefaults) {
        return core::Settings{};
    }
    return std::unexpected(SettingsErrors{text.error().what});
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

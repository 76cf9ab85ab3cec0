// SPDX-License-Identifier: Apache-2.0
#include "core/dm_user_name.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstddef>

namespace lunkit::core {

namespace {

constexpr std::string_view kFolder = "/dev/dm-user/";
constexpr std::size_t kLongestName = 127;

/// Whether every part of the path `name` names something below.
bool stays_below(std::string_view name) {
    while (true) {
        const std::size_t end = name.find('/');
        const std::string_view part = name.substr(0, end);
        if (part.empty() || part == "." || part == "..") {
            return false;
        }
        if (end == std::string_view::npos) {
            return true;
        }
        name.remove_prefix(end + 1);
    }
}

}  // namespace

std::string dm_user_node(std::string_view name) {
    return std::string(kFolder).append(name);
}

Result<std::string> parse_dm_user_name(std::string_view text) {
    std::string_view name = text;
    if (name.starts_with(kFolder)) {
        name.remove_prefix(kFolder.size());
    }
    if (name.size() > kLongestName || name.find('\0') != std::string_view::npos ||
        !stays_below(name)) {
        return failure(EINVAL, fmt::format("'{}' is no control node of a dm-user target: name it "
                                           "as its table line does, or /dev/dm-user/NAME",
                                           text));
    }
    return std::string(name);
}

}  // namespace lunkit::core

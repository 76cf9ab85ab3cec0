// SPDX-License-Identifier: Apache-2.0
#include "tcmu/device_name.hpp"

#include <fmt/format.h>

#include <charconv>

namespace lunkit::tcmu {

std::optional<DeviceName> DeviceName::parse(std::string_view name) {
    constexpr std::string_view kPrefix = "tcm-user/";
    if (!name.starts_with(kPrefix)) {
        return std::nullopt;
    }
    name.remove_prefix(kPrefix.size());
    DeviceName parsed;
    const char* end = name.data() + name.size();
    const auto [rest, error] = std::from_chars(name.data(), end, parsed.hba);
    if (error != std::errc{} || rest == end || *rest != '/') {
        return std::nullopt;
    }
    name.remove_prefix(static_cast<std::size_t>(rest - name.data()) + 1);
    const std::size_t slash = name.find('/');
    parsed.device = std::string(name.substr(0, slash));
    if (slash != std::string_view::npos) {
        parsed.config = std::string(name.substr(slash + 1));
    }
    if (parsed.device.empty() || parsed.device == "." || parsed.device == "..") {
        return std::nullopt;
    }
    return parsed;
}

std::string DeviceName::folder() const {
    return fmt::format("user_{}/{}", hba, device);
}

}  // namespace lunkit::tcmu

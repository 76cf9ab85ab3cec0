// SPDX-License-Identifier: Apache-2.0
#include "ublk/device_name.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <charconv>
#include <system_error>

#include "lunkit/try.hpp"

namespace lunkit::ublk {

namespace {

constexpr std::uint32_t kMostDevices = 1U << 20U;  // minor numbers of a character device

}  // namespace

std::string block_name(std::uint32_t dev_id) {
    return fmt::format("ublkb{}", dev_id);
}

std::string block_node(std::uint32_t dev_id) {
    return "/dev/" + block_name(dev_id);
}

Result<std::uint32_t> parse_device_name(std::string_view name) {
    std::string_view number = name;
    for (const std::string_view prefix : {"/dev/ublkb", "ublkb"}) {
        if (name.starts_with(prefix)) {
            number.remove_prefix(prefix.size());
            break;
        }
    }
    std::uint32_t dev_id = 0;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), dev_id);
    if (error != std::errc() || end != number.data() + number.size()) {
        return failure(EINVAL, fmt::format("'{}' is no ublk device: name its node, /dev/ublkbN, or "
                                           "its number N",
                                           name));
    }
    CHECK(check_device_number(dev_id));
    return dev_id;
}

Status check_device_number(std::uint32_t dev_id) {
    if (dev_id >= kMostDevices) {
        return failure(EINVAL, fmt::format("{} is no number of a ublk device: they end at {}",
                                           dev_id, kMostDevices - 1));
    }
    return {};
}

}  // namespace lunkit::ublk

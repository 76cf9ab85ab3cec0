// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lunkit::tcmu {

/// A TCMU device as the kernel calls it in /sys/class/uio/uioN/name and in netlink events:
/// "tcm-user/<hba>/<dev>/<config>", without any escaping; the configuration may be absent.
struct DeviceName {
    std::uint32_t hba = 0;  ///< the number of core/user_<hba>
    std::string device;     ///< folder below it
    std::string config;     ///< "<handler>/<rest>"; may hold '/', blanks, anything

    /// Nothing for the name of another uio device, or one that could not be a folder.
    static std::optional<DeviceName> parse(std::string_view name);
    /// "user_<hba>/<dev>": the device's folder below .../target/core, and its name in messages. It
    /// stays when the configuration changes.
    [[nodiscard]] std::string folder() const;
};

}  // namespace lunkit::tcmu

// SPDX-License-Identifier: Apache-2.0
// Declared devices: files *.conf in the folder devices.d beside lunkitd.conf. Each is a KeyFile in
// which a group is a device of the front end of that name, see lunkit-devices(5).
//
// A front end whose devices can be declared has its rows in the table of device_files.cpp.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "control/key_file.hpp"
#include "core/service.hpp"

namespace lunkit::control {

struct DeclaredDevice {
    std::string file;       ///< path
    std::string front_end;  ///< "ublk", "dm-user"
    core::NewDevice wanted;
    /// A node that has to be there first, and may come and go; empty: none.
    std::string awaited_node = {};
    /// Asks for the same device, wherever that stands.
    [[nodiscard]] bool is_same(const DeclaredDevice& other) const {
        return front_end == other.front_end && wanted == other.wanted;
    }
};

struct DeclaredDevices {
    std::vector<DeclaredDevice> devices;  ///< in the order of file names, of files without errors
    KeyFileErrors errors;
};

/// Adds what the file called `file` declares in `text` to `found`, the devices of files before it.
void parse_device_file(std::string_view text, const std::string& file, DeclaredDevices& found);

/// Files that begin with a dot, and folders, are not looked at; a folder that is missing has none.
/// Blocks as its file system does.
[[nodiscard]] DeclaredDevices read_device_files(const std::string& folder);

}  // namespace lunkit::control

// SPDX-License-Identifier: Apache-2.0
// The uio nodes of TCMU devices: which there are, and opening one.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "lunkit/result.hpp"
#include "tcmu/configfs.hpp"
#include "tcmu/device_name.hpp"
#include "tcmu/served_ring.hpp"

namespace lunkit::tcmu {

struct UioDevice {
    std::uint32_t minor = 0;
    DeviceName name;
    std::uint64_t node = 0;  ///< sysfs_inode() at the first sign of it
};

/// The TCMU devices among the uio nodes, in the order of their minors. Does not block.
Result<std::vector<UioDevice>> list_uio_devices(const KernelPaths& paths);

/// Of the device's folder in sysfs, which tells it from a later device with this minor. 0: it is
/// gone. Does not block.
[[nodiscard]] std::uint64_t sysfs_inode(const KernelPaths& paths, std::uint32_t minor);

/// Whether the minor is still that device's.
[[nodiscard]] bool is_there(const KernelPaths& paths, const UioDevice& device);

/// Worker thread. Opens /dev/uio<minor> and maps it whole (a shorter or longer mapping is refused
/// by the kernel). A node has one opener at a time: EBUSY is tried again for `patience`, because a
/// predecessor may still be going; so is ENOENT, for a node that udev has yet to make.
Result<UioNode> open_uio(const KernelPaths& paths, std::uint32_t minor,
                         std::chrono::milliseconds patience);

}  // namespace lunkit::tcmu

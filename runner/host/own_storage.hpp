// SPDX-License-Identifier: Apache-2.0
// OwnStorage: keeps the daemon from storing on its own devices. When it stops or dies, all of them
// leave at once. Whoever then closes the storage of one waits in the kernel for the other, which is
// gone; no signal ends that, and as the process does not end, nor does its claim to be the only
// daemon: there is no next one, for which all requests wait.
//
// A disk is what the kernel calls it, not its node: "ublkb5", "sda", "dm-3". What lies on which is
// looked up in sysfs when storage is opened. Not seen are: a table of device-mapper or an array
// that is put on our disks later; file systems that have no block device as theirs (btrfs, overlay,
// NFS); what comes back by way of another machine or program.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "lunkit/result.hpp"

namespace lunkit::host {

/// The disks that block device `device` lies on, itself among them (for a partition: its disk).
/// None that sysfs does not know.
[[nodiscard]] std::vector<std::string> disks_below(dev_t device, const std::string& sysfs = "/sys");

/// For as long as it lives (there is one), check_not_own() asks it.
class OwnStorage {
  public:
    /// Whether this daemon serves `disk`. Worker threads.
    using Serves = std::function<bool(const std::string& disk)>;
    explicit OwnStorage(Serves serves, std::string sysfs = "/sys");
    ~OwnStorage();
    OwnStorage(const OwnStorage&) = delete;
    OwnStorage& operator=(const OwnStorage&) = delete;
    OwnStorage(OwnStorage&&) = delete;
    OwnStorage& operator=(OwnStorage&&) = delete;
};

/// EDEADLK: the block device, file or folder with that `status` lies on what the daemon serves.
/// `path` is for messages.
[[nodiscard]] Status check_not_own(const struct stat& status, const std::string& path);

}  // namespace lunkit::host

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <compare>

namespace lunkit::core {

/// Which file it is, whatever path led there. Block devices: their number, inode 0. A character
/// device that takes the place of another in devtmpfs has another one.
struct FileIdentity {
    dev_t device = 0;
    ino_t inode = 0;
    auto operator<=>(const FileIdentity&) const = default;

    [[nodiscard]] static FileIdentity of(const struct stat& status) {
        return S_ISBLK(status.st_mode) ? FileIdentity{status.st_rdev, 0}
                                       : FileIdentity{status.st_dev, status.st_ino};
    }
};

}  // namespace lunkit::core

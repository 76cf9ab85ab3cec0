// SPDX-License-Identifier: Apache-2.0
// LogFile: the file or block device of a disk log, as it is opened. Block devices are read and
// written past the page cache: the kernel's own disk log does so too, and what a cache has kept of
// the time before would be taken for the log.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "lunkit/result.hpp"
#include "lunkit/unique_fd.hpp"

namespace lunkit::dm_log {

struct LogFile {
    UniqueFd fd;
    bool is_block_device = false;
    std::size_t block_size = 1;  ///< bytes: offsets and lengths of transfers are multiples
    /// The device, or the one that the file lies on.
    unsigned major = 0;
    unsigned minor = 0;
    std::uint64_t inode = 0;  ///< 0 for a device

    [[nodiscard]] bool is_same(const LogFile& other) const {
        return major == other.major && minor == other.minor && inode == other.inode;
    }

    /// What another process has in flight to the file, most of all a predecessor that has died,
    /// must have ended before anything is written that it could overwrite. Such transfers hold the
    /// lock of the descriptor that they were made by.
    enum class Others : std::uint8_t {
        kWait,  ///< until nobody else has the file open for a log, for 30 s at most
        kKnow,  ///< one of our own has it open
    };

    /// Blocks: for a worker thread. It must be there already and have room for the log of `regions`
    /// regions; anything but a regular file or a block device is refused before it is opened, and
    /// so is what lies outside of allowed_dirs.
    static Result<LogFile> open(const std::string& path, std::uint64_t regions, Others others);
};

}  // namespace lunkit::dm_log

// SPDX-License-Identifier: Apache-2.0
// LogFile: the file or block device of a disk log, as it is opened. Block devices are read and
// written past the page cache: the kernel's own disk log does so too, and what a cache has kept of
// the time before would be taken for the log.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "core/file_identity.hpp"
#include "lunkit/result.hpp"
#include "lunkit/unique_fd.hpp"

namespace lunkit::dm_log {

struct LogFile {
    struct Users;
    std::shared_ptr<Users> users;  ///< of the same file, in this process
    UniqueFd fd;
    bool is_block_device = false;
    std::size_t block_size = 1;  ///< bytes: offsets and lengths of transfers are multiples
    core::FileIdentity identity;
    /// "MAJOR:MINOR" of the device, or of the one that the file lies on.
    [[nodiscard]] std::string device_number() const;

    /// Blocks: for a worker thread. It must be there already and have room for the log of `regions`
    /// regions; anything but a regular file or a block device is refused before it is opened, and
    /// so is what lies outside of allowed_dirs.
    ///
    /// What another process has in flight to the file, most of all a predecessor that has died,
    /// must have ended before anything is written that it could overwrite. Such transfers hold the
    /// lock of the descriptor that they were made by; it is waited for, unless another log of this
    /// process has the file open and has waited. EBUSY: for longer than the kernel waits for an
    /// answer that could tell of it.
    static Result<LogFile> open(const std::string& path, std::uint64_t regions);
};

}  // namespace lunkit::dm_log

// SPDX-License-Identifier: Apache-2.0
// FileLock: who may use a file beside us.
//
// Against other processes: the open-file-description locks that QEMU takes (its docs: "image
// locking"), so that qemu-img refuses an image that we serve and we refuse the image of a running
// guest. Each of four permissions p has two bytes in the file: a read lock on byte 100 + p says "I
// use p", one on byte 200 + p says "nobody else may use p". One takes both kinds first and then
// looks whether somebody else holds the opposite byte of any of them.
//
// Within this process: a table by device and inode, because two opens of one file would otherwise
// be told apart only by an anonymous lock conflict, and a message should name the device.
//
// The locks of a predecessor that died stay until its last request in flight has ended. So a
// take-over waits for them: to get them proves that nothing of it writes any more. For a moment
// they also stay after a close(2): a request of io_uring lets go of its file only after its
// completion was seen. So everybody waits a little.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "core/file_identity.hpp"
#include "lunkit/result.hpp"

namespace lunkit::host {

class FileLock {
  public:
    /// QEMU's numbering of permissions.
    enum Permission : std::uint8_t {
        kConsistentRead = 0,
        kWrite = 1,
        kWriteUnchanged = 2,
        kResize = 3
    };

    /// What an opener does, and what it suffers others to do.
    struct Claim {
        bool write = false;
        bool share_write = false;
    };

    FileLock() = default;
    FileLock(FileLock&& other) noexcept;
    FileLock& operator=(FileLock&& other) noexcept;
    FileLock(const FileLock&) = delete;
    FileLock& operator=(const FileLock&) = delete;
    /// The locks in the file go with its description; this takes us out of the table.
    ~FileLock();

    /// Enters the daemon's table. EBUSY: this daemon serves the file already, or has had it open
    /// for no device (a check of its configuration) for `patience`. Before the file is opened,
    /// which may itself fail (O_EXCL) for the same reason, only less clearly. Blocks.
    static Result<FileLock> reserve(const core::FileIdentity& identity, Claim claim,
                                    const std::string& path, const std::string& device,
                                    std::chrono::milliseconds patience);

    /// Takes the locks on `fd`. EBUSY: another process uses the file, and that has lasted for
    /// `patience`. Blocks. A file system without such locks is logged and passed over.
    Status lock(int fd, const std::string& path, std::chrono::milliseconds patience);

  private:
    /// Enters the table, or says who is in the way.
    [[nodiscard]] std::optional<std::string> enter(const std::string& device);

    core::FileIdentity identity_;
    std::uint64_t entry_ = 0;  // in the table; 0: none
    unsigned uses_ = 0;        // a bit per Permission
    unsigned denies_ = 0;
};

}  // namespace lunkit::host

// SPDX-License-Identifier: Apache-2.0
// Opening a backing file or block device: what it is, whether it may be used, and what it can do.
// Worker threads; everything here blocks. Errors are sentences that name the path.
#pragma once

#include <cstdint>
#include <string>

#include "host/file_locks.hpp"
#include "host/file_policy.hpp"
#include "lunkit/result.hpp"
#include "lunkit/unique_fd.hpp"

namespace lunkit::host {

/// See struct lunkit_file_open.
struct FileRequest {
    std::string path;
    std::string base;         ///< LUNKIT_FILE_CONFINED: the folder
    std::uint32_t flags = 0;  ///< LUNKIT_FILE_*
    std::uint64_t size = 0;   ///< LUNKIT_FILE_CREATE: bytes
};

struct OpenedFile {
    std::string path;
    FileLock lock;  // taken out of the table after the descriptor is closed
    UniqueFd fd;
    /// For fdatasync; none when read_only. The kernel reports a lost write once per open file: a
    /// write with RWF_DSYNC through `fd` takes no report from this one.
    UniqueFd sync_fd;
    bool is_block_device = false;
    bool read_only = false;
    bool created = false;
    bool in_memory = false;  ///< tmpfs or ramfs: I/O waits for no storage
    /// O_DIRECT needs these; 1 without it. The second also counts for lengths.
    std::uint32_t memory_alignment = 1;
    std::uint32_t offset_alignment = 1;
    std::uint32_t sector_size = 1;  ///< block devices: unit of discard and zeroing
    bool rotational = false;
    std::uint32_t physical_block_size = 0;
    std::uint32_t optimal_io_size = 0;
    std::uint32_t discard_granularity = 0;  ///< 0: none
    [[nodiscard]] bool direct() const { return offset_alignment > 1; }
};

[[nodiscard]] Result<OpenedFile> open_file(const FileRequest& request,
                                           const FilePolicy& policy = file_policy());

/// Bytes, now.
[[nodiscard]] Result<std::uint64_t> file_size(const OpenedFile& file);

}  // namespace lunkit::host

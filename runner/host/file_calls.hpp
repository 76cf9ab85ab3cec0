// SPDX-License-Identifier: Apache-2.0
// FileCalls: the system calls of the data path of a file, behind a seam, so that tests can make
// them fail. Results are those of the call, or -errno.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <cstdint>
#include <span>

#include "core/engine_queue.hpp"
#include "lunkit/handler.h"

namespace lunkit::host {

class FileCalls {
  public:
    FileCalls() = default;
    FileCalls(const FileCalls&) = delete;
    FileCalls& operator=(const FileCalls&) = delete;
    FileCalls(FileCalls&&) = delete;
    FileCalls& operator=(FileCalls&&) = delete;
    virtual ~FileCalls() = default;

    /// On the calling thread: preadv2, pwritev2.
    virtual std::int64_t transfer_now(const core::FileTransfer& transfer);
    /// By the engine: see EngineQueue.
    virtual int submit_transfer(core::EngineQueue& queue, const core::FileTransfer& transfer,
                                lunkit_completion* completion);
    virtual int submit_data_sync(core::EngineQueue& queue, int fd, const void* lane,
                                 lunkit_completion* completion);
    /// Blocking.
    virtual int allocate(int fd, int mode, std::uint64_t offset,
                         std::uint64_t length);  // fallocate
    virtual int block_range(int fd, unsigned long request, std::uint64_t offset,
                            std::uint64_t length);  // ioctl BLKDISCARD, BLKZEROOUT
    virtual std::int64_t seek(int fd, std::uint64_t offset, int whence);  // lseek
    virtual int truncate(int fd, std::uint64_t size);
    virtual int sync(int fd);

    /// The real ones.
    static FileCalls& system();
};

}  // namespace lunkit::host

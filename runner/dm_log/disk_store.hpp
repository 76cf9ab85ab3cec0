// SPDX-License-Identifier: Apache-2.0
// DiskStore: keeps what is clean in a disk log. One transfer at a time; whoever comes meanwhile
// waits, and finds most often that his changes have gone along. Queue thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "core/engine_queue.hpp"
#include "dm_log/dirty_log.hpp"
#include "dm_log/disk_format.hpp"
#include "dm_log/log_file.hpp"
#include "lunkit/range_lock.hpp"
#include "lunkit/result.hpp"
#include "lunkit/task.hpp"

namespace lunkit::dm_log {

class DiskStore {
  public:
    /// Nothing is opened yet. The store outlives its tasks.
    DiskStore(core::EngineQueue& queue, std::string path, std::uint64_t regions)
        : queue_(queue), path_(std::move(path)), regions_(regions) {}
    DiskStore(const DiskStore&) = delete;
    DiskStore& operator=(const DiskStore&) = delete;
    DiskStore(DiskStore&&) = delete;
    DiskStore& operator=(DiskStore&&) = delete;
    ~DiskStore() = default;

    /// See LogFile::open(); and what is in there must be a log, or none.
    Task<Status> open();
    /// What the log says now.
    Task<Result<disk::Contents>> load();
    /// Writes what has changed. When it ends well, regions that were marked before it began are
    /// marked on disk for good. After a failure the changes are there to be stored again.
    Task<Status> store(DirtyLog& log);
    /// Nothing that was begun before is still being written.
    Task<void> settle();

    /// Once open() has succeeded.
    [[nodiscard]] const LogFile* file() const { return file_ ? &*file_ : nullptr; }
    [[nodiscard]] const std::string& path() const { return path_; }

  private:
    struct FreeImage {
        void operator()(std::byte* memory) const;
    };

    Task<Status> open_file();
    Task<Status> write_changes(const DirtyLog& log, DirtyLog::Changes changes);
    Task<Status> write_whole(const DirtyLog& log);
    Task<Status> sync();
    Task<Status> transfer(bool is_write, std::span<std::byte> bytes, std::uint64_t offset);

    core::EngineQueue& queue_;
    const std::string path_;
    const std::uint64_t regions_;
    AsyncMutex turn_;
    std::optional<LogFile> file_;
    std::unique_ptr<std::byte, FreeImage> memory_;
    std::span<std::byte> image_;  // of the whole log, in whole blocks
    bool whole_written_ = false;  // since the last failure: only changes need be written
};

}  // namespace lunkit::dm_log

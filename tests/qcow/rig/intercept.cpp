// SPDX-License-Identifier: Apache-2.0
// What a handler does to a descriptor itself, by system calls, as open() and close() must (they
// have no queue). These definitions come before the C library's for everything in the process, so
// they are linked into test programs only, and those export them (ENABLE_EXPORTS) for plugins.
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstdint>
#include <utility>

#include "rig/recording_host.hpp"

#define LUNKIT_EXPORT __attribute__((visibility("default")))

namespace {

using lunkit::qcow_rig::Bytes;
using lunkit::qcow_rig::FileEvent;
using lunkit::qcow_rig::RecordingHost;

/// The log entry of one blocking call; it completes with the call.
class Blocking {
  public:
    explicit Blocking(int fd) {
        if (RecordingHost* const host = RecordingHost::current(); host != nullptr) {
            file_ = host->recorded(fd);
            log_ = host->log();
        }
    }
    [[nodiscard]] bool recorded() const { return file_ != nullptr; }
    void issue(FileEvent event) {
        if (recorded()) {
            struct stat status{};
            (void)::fstat(file_->fd.get(), &status);  // ours, and open
            event.size_before = static_cast<std::uint64_t>(status.st_size);
            event.file = file_->index;
            event_ = log_->issue(std::move(event));
        }
    }
    long complete(long result) {
        if (recorded()) {
            log_->complete(event_);
        }
        return result;
    }

  private:
    RecordingHost::File* file_ = nullptr;
    lunkit::qcow_rig::WriteLog* log_ = nullptr;
    std::uint32_t event_ = 0;
};

ssize_t write_vectors(int fd, const iovec* iov, int count, off_t offset, int flags) {
    Blocking blocking(fd);
    if (blocking.recorded()) {
        FileEvent event;
        event.kind = FileEvent::Kind::kWrite;
        event.offset = static_cast<std::uint64_t>(offset);
        event.fua = (flags & (RWF_DSYNC | RWF_SYNC)) != 0;
        for (int i = 0; i < count; ++i) {
            const auto* const base = static_cast<const std::byte*>(iov[i].iov_base);
            event.data.insert(event.data.end(), base, base + iov[i].iov_len);
        }
        event.length = event.data.size();
        blocking.issue(std::move(event));
    }
    return blocking.complete(::syscall(SYS_pwritev2, fd, iov, count, offset, 0L, flags));
}

int flush(int fd, long number) {
    Blocking blocking(fd);
    blocking.issue({.kind = FileEvent::Kind::kFlush});
    // Nothing has to survive here but the log: the call itself is left out for recorded files.
    return static_cast<int>(blocking.complete(blocking.recorded() ? 0 : ::syscall(number, fd)));
}

}  // namespace

extern "C" {

LUNKIT_EXPORT ssize_t pwrite(int fd, const void* from, std::size_t size, off_t offset) {
    const iovec iov{const_cast<void*>(from), size};
    return write_vectors(fd, &iov, 1, offset, 0);
}
LUNKIT_EXPORT ssize_t pwrite64(int fd, const void* from, std::size_t size, off64_t offset) {
    return pwrite(fd, from, size, offset);
}
LUNKIT_EXPORT ssize_t pwritev(int fd, const iovec* iov, int count, off_t offset) {
    return write_vectors(fd, iov, count, offset, 0);
}
LUNKIT_EXPORT ssize_t pwritev64(int fd, const iovec* iov, int count, off64_t offset) {
    return write_vectors(fd, iov, count, offset, 0);
}
LUNKIT_EXPORT ssize_t pwritev2(int fd, const iovec* iov, int count, off_t offset, int flags) {
    return write_vectors(fd, iov, count, offset, flags);
}
LUNKIT_EXPORT ssize_t pwritev64v2(int fd, const iovec* iov, int count, off64_t offset, int flags) {
    return write_vectors(fd, iov, count, offset, flags);
}
LUNKIT_EXPORT int fdatasync(int fd) {
    return flush(fd, SYS_fdatasync);
}
LUNKIT_EXPORT int fsync(int fd) {
    return flush(fd, SYS_fsync);
}
LUNKIT_EXPORT int ftruncate(int fd, off_t size) noexcept {
    Blocking blocking(fd);
    blocking.issue({.kind = FileEvent::Kind::kResize, .offset = static_cast<std::uint64_t>(size)});
    return static_cast<int>(blocking.complete(::syscall(SYS_ftruncate, fd, size)));
}
LUNKIT_EXPORT int ftruncate64(int fd, off64_t size) noexcept {
    return ftruncate(fd, size);
}
LUNKIT_EXPORT int fallocate(int fd, int mode, off_t offset, off_t length) {
    Blocking blocking(fd);
    const auto end = static_cast<std::uint64_t>(offset + length);
    if ((mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) != 0) {
        blocking.issue({.kind = FileEvent::Kind::kZero,
                        .offset = static_cast<std::uint64_t>(offset),
                        .length = static_cast<std::uint64_t>(length)});
    } else if ((mode & FALLOC_FL_KEEP_SIZE) == 0 && blocking.recorded()) {
        struct stat status{};
        (void)::fstat(fd, &status);  // recorded, hence open
        const auto size = static_cast<std::uint64_t>(status.st_size);
        blocking.issue({.kind = FileEvent::Kind::kResize, .offset = end > size ? end : size});
    } else {
        return static_cast<int>(::syscall(SYS_fallocate, fd, mode, offset, length));
    }
    return static_cast<int>(blocking.complete(::syscall(SYS_fallocate, fd, mode, offset, length)));
}
LUNKIT_EXPORT int fallocate64(int fd, int mode, off64_t offset, off64_t length) {
    return fallocate(fd, mode, offset, length);
}
}

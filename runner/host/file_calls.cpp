// SPDX-License-Identifier: Apache-2.0
#include "host/file_calls.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace lunkit::host {

namespace {
template <typename T>
T or_errno(T result) {
    return result < 0 ? static_cast<T>(-errno) : result;
}
}  // namespace

std::int64_t FileCalls::transfer_now(const core::FileTransfer& transfer) {
    const auto count = static_cast<int>(transfer.iov.size());
    const auto offset = static_cast<off_t>(transfer.offset);
    return or_errno<std::int64_t>(
        transfer.is_write
            ? ::pwritev2(transfer.fd, transfer.iov.data(), count, offset, transfer.rw_flags)
            : ::preadv2(transfer.fd, transfer.iov.data(), count, offset, transfer.rw_flags));
}

int FileCalls::submit_transfer(core::EngineQueue& queue, const core::FileTransfer& transfer,
                               lunkit_completion* completion) {
    return queue.submit_transfer(transfer, completion);
}

int FileCalls::submit_data_sync(core::EngineQueue& queue, int fd, const void* lane,
                                lunkit_completion* completion) {
    return queue.submit_data_sync(fd, lane, completion);
}

int FileCalls::allocate(int fd, int mode, std::uint64_t offset, std::uint64_t length) {
    return or_errno(::fallocate(fd, mode, static_cast<off_t>(offset), static_cast<off_t>(length)));
}

int FileCalls::block_range(int fd, unsigned long request, std::uint64_t offset,
                           std::uint64_t length) {
    std::array<std::uint64_t, 2> range{offset, length};
    return or_errno(::ioctl(fd, request, range.data()));
}

std::int64_t FileCalls::seek(int fd, std::uint64_t offset, int whence) {
    return or_errno<std::int64_t>(::lseek(fd, static_cast<off_t>(offset), whence));
}

int FileCalls::truncate(int fd, std::uint64_t size) {
    return or_errno(::ftruncate(fd, static_cast<off_t>(size)));
}

int FileCalls::sync(int fd) {
    return or_errno(::fsync(fd));
}

FileCalls& FileCalls::system() {
    static FileCalls calls;
    return calls;
}

}  // namespace lunkit::host

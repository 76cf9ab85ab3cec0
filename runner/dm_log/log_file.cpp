// SPDX-License-Identifier: Apache-2.0
#include "dm_log/log_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <climits>
#include <system_error>
#include <thread>

#include "dm_log/disk_format.hpp"
#include "host/file_policy.hpp"
#include "lunkit/try.hpp"

namespace lunkit::dm_log {

namespace {

std::unexpected<Error> system_failure(const std::string& path) {
    const int error = errno;
    return failure(error, path + ": " + std::generic_category().message(error));
}

std::string fd_path(int fd) {
    return fmt::format("/proc/self/fd/{}", fd);
}

Status check_policy(int fd, const std::string& path) {
    if (host::file_policy().allows_everything()) {
        return {};
    }
    std::array<char, PATH_MAX> real{};
    const ssize_t length = ::readlink(fd_path(fd).c_str(), real.data(), real.size());
    if (length < 0) {
        return system_failure(path);
    }
    if (!host::file_policy().allows({real.data(), static_cast<std::size_t>(length)})) {
        return failure(EPERM, path + " lies outside of the folders that allowed_dirs names");
    }
    return {};
}

Result<std::uint64_t> find_size(LogFile& file, const struct stat& status, const std::string& path) {
    if (!file.is_block_device) {
        return static_cast<std::uint64_t>(status.st_size);
    }
    int block_size = 0;
    std::uint64_t size = 0;
    if (::ioctl(file.fd.get(), BLKSSZGET, &block_size) != 0 ||
        ::ioctl(file.fd.get(), BLKGETSIZE64, &size) != 0) {
        return system_failure(path);
    }
    file.block_size = static_cast<std::size_t>(block_size);
    return size;
}

Status lock(int fd, short type, const std::string& path) {
    using Clock = std::chrono::steady_clock;
    constexpr std::chrono::seconds kLimit{30};
    constexpr std::chrono::milliseconds kPause{20};
    struct flock whole{};
    whole.l_type = type;
    whole.l_whence = SEEK_SET;
    const auto deadline = Clock::now() + kLimit;
    while (::fcntl(fd, F_OFD_SETLK, &whole) != 0) {
        if (errno != EINTR && errno != EAGAIN && errno != EACCES) {
            return system_failure(path);
        }
        if (Clock::now() >= deadline) {
            return failure(EBUSY, path + " is the log of another process");
        }
        std::this_thread::sleep_for(kPause);
    }
    return {};
}

}  // namespace

Result<LogFile> LogFile::open(const std::string& path, std::uint64_t regions, Others others) {
    // O_PATH opens nothing: what the path leads to is judged first, and that very object is opened.
    const UniqueFd located(::open(path.c_str(), O_PATH | O_CLOEXEC));
    struct stat status{};
    if (!located || ::fstat(located.get(), &status) != 0) {
        return system_failure(path);
    }
    CHECK(check_policy(located.get(), path));
    LogFile file;
    file.is_block_device = S_ISBLK(status.st_mode);
    if (!file.is_block_device && !S_ISREG(status.st_mode)) {
        return failure(EINVAL, path + " is neither a regular file nor a block device");
    }
    const dev_t device = file.is_block_device ? status.st_rdev : status.st_dev;
    file.major = ::major(device);
    file.minor = ::minor(device);
    file.inode = file.is_block_device ? 0 : status.st_ino;
    // Not O_EXCL: device-mapper claims the device of a log for itself.
    file.fd.reset(::open(fd_path(located.get()).c_str(),
                         O_RDWR | O_CLOEXEC | (file.is_block_device ? O_DIRECT : 0)));
    if (!file.fd) {
        return system_failure(path);
    }
    if (others == Others::kWait) {
        CHECK(lock(file.fd.get(), F_WRLCK, path));
    }
    CHECK(lock(file.fd.get(), F_RDLCK, path));
    TRY(const std::uint64_t size, find_size(file, status, path));
    const std::uint64_t needed =
        (disk::bytes_for(regions) + file.block_size - 1) / file.block_size * file.block_size;
    if (size < needed) {
        return failure(ENOSPC, fmt::format("{} has {} bytes, and a log of {} regions takes {}",
                                           path, size, regions, needed));
    }
    return file;
}

}  // namespace lunkit::dm_log

// SPDX-License-Identifier: Apache-2.0
#include "dm_log/log_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <map>
#include <mutex>
#include <thread>

#include "core/system_failure.hpp"
#include "dm_log/disk_format.hpp"
#include "host/file_policy.hpp"
#include "host/own_storage.hpp"
#include "lunkit/try.hpp"

namespace lunkit::dm_log {

/// What the logs of this process that have one file open share.
struct LogFile::Users {
    std::mutex opening;  // one at a time: the first waits for other processes, the next for it
    bool has_waited = false;
};

namespace {

std::shared_ptr<LogFile::Users> users_of(const core::FileIdentity& identity) {
    static std::mutex mutex;
    static std::map<core::FileIdentity, std::weak_ptr<LogFile::Users>> files;
    const std::lock_guard lock(mutex);
    std::erase_if(files, [](const auto& file) { return file.second.expired(); });
    std::shared_ptr<LogFile::Users> users = files[identity].lock();
    if (!users) {
        users = std::make_shared<LogFile::Users>();
        files[identity] = users;
    }
    return users;
}

Result<std::uint64_t> find_size(LogFile& file, const struct stat& status, const std::string& path) {
    if (!file.is_block_device) {
        return static_cast<std::uint64_t>(status.st_size);
    }
    int block_size = 0;
    std::uint64_t size = 0;
    if (::ioctl(file.fd.get(), BLKSSZGET, &block_size) != 0 ||
        ::ioctl(file.fd.get(), BLKGETSIZE64, &size) != 0) {
        return core::system_failure(path);
    }
    file.block_size = static_cast<std::size_t>(block_size);
    return size;
}

Status lock(int fd, short type, const std::string& path) {
    using Clock = std::chrono::steady_clock;
    constexpr std::chrono::seconds kLimit{10};  // the kernel gives a request up after 15 s
    constexpr std::chrono::milliseconds kPause{20};
    struct flock whole{};
    whole.l_type = type;
    whole.l_whence = SEEK_SET;
    const auto deadline = Clock::now() + kLimit;
    while (::fcntl(fd, F_OFD_SETLK, &whole) != 0) {
        if (errno != EINTR && errno != EAGAIN && errno != EACCES) {
            return core::system_failure(path);
        }
        if (Clock::now() >= deadline) {
            return failure(EBUSY, path + " is the log of another process");
        }
        std::this_thread::sleep_for(kPause);
    }
    return {};
}

}  // namespace

std::string LogFile::device_number() const {
    return fmt::format("{}:{}", major(identity.device), minor(identity.device));
}

Result<LogFile> LogFile::open(const std::string& path, std::uint64_t regions) {
    // O_PATH opens nothing: what the path leads to is judged first, and that very object is opened.
    const UniqueFd located(::open(path.c_str(), O_PATH | O_CLOEXEC));
    struct stat status{};
    if (!located || ::fstat(located.get(), &status) != 0) {
        return core::system_failure(path);
    }
    CHECK(host::file_policy().check(located.get(), path));
    CHECK(host::check_not_own(status, path));
    LogFile file;
    file.is_block_device = S_ISBLK(status.st_mode);
    if (!file.is_block_device && !S_ISREG(status.st_mode)) {
        return failure(EINVAL, path + " is neither a regular file nor a block device");
    }
    file.identity = core::FileIdentity::of(status);
    file.users = users_of(file.identity);
    // Not O_EXCL: device-mapper claims the device of a log for itself.
    file.fd.reset(::open(fmt::format("/proc/self/fd/{}", located.get()).c_str(),
                         O_RDWR | O_CLOEXEC | (file.is_block_device ? O_DIRECT : 0)));
    if (!file.fd) {
        return core::system_failure(path);
    }
    {
        const std::lock_guard opening(file.users->opening);
        if (!file.users->has_waited) {
            CHECK(lock(file.fd.get(), F_WRLCK, path));
            file.users->has_waited = true;
        }
        CHECK(lock(file.fd.get(), F_RDLCK, path));
    }
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

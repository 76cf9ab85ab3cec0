// SPDX-License-Identifier: Apache-2.0
// The order matters. The path is resolved once, to an O_PATH descriptor, which opens nothing; what
// it leads to is judged (kind, policy, who serves it, who uses it) and that very object is then
// opened through /proc/self/fd. So no name can change its meaning between check and use, and no
// tape rewinds and no FIFO waits because somebody named it.
#include "host/file_open.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <system_error>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "core/file_identity.hpp"
#include "core/system_failure.hpp"
#include "host/current_device.hpp"
#include "host/file_limits.hpp"
#include "host/own_storage.hpp"
#include "lunkit/handler.h"
#include "lunkit/try.hpp"

namespace lunkit::host {

namespace {

std::string fd_path(int fd) {
    return fmt::format("/proc/self/fd/{}", fd);
}

/// Resolves `path` (of a request) by its rules. `flags`: of open(2).
Result<UniqueFd> resolve(const FileRequest& request, const std::string& path, int flags) {
    if ((request.flags & LUNKIT_FILE_CONFINED) == 0) {
        UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC));
        if (!fd) {
            return core::system_failure(path);
        }
        return fd;
    }
    const UniqueFd base(::open(request.base.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!base) {
        return core::system_failure(request.base);
    }
    struct open_how how{};
    how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC);
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
    UniqueFd fd(
        static_cast<int>(::syscall(SYS_openat2, base.get(), path.c_str(), &how, sizeof how)));
    if (fd) {
        return fd;
    }
    switch (errno) {
        case EXDEV:
            return failure(EPERM, fmt::format("{} leads out of {}", path, request.base));
        case ELOOP:
            return failure(EPERM, path + " contains a symbolic link");
        default:
            return core::system_failure(path);
    }
}

Result<struct stat> status_of(int fd, const std::string& path) {
    struct stat status{};
    if (::fstat(fd, &status) != 0) {
        return core::system_failure(path);
    }
    return status;
}

/// Splits "a/b/c" into folder and name; the folder of "c" is ".".
Status split(const std::string& path, std::string* folder, std::string* name) {
    const std::size_t slash = path.rfind('/');
    *folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
    *name = slash == std::string::npos ? path : path.substr(slash + 1);
    if (name->empty() || *name == "." || *name == "..") {
        return failure(EINVAL, path + " does not name a file");
    }
    return {};
}

/// A new file without a name, or with it where the file system cannot do without.
Result<UniqueFd> new_file(int folder, const std::string& name, const std::string& path,
                          bool* has_name) {
    constexpr mode_t kOwnerOnly = 0600;
    *has_name = false;
    UniqueFd fd(::openat(folder, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, kOwnerOnly));
    if (!fd && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {
        fd.reset(::openat(folder, name.c_str(), O_CREAT | O_EXCL | O_NOFOLLOW | O_RDWR | O_CLOEXEC,
                          kOwnerOnly));
        *has_name = static_cast<bool>(fd);
    }
    if (!fd) {
        return core::system_failure("cannot create " + path);
    }
    return fd;
}

/// Size, contents (none) and name are on disk before anybody can see the file: a crash leaves all
/// of it or nothing.
Status create(const FileRequest& request, const FilePolicy& policy) {
    const std::string& path = request.path;
    std::string folder_path;
    std::string name;
    CHECK(split(path, &folder_path, &name));
    TRY(const UniqueFd folder, resolve(request, folder_path, O_RDONLY | O_DIRECTORY));
    CHECK(policy.check(folder.get(), path));
    TRY(const struct stat status, status_of(folder.get(), path));
    CHECK(check_not_own(status, path));
    if (request.size == 0) {
        return failure(ENOENT, path + " does not exist, and is not created without a size");
    }
    bool has_name = false;
    TRY(const UniqueFd file, new_file(folder.get(), name, path, &has_name));
    bool done = request.size <= static_cast<std::uint64_t>(INT64_MAX) &&
                ::ftruncate(file.get(), static_cast<off_t>(request.size)) == 0 &&
                ::fsync(file.get()) == 0;
    if (done && !has_name) {
        done = ::linkat(AT_FDCWD, fd_path(file.get()).c_str(), folder.get(), name.c_str(),
                        AT_SYMLINK_FOLLOW) == 0;
        has_name = done;
    }
    if (done && ::fsync(folder.get()) == 0) {
        return {};
    }
    const int error = request.size > static_cast<std::uint64_t>(INT64_MAX) ? EFBIG : errno;
    if (has_name) {
        (void)::unlinkat(folder.get(), name.c_str(), 0);  // the error below says what matters
    }
    return failure(error, fmt::format("cannot create {} with {} bytes: {}", path, request.size,
                                      std::generic_category().message(error)));
}

/// The object behind the request's path, created if that is asked for. ENOENT stays ENOENT.
Result<UniqueFd> locate(const FileRequest& request, const FilePolicy& policy, bool* created) {
    constexpr std::uint32_t kCreateMask = LUNKIT_FILE_CREATE | LUNKIT_FILE_READ_ONLY;
    auto found = resolve(request, request.path, O_PATH);
    if (!found && found.error().code == ENOENT) {
        if ((request.flags & kCreateMask) == LUNKIT_FILE_CREATE) {
            CHECK(create(request, policy));
            *created = true;
            found = resolve(request, request.path, O_PATH | O_NOFOLLOW);
        } else if (!policy.allows_everything()) {
            // Whether it exists is not told of what may not be opened.
            std::string folder_path;
            std::string name;
            CHECK(split(request.path, &folder_path, &name));
            TRY(const UniqueFd folder, resolve(request, folder_path, O_PATH | O_DIRECTORY));
            CHECK(policy.check(folder.get(), request.path));
        }
    }
    if (!found) {
        return std::unexpected(std::move(found).error());
    }
    CHECK(policy.check(found->get(), request.path));
    return found;
}

const char* kind_name(mode_t mode) {
    switch (mode & S_IFMT) {
        case S_IFDIR:
            return "a folder";
        case S_IFCHR:
            return "a character device";
        case S_IFIFO:
            return "a FIFO";
        case S_IFSOCK:
            return "a socket";
        default:
            return "something else";
    }
}

Status check_kind(const FileRequest& request, const struct stat& status) {
    const bool confined = (request.flags & LUNKIT_FILE_CONFINED) != 0;
    if (S_ISREG(status.st_mode) || (S_ISBLK(status.st_mode) && !confined)) {
        return {};
    }
    if (S_ISBLK(status.st_mode)) {
        return failure(EPERM, request.path + " is a block device; an image may name files only");
    }
    return failure(EINVAL, fmt::format("{} is {}; a regular file or a block device is needed",
                                       request.path, kind_name(status.st_mode)));
}

std::string open_sentence(const OpenedFile& file, int error, bool direct) {
    switch (error) {
        case EBUSY:
            return file.path + " is in use: mounted, or part of another device";
        case EROFS:
            return file.path + " can only be read: its file system or device is read-only";
        case EINVAL:
            if (direct) {
                return file.path + ": its file system has no direct I/O";
            }
            break;
        default:
            break;
    }
    return file.path + ": " + std::generic_category().message(error);
}

/// How long a file or a block device may be busy before that is an answer (see FileLock).
std::chrono::milliseconds patience() {
    return CurrentDevice::take_over() ? std::chrono::seconds(20) : std::chrono::milliseconds(300);
}

/// The real open of what `located` stands for.
Status open_located(OpenedFile& file, int located, std::uint32_t flags) {
    using Clock = std::chrono::steady_clock;
    constexpr std::chrono::milliseconds kPause{20};
    const bool direct = (flags & LUNKIT_FILE_DIRECT) != 0;
    const int mode = (file.read_only ? O_RDONLY : O_RDWR) | (direct ? O_DIRECT : 0) |
                     (file.is_block_device && !file.read_only ? O_EXCL : 0) | O_CLOEXEC;
    const auto deadline = Clock::now() + patience();
    for (;;) {
        file.fd.reset(::open(fd_path(located).c_str(), mode));
        if (file.fd && !file.read_only) {
            file.sync_fd.reset(::open(fd_path(located).c_str(), O_RDONLY | O_CLOEXEC));
        }
        if (file.fd && (file.sync_fd || file.read_only)) {
            return {};
        }
        const int error = errno;
        if (error != EINTR && (error != EBUSY || Clock::now() >= deadline)) {
            return failure(error, open_sentence(file, error, direct));
        }
        std::this_thread::sleep_for(kPause);
    }
}

/// All that may still be refused when the file has been found and reserved.
Status open_reserved(OpenedFile& file, int located, std::uint32_t flags) {
    CHECK(open_located(file, located, flags));
    if ((flags & LUNKIT_FILE_NO_LOCK) == 0) {
        CHECK(file.lock.lock(file.fd.get(), file.path, patience()));
    }
    return find_limits(file, (flags & LUNKIT_FILE_DIRECT) != 0);
}

/// A creation that is refused after all leaves no file behind, unless another process has found it
/// meanwhile. `created`: what was made; `status`: its.
void take_back(const FileRequest& request, OpenedFile& file, int created,
               const struct stat& status) {
    std::string folder_path;
    std::string name;
    if (!split(request.path, &folder_path, &name)) {
        return;
    }
    const auto folder = resolve(request, folder_path, O_RDONLY | O_DIRECTORY);
    file.fd.reset(::open(fd_path(created).c_str(), O_RDWR | O_CLOEXEC));
    if (!folder || !file.fd ||
        !file.lock.lock(file.fd.get(), file.path, std::chrono::milliseconds(0))) {
        return;
    }
    struct stat named{};
    if (::fstatat(folder->get(), name.c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0 &&
        core::FileIdentity::of(named) == core::FileIdentity::of(status)) {
        (void)::unlinkat(folder->get(), name.c_str(), 0);  // the refusal says what matters
    }
}

}  // namespace

Result<OpenedFile> open_file(const FileRequest& request, const FilePolicy& policy) {
    if (request.path.empty()) {
        return failure(EINVAL, "no path is given");
    }
    OpenedFile file;
    file.path = request.path;
    TRY(const UniqueFd located, locate(request, policy, &file.created));
    TRY(const struct stat status, status_of(located.get(), request.path));
    CHECK(check_kind(request, status));
    CHECK(check_not_own(status, request.path));
    file.is_block_device = S_ISBLK(status.st_mode);
    file.read_only = (request.flags & LUNKIT_FILE_READ_ONLY) != 0;
    const bool locked = (request.flags & LUNKIT_FILE_NO_LOCK) == 0;
    if (locked) {
        const FileLock::Claim claim{!file.read_only,
                                    (request.flags & LUNKIT_FILE_SHARE_WRITE) != 0};
        TRY(file.lock, FileLock::reserve(core::FileIdentity::of(status), claim, file.path,
                                         CurrentDevice::name(), patience()));
    }
    const Status opened = open_reserved(file, located.get(), request.flags);
    if (!opened) {
        if (file.created && locked) {
            take_back(request, file, located.get(), status);
        }
        return std::unexpected(opened.error());
    }
    return file;
}

Result<std::uint64_t> file_size(const OpenedFile& file) {
    if (file.is_block_device) {
        std::uint64_t size = 0;
        if (::ioctl(file.fd.get(), BLKGETSIZE64, &size) != 0) {
            return core::system_failure(file.path);
        }
        return size;
    }
    TRY(const struct stat status, status_of(file.fd.get(), file.path));
    return static_cast<std::uint64_t>(status.st_size);
}

}  // namespace lunkit::host

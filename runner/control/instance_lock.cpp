// SPDX-License-Identifier: Apache-2.0
#include "control/instance_lock.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>
#include <system_error>
#include <utility>

namespace lunkit::control {
namespace {

std::unexpected<Error> failed(std::string_view what, const std::string& path, int error) {
    return failure(
        error, fmt::format("cannot {} {}: {}", what, path, std::generic_category().message(error)));
}

/// What the holder of the lock wrote, for the message: its process id.
std::string holder(int fd) {
    std::array<char, 16> text{};
    const ssize_t got = ::pread(fd, text.data(), text.size(), 0);
    const std::string_view pid(text.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
    const std::size_t digits = pid.find_first_not_of("0123456789");
    return digits == 0 || pid.empty() ? "" : fmt::format(" (process {})", pid.substr(0, digits));
}

}  // namespace

Result<InstanceLock> InstanceLock::take(const std::string& run_dir) {
    if (::mkdir(run_dir.c_str(), 0700) != 0 && errno != EEXIST) {
        return failed("make", run_dir, errno);
    }
    const std::string path = run_dir + "/lunkitd.lock";
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd) {
        return failed("open", path, errno);
    }
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK) {
            return failure(EBUSY, fmt::format("another lunkitd{} is running: it holds {}",
                                              holder(fd.get()), path));
        }
        return failed("lock", path, errno);
    }
    const std::string pid = fmt::format("{}\n", ::getpid());
    if (::ftruncate(fd.get(), 0) != 0 ||
        ::pwrite(fd.get(), pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
        return failed("write", path, errno);
    }
    return InstanceLock(std::move(fd));
}

}  // namespace lunkit::control

// SPDX-License-Identifier: Apache-2.0
#include "host/file_policy.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <memory>
#include <utility>

#include "core/system_failure.hpp"

namespace lunkit::host {

namespace {
FilePolicy& daemon_policy() {
    static FilePolicy policy;
    return policy;
}
}  // namespace

Result<FilePolicy> FilePolicy::only(std::span<const std::string> directories) {
    FilePolicy policy;
    for (const std::string& directory : directories) {
        if (!directory.starts_with('/')) {
            return failure(EINVAL, "allowed_dirs: '" + directory + "' is not an absolute path");
        }
        const std::unique_ptr<char, decltype(&std::free)> real(
            ::realpath(directory.c_str(), nullptr), &std::free);
        if (real == nullptr) {
            return core::system_failure("allowed_dirs: " + directory);
        }
        std::string below = real.get();
        if (!below.ends_with('/')) {
            below += '/';
        }
        policy.directories_.push_back(std::move(below));
    }
    return policy;
}

bool FilePolicy::allows(const std::string& path) const {
    return directories_.empty() ||
           std::ranges::any_of(directories_, [&](const std::string& directory) {
               return path.starts_with(directory);
           });
}

Status FilePolicy::check(int fd, const std::string& path) const {
    if (allows_everything()) {
        return {};
    }
    std::array<char, PATH_MAX> real{};
    const std::string link = fmt::format("/proc/self/fd/{}", fd);
    const ssize_t length = ::readlink(link.c_str(), real.data(), real.size());
    if (length < 0) {
        return core::system_failure(path);
    }
    std::string resolved(real.data(), static_cast<std::size_t>(length));
    // A folder is inside itself; a file is compared by what is before its name.
    struct stat status{};
    if (::fstat(fd, &status) == 0 && S_ISDIR(status.st_mode)) {
        resolved += '/';
    }
    if (!allows(resolved)) {
        return failure(EPERM, path + " lies outside of the folders that allowed_dirs names");
    }
    return {};
}

Status set_file_policy(FilePolicy policy) {
    static std::atomic<bool> is_set{false};
    if (is_set.exchange(true)) {
        return failure(EALREADY, "allowed_dirs is set once, at start");
    }
    daemon_policy() = std::move(policy);
    return {};
}

const FilePolicy& file_policy() {
    return daemon_policy();
}

}  // namespace lunkit::host

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
#include <mutex>
#include <utility>

#include "core/system_failure.hpp"

namespace lunkit::host {

namespace {
FilePolicy& daemon_policy() {
    static FilePolicy policy;
    return policy;
}
}  // namespace

/// Copies of a policy share what is known of them.
class FilePolicy::Directories {
  public:
    explicit Directories(std::span<const std::string> named)
        : unknown_(named.begin(), named.end()) {}

    [[nodiscard]] bool have(const std::string& path) const {
        const std::lock_guard lock(mutex_);
        return std::ranges::any_of(
            known_, [&](const std::string& directory) { return path.starts_with(directory); });
    }

    /// Looks for those that are not known yet; why those cannot be had that are still not.
    std::vector<std::string> look() {
        std::vector<std::string> problems;
        for (const std::string& directory : unknown()) {
            const std::unique_ptr<char, decltype(&std::free)> real(
                ::realpath(directory.c_str(), nullptr), &std::free);
            if (real == nullptr) {
                problems.push_back(core::system_failure("allowed_dirs: " + directory).error().what);
            } else {
                found(directory, real.get());
            }
        }
        return problems;
    }

  private:
    [[nodiscard]] std::vector<std::string> unknown() const {
        const std::lock_guard lock(mutex_);
        return unknown_;  // not looked for under the mutex: one that hangs keeps nobody else
    }

    void found(const std::string& directory, std::string real) {
        if (!real.ends_with('/')) {
            real += '/';
        }
        const std::lock_guard lock(mutex_);
        if (std::erase(unknown_, directory) != 0) {  // else another thread was first
            known_.push_back(std::move(real));
        }
    }

    mutable std::mutex mutex_;
    std::vector<std::string> unknown_;  // under mutex; as named
    std::vector<std::string> known_;    // under mutex; without symbolic links, with '/' at the end
};

Result<FilePolicy> FilePolicy::only(std::span<const std::string> directories) {
    for (const std::string& directory : directories) {
        if (!directory.starts_with('/')) {
            return failure(EINVAL, "allowed_dirs: '" + directory + "' is not an absolute path");
        }
    }
    FilePolicy policy;
    if (!directories.empty()) {
        policy.directories_ = std::make_shared<Directories>(directories);
        (void)policy.directories_->look();  // missing() tells
    }
    return policy;
}

std::vector<std::string> FilePolicy::missing() const {
    return directories_ == nullptr ? std::vector<std::string>() : directories_->look();
}

bool FilePolicy::allows(const std::string& path) const {
    if (directories_ == nullptr || directories_->have(path)) {
        return true;
    }
    (void)directories_->look();  // those that are missing have nothing that could be opened
    return directories_->have(path);
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

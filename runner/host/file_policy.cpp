// SPDX-License-Identifier: Apache-2.0
#include "host/file_policy.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <system_error>
#include <utility>

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
            const int error = errno;
            return failure(error, "allowed_dirs: " + directory + ": " +
                                      std::generic_category().message(error));
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

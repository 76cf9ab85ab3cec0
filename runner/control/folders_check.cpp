// SPDX-License-Identifier: Apache-2.0
#include "control/folders_check.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <string>

#include "core/system_failure.hpp"
#include "host/file_policy.hpp"
#include "host/handler_directory.hpp"
#include "host/handler_registry.hpp"

namespace lunkit::control {
namespace {

Status check_is_folder(const std::string& path) {
    struct stat status{};
    if (::stat(path.c_str(), &status) != 0) {
        return core::system_failure(path);
    }
    if (!S_ISDIR(status.st_mode)) {
        errno = ENOTDIR;
        return core::system_failure(path);
    }
    return {};
}

/// The last part is made at start.
Status check_run_dir(const std::string& path) {
    Status found = check_is_folder(path);
    if (found || found.error().code != ENOENT) {
        return found;
    }
    const std::filesystem::path folder(path.substr(0, path.find_last_not_of('/') + 1));
    return check_is_folder(folder.parent_path());
}

}  // namespace

SettingsDoubts check_folders(const core::Settings& settings) {
    SettingsDoubts doubts;
    const auto judge = [&doubts](const char* key, const Status& status) {
        if (!status) {
            doubts.errors.push_back(fmt::format("{}: {}", key, status.error().what));
        }
    };
    judge("handler_dir",
          host::check_handler_directory(host::handler_directory(settings.handler_dir)));
    judge("run_dir", check_run_dir(settings.run_dir));
    if (const auto policy = host::FilePolicy::only(settings.allowed_dirs); !policy) {
        doubts.errors.push_back(policy.error().what);
    } else {
        for (const std::string& missing : policy->missing()) {
            doubts.notes.push_back(missing + "; left out until it is there");
        }
    }
    return doubts;
}

}  // namespace lunkit::control

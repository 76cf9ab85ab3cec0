// SPDX-License-Identifier: Apache-2.0
// Whether a missing file could be created: for check_config, which must not create it.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>

#include "lunkit/result.hpp"

namespace lunkit {

/// Whether open() could create the file `path` later. Worker thread; blocks.
inline Status check_folder_of(const std::string& path) {
    const std::string folder = path.substr(0, path.rfind('/') + 1);
    struct stat status{};
    if (::stat(folder.c_str(), &status) != 0) {
        const int error = errno;
        return failure(error, path + " cannot be created: " + folder + ": " +
                                  std::generic_category().message(error));
    }
    if (!S_ISDIR(status.st_mode) || path.ends_with('/')) {
        return failure(EINVAL, path + " does not name a file");
    }
    if (::access(folder.c_str(), W_OK | X_OK) != 0) {
        const int error = errno;
        return failure(error, path + " cannot be created: " + folder + ": " +
                                  std::generic_category().message(error));
    }
    return {};
}

}  // namespace lunkit

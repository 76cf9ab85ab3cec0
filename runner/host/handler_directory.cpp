// SPDX-License-Identifier: Apache-2.0
#include "host/handler_directory.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <climits>

namespace lunkit::host {

std::string handler_directory(const std::string& configured) {
    if (!configured.empty()) {
        return configured;
    }
    std::string executable(PATH_MAX, '\0');
    const ssize_t length = ::readlink("/proc/self/exe", executable.data(), executable.size());
    if (length > 0) {
        executable.resize(static_cast<std::size_t>(length));
        const std::string beside =
            executable.substr(0, executable.rfind('/') + 1) + LUNKIT_HANDLER_DIR_FROM_BIN;
        struct stat status{};
        if (::stat(beside.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) {
            return beside;
        }
    }
    return LUNKIT_INSTALLED_HANDLER_DIR;
}

}  // namespace lunkit::host

// SPDX-License-Identifier: Apache-2.0
#include "core/private_folder.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "core/system_failure.hpp"

namespace lunkit::core {

Result<UniqueFd> open_private_folder(const std::string& run_dir, const std::string& name) {
    if (::mkdir(run_dir.c_str(), 0755) != 0 && errno != EEXIST) {
        return system_failure("cannot make " + run_dir);
    }
    const UniqueFd parent(::open(run_dir.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!parent) {
        return system_failure("cannot open " + run_dir);
    }
    const std::string path = run_dir + "/" + name;
    if (::mkdirat(parent.get(), name.c_str(), 0700) != 0 && errno != EEXIST) {
        return system_failure("cannot make " + path);
    }
    UniqueFd folder(
        ::openat(parent.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    struct stat status{};
    if (!folder || ::fstat(folder.get(), &status) != 0) {
        return system_failure("cannot open " + path);
    }
    if (status.st_uid != ::geteuid()) {
        return failure(EPERM, path + " belongs to another user");
    }
    if ((status.st_mode & 0077) != 0 && ::fchmod(folder.get(), 0700) != 0) {
        return system_failure("cannot close " + path + " to others");
    }
    return folder;
}

}  // namespace lunkit::core

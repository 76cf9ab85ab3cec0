// SPDX-License-Identifier: Apache-2.0
#include "core/record_folder.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <memory>

#include "core/private_folder.hpp"
#include "core/system_failure.hpp"
#include "lunkit/try.hpp"

namespace lunkit::core {

Result<RecordFolder> RecordFolder::open(const std::string& run_dir, const std::string& name) {
    RecordFolder folder;
    TRY(folder.folder_, open_private_folder(run_dir, name));
    return folder;
}

Status RecordFolder::write(const std::string& file, std::string_view bytes) const {
    const std::string fresh = file + ".new";
    remove(fresh);
    const UniqueFd fd(::openat(folder_.get(), fresh.c_str(),
                               O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!fd) {
        return system_failure("cannot make " + fresh);
    }
    if (::pwrite(fd.get(), bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()) ||
        ::renameat(folder_.get(), fresh.c_str(), folder_.get(), file.c_str()) != 0) {
        const auto error = system_failure("cannot write " + file);
        remove(fresh);  // it is of no use
        return error;
    }
    return {};
}

Result<std::string> RecordFolder::read(const std::string& file, std::size_t most) const {
    const UniqueFd fd(
        ::openat(folder_.get(), file.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    struct stat status{};
    if (!fd || ::fstat(fd.get(), &status) != 0) {
        return system_failure("cannot open " + file);
    }
    if (!S_ISREG(status.st_mode) || status.st_uid != ::geteuid()) {
        return failure(EPERM, file + " is no file of ours");
    }
    std::string bytes(most + 1, '\0');
    const ssize_t got = ::pread(fd.get(), bytes.data(), bytes.size(), 0);
    if (got < 0) {
        return system_failure("cannot read " + file);
    }
    bytes.resize(static_cast<std::size_t>(got));
    if (bytes.size() > most) {
        return failure(EFBIG, file + " is too long");
    }
    return bytes;
}

bool RecordFolder::has(const std::string& file) const {
    return ::faccessat(folder_.get(), file.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

void RecordFolder::remove(const std::string& file) const {
    (void)::unlinkat(folder_.get(), file.c_str(), 0);
}

Result<std::vector<std::string>> RecordFolder::list(std::string_view suffix) const {
    // A description of its own: the position in it is not shared.
    const int again = ::openat(folder_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct CloseFolder {
        void operator()(DIR* folder) const { ::closedir(folder); }
    };
    const std::unique_ptr<DIR, CloseFolder> folder(again < 0 ? nullptr : ::fdopendir(again));
    if (!folder) {
        return system_failure("cannot read the folder");
    }
    std::vector<std::string> files;
    // NOLINTNEXTLINE(concurrency-mt-unsafe): nobody else has this stream
    while (const dirent* const entry = ::readdir(folder.get())) {
        if (std::string_view(entry->d_name).ends_with(suffix)) {
            files.emplace_back(entry->d_name);
        }
    }
    return files;
}

}  // namespace lunkit::core

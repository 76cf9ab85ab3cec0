// SPDX-License-Identifier: Apache-2.0
// FilePolicy: below which folders files and devices may be opened (`allowed_dirs`).
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "lunkit/result.hpp"

namespace lunkit::host {

class FilePolicy {
  public:
    /// Everything is allowed.
    FilePolicy() = default;
    /// Only what lies below one of `directories`, all absolute: what they are after symbolic links
    /// counts, also for the files. One that is not there (a mount may be late) allows nothing until
    /// it is; what it is when it is first found, it stays. Empty: everything. EINVAL: not absolute.
    static Result<FilePolicy> only(std::span<const std::string> directories);

    /// Looks once more for the directories that have not been found yet; for each that is not
    /// there, that and why.
    [[nodiscard]] std::vector<std::string> missing() const;

    /// `path` is absolute and has no symbolic links left.
    [[nodiscard]] bool allows(const std::string& path) const;
    [[nodiscard]] bool allows_everything() const { return directories_ == nullptr; }
    /// Any thread; blocks where a directory is not known yet and its file system hangs.
    /// EPERM: what `fd` stands for (O_PATH will do) is not allowed. `path` is for messages.
    [[nodiscard]] Status check(int fd, const std::string& path) const;

  private:
    class Directories;
    std::shared_ptr<Directories> directories_;  // null: everything
};

/// The daemon's policy. Set once, at start, before any file is opened: later calls are EALREADY.
Status set_file_policy(FilePolicy policy);
[[nodiscard]] const FilePolicy& file_policy();

}  // namespace lunkit::host

// SPDX-License-Identifier: Apache-2.0
// FilePolicy: below which folders files and devices may be opened (`allowed_dirs`).
#pragma once

#include <span>
#include <string>
#include <vector>

#include "lunkit/result.hpp"

namespace lunkit::host {

class FilePolicy {
  public:
    /// Everything is allowed.
    FilePolicy() = default;
    /// Only what lies below one of `directories`, all absolute and present: what they are after
    /// symbolic links counts, also for the files. Empty: everything.
    static Result<FilePolicy> only(std::span<const std::string> directories);

    /// `path` is absolute and has no symbolic links left.
    [[nodiscard]] bool allows(const std::string& path) const;
    [[nodiscard]] bool allows_everything() const { return directories_.empty(); }
    /// EPERM: what `fd` stands for (O_PATH will do) is not allowed. `path` is for messages.
    [[nodiscard]] Status check(int fd, const std::string& path) const;

  private:
    std::vector<std::string> directories_;
};

/// The daemon's policy. Set once, at start, before any file is opened: later calls are EALREADY.
Status set_file_policy(FilePolicy policy);
[[nodiscard]] const FilePolicy& file_policy();

}  // namespace lunkit::host

// SPDX-License-Identifier: Apache-2.0
// KeyFile: [group] lines, key=value lines, comments with '#' or ';', blanks. Strict: what is not
// understood is an error, and all errors of a file are told at once, each with its line.
// (GKeyFile reads the same format, but takes a key given twice silently and forgets line numbers.)
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "lunkit/result.hpp"

namespace lunkit::control {

/// Sentences "file:line: what", or "file: what" where no line is to blame.
using KeyFileErrors = std::vector<std::string>;

/// What may stand in a file, and where it goes.
class KeyFileTaker {
  public:
    [[nodiscard]] virtual bool knows_group(std::string_view group) const = 0;
    /// What follows "unknown key": empty for a key that is known in `group`.
    [[nodiscard]] virtual std::string unknown_key(std::string_view group,
                                                  std::string_view key) const = 0;
    /// A value of a known key; each comes once.
    virtual Status take(std::string_view group, std::string_view key, std::string_view value) = 0;
    /// The group is over. What it lacks is an error of the line on which it began.
    virtual Status end_group(std::string_view /*group*/) { return {}; }

    KeyFileTaker(const KeyFileTaker&) = delete;
    KeyFileTaker& operator=(const KeyFileTaker&) = delete;

  protected:
    KeyFileTaker() = default;
    ~KeyFileTaker() = default;
};

/// Empty: all is well. `file` is for messages.
[[nodiscard]] KeyFileErrors parse_key_file(std::string_view text, const std::string& file,
                                           KeyFileTaker& taker);

/// The text of the file at `path`, which must be a regular file of 1 MiB at most. Blocks as its
/// file system does.
[[nodiscard]] Result<std::string> read_key_file(const std::string& path);

}  // namespace lunkit::control

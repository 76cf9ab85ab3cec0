// SPDX-License-Identifier: Apache-2.0
// TargetFolder: which targets this daemon serves, and how, for the next one: a file for each,
// <run_dir>/dm_user/<name>.target, from when it is attached until it is detached or has gone.
#pragma once

#include <string>
#include <vector>

#include "core/record_folder.hpp"
#include "core/service.hpp"
#include "lunkit/result.hpp"

namespace lunkit::dm_user {

/// Any thread; of one target one at a time.
class TargetFolder {
  public:
    /// Makes <run_dir>/dm_user where it is missing. An error: it belongs to somebody else, is a
    /// link, ...
    static Result<TargetFolder> open(const std::string& run_dir);

    /// Replaces what was there of `target.name`; after an error, that is there still.
    [[nodiscard]] Status write(const core::NewDevice& target) const;
    /// The files that make sense; others are logged and left alone.
    [[nodiscard]] std::vector<core::NewDevice> read_all() const;
    /// It need not be there.
    void remove(const std::string& name) const;

  private:
    core::RecordFolder records_;
};

}  // namespace lunkit::dm_user

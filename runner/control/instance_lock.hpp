// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "lunkit/result.hpp"
#include "lunkit/unique_fd.hpp"

namespace lunkit::control {

/// One lunkitd for a run directory: <run_dir>/lunkitd.lock, locked for as long as this lives. The
/// kernel drops the lock when the process dies, however it dies; the file stays.
class InstanceLock {
  public:
    /// Makes `run_dir` if it is missing. EBUSY, with the process id, when another has the lock.
    static Result<InstanceLock> take(const std::string& run_dir);

  private:
    explicit InstanceLock(UniqueFd fd) : fd_(std::move(fd)) {}
    UniqueFd fd_;
};

}  // namespace lunkit::control

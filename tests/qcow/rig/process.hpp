// SPDX-License-Identifier: Apache-2.0
// Other programs: qemu-img and its like.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lunkit/result.hpp"

namespace lunkit::qcow_rig {

struct Finished {
    int exit_code = -1;  ///< 128 + signal when a signal ended it
    std::string output;  ///< stdout and stderr
};

/// Runs a program of the PATH to its end. exit_code 127: there is none of that name.
[[nodiscard]] Finished run_program(const std::vector<std::string>& arguments);
/// The same, where only exit code 0 will do; the error has the command and its output.
Status must_run(const std::vector<std::string>& arguments);
/// qemu-img and qemu-io can be run here.
[[nodiscard]] bool have_qemu();

[[nodiscard]] Result<std::vector<std::byte>> read_file(const std::string& path);
Status write_file(const std::string& path, std::span<const std::byte> content);

/// A folder for a run, in memory where the machine has /dev/shm; goes with all that is in it.
class RunFolder {
  public:
    RunFolder();
    RunFolder(const RunFolder&) = delete;
    RunFolder& operator=(const RunFolder&) = delete;
    RunFolder(RunFolder&&) = delete;
    RunFolder& operator=(RunFolder&&) = delete;
    ~RunFolder();
    [[nodiscard]] std::string operator/(std::string_view name) const {
        return path_ + "/" + std::string(name);
    }
    [[nodiscard]] const std::string& path() const { return path_; }

  private:
    std::string path_;
};

}  // namespace lunkit::qcow_rig

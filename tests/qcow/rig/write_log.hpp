// SPDX-License-Identifier: Apache-2.0
// WriteLog: everything a handler did to its files, in order, with the data.
//
// The log has a clock that moves by one with each step: a file operation is issued, a file
// operation completes, or a request of the guest is issued or completes. A power cut is a time on
// that clock. What a cut may leave behind follows from it (replayer.hpp).
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "rig/layout.hpp"

namespace lunkit::qcow_rig {

using Time = std::uint64_t;
inline constexpr Time kNever = UINT64_MAX;

struct FileEvent {
    enum class Kind : std::uint8_t { kWrite, kZero, kResize, kFlush };
    Kind kind = Kind::kWrite;
    bool fua = false;
    std::uint32_t file = 0;    ///< WriteLog::files
    std::uint64_t offset = 0;  ///< kResize: the new size
    std::uint64_t length = 0;
    std::uint64_t size_before = 0;  ///< kResize, kZero: of the file, when it was issued
    Bytes data = {};                ///< kWrite
    Bytes late_data = {};  ///< kWrite: the buffer at completion, if it had changed meanwhile
    Time issued = 0;
    Time completed = kNever;
};

/// One tick of the clock.
struct Step {
    enum class Kind : std::uint8_t { kIssue, kComplete, kGuest };
    Kind kind = Kind::kIssue;
    std::uint32_t event = 0;  ///< not for kGuest
};

/// Any thread.
class WriteLog {
  public:
    /// A file takes part from now on; its content is kept as the start of every replay.
    std::uint32_t add_file(const std::string& path, Bytes content);
    std::uint32_t issue(FileEvent event);
    void complete(std::uint32_t event, Bytes late_data = {});
    /// Something of the guest happens; its time.
    Time guest_step();

    struct File {
        std::string path;
        Bytes initial;
    };
    // Not while requests run.
    [[nodiscard]] const std::vector<File>& files() const { return files_; }
    [[nodiscard]] const std::vector<FileEvent>& events() const { return events_; }
    [[nodiscard]] const std::vector<Step>& steps() const { return steps_; }

  private:
    std::mutex mutex_;
    std::vector<File> files_;
    std::vector<FileEvent> events_;
    std::vector<Step> steps_{Step{Step::Kind::kGuest, 0}};  // time 0 is before everything
};

}  // namespace lunkit::qcow_rig

// SPDX-License-Identifier: Apache-2.0
#include "rig/write_log.hpp"

#include <algorithm>
#include <utility>

namespace lunkit::qcow_rig {

std::uint32_t WriteLog::add_file(const std::string& path, Bytes content) {
    const std::lock_guard lock(mutex_);
    const auto found = std::ranges::find(files_, path, &File::path);
    if (found != files_.end()) {
        return static_cast<std::uint32_t>(found - files_.begin());
    }
    files_.push_back({path, std::move(content)});
    return static_cast<std::uint32_t>(files_.size() - 1);
}

std::uint32_t WriteLog::issue(FileEvent event) {
    const std::lock_guard lock(mutex_);
    const auto index = static_cast<std::uint32_t>(events_.size());
    event.issued = steps_.size();
    events_.push_back(std::move(event));
    steps_.push_back({Step::Kind::kIssue, index});
    return index;
}

void WriteLog::complete(std::uint32_t event, Bytes late_data) {
    const std::lock_guard lock(mutex_);
    events_[event].completed = steps_.size();
    events_[event].late_data = std::move(late_data);
    steps_.push_back({Step::Kind::kComplete, event});
}

Time WriteLog::guest_step() {
    const std::lock_guard lock(mutex_);
    steps_.push_back({Step::Kind::kGuest, 0});
    return steps_.size() - 1;
}

}  // namespace lunkit::qcow_rig

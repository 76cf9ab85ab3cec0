// SPDX-License-Identifier: Apache-2.0
#include "rig/recording_host.hpp"

#include <algorithm>
#include <utility>

namespace lunkit::qcow_rig {

namespace {
RecordingHost* the_host = nullptr;  // set and cleared by the one thread that owns it
}  // namespace

RecordingHost::RecordingHost(std::uint64_t seed, WriteLog* log)
    : queue_(seed + 1), log_(log), random_(seed) {
    the_host = this;
}

RecordingHost::~RecordingHost() {
    the_host = nullptr;
}

RecordingHost* RecordingHost::current() {
    return the_host;
}

RecordingHost::File* RecordingHost::recorded(int fd) {
    const std::lock_guard lock(mutex_);
    const auto found =
        std::ranges::find_if(files_, [fd](const auto& file) { return file->fd.get() == fd; });
    return found != files_.end() && records(**found) ? found->get() : nullptr;
}

Fault RecordingHost::fault(const File& file, FileCall call, std::uint64_t offset,
                           std::uint64_t length) {
    ++operations_;
    return faults_ && !file.read_only ? faults_(call, offset, length) : Fault{};
}

int RecordingHost::run_later(FileCall call, std::uint64_t offset, std::uint64_t length,
                             std::int64_t (*function)(void*), void* argument,
                             lunkit_completion* completion) {
    if (hold_ && hold_(call, offset, length)) {
        held_.push_back({function, argument, completion});
        return LUNKIT_PENDING;
    }
    return queue_.offload(function, argument, completion);
}

void RecordingHost::release_held() {
    hold_ = {};
    for (const Held& held : std::exchange(held_, {})) {
        (void)queue_.offload(held.function, held.argument, held.completion);  // always pending
    }
}

RecordingHost::File* RecordingHost::add_file(std::unique_ptr<File> file, Bytes content) {
    if (records(*file)) {
        file->index = log_->add_file(file->path, std::move(content));
    }
    const std::lock_guard lock(mutex_);
    files_.push_back(std::move(file));
    return files_.back().get();
}

void RecordingHost::remove_file(File* file) {
    const std::lock_guard lock(mutex_);
    std::erase_if(files_, [file](const auto& kept) { return kept.get() == file; });
}

void RecordingHost::add_message(std::string message) {
    const std::lock_guard lock(mutex_);
    messages_.push_back(std::move(message));
}

}  // namespace lunkit::qcow_rig

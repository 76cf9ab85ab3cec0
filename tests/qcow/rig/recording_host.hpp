// SPDX-License-Identifier: Apache-2.0
// RecordingHost: a lunkit_host for a handler under test. Files are real ones (in a folder of the
// test), everything asynchronous happens on a RigQueue in an order drawn from a seed, and all that
// changes a file is written to a WriteLog, also what the handler does to the descriptor behind the
// host's back (pwrite, fdatasync, ... are intercepted, see intercept.cpp).
//
// There is one at a time: the host calls carry no context of their own. Requests run on the thread
// that turns the queue; open() and close() may run on another one.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include "lunkit/handler.h"
#include "lunkit/unique_fd.hpp"
#include "rig/rig_queue.hpp"
#include "rig/write_log.hpp"

namespace lunkit::qcow_rig {

/// What an operation on a file is, to those who make it fail.
enum class FileCall : std::uint8_t { kRead, kWrite, kFlush, kDiscard, kZero };

/// What a fault does: the operation fails without effect, or has happened and is reported failed.
struct Fault {
    int error = 0;  ///< positive errno; 0: none
    bool applied = false;
};

class RecordingHost {
  public:
    /// A file of the handler.
    struct File {
        UniqueFd fd;
        std::string path;
        std::uint32_t index = 0;  // in the log
        bool read_only = false;
        int latched = 0;
    };

    /// `log` outlives the host; nullptr: nothing is recorded.
    RecordingHost(std::uint64_t seed, WriteLog* log);
    RecordingHost(const RecordingHost&) = delete;
    RecordingHost& operator=(const RecordingHost&) = delete;
    RecordingHost(RecordingHost&&) = delete;
    RecordingHost& operator=(RecordingHost&&) = delete;
    ~RecordingHost();

    /// Static; forwards to the RecordingHost that exists.
    static const lunkit_host& table();
    static RecordingHost* current();

    RigQueue& queue() { return queue_; }
    /// Called for each asynchronous operation on a writable file.
    void set_faults(std::function<Fault(FileCall, std::uint64_t offset, std::uint64_t length)> f) {
        faults_ = std::move(f);
    }
    /// Operations that `which` names take effect only after release_held().
    using Which = std::function<bool(FileCall, std::uint64_t offset, std::uint64_t length)>;
    void hold(Which which) { hold_ = std::move(which); }
    void release_held();
    [[nodiscard]] std::size_t held() const { return held_.size(); }

    /// Files that are opened for writing pass for block devices.
    void set_block_devices(bool are) { block_devices_ = are; }
    [[nodiscard]] bool has_block_devices() const { return block_devices_; }

    /// For a file operation of the handler: what the faults have to say.
    Fault fault(const File& file, FileCall call, std::uint64_t offset, std::uint64_t length);
    /// Asynchronous operations that changed a buffer while it was being written.
    [[nodiscard]] std::uint64_t unstable_writes() const { return unstable_writes_; }
    [[nodiscard]] std::uint64_t operations() const { return operations_; }
    /// What the handler logged, warnings and errors.
    [[nodiscard]] const std::vector<std::string>& messages() const { return messages_; }
    [[nodiscard]] WriteLog* log() { return log_; }
    /// A flush has failed, and all that follow do until the file is opened again.
    [[nodiscard]] bool has_latched() const {
        return std::ranges::any_of(files_, [](const auto& file) { return file->latched != 0; });
    }
    [[nodiscard]] bool flip() { return (random_() & 1) != 0; }

    // For the host calls.
    File* add_file(std::unique_ptr<File> file, Bytes content);
    void remove_file(File* file);
    void add_message(std::string message);
    void count_unstable_write() { ++unstable_writes_; }
    int run_later(FileCall call, std::uint64_t offset, std::uint64_t length,
                  std::int64_t (*function)(void*), void* argument, lunkit_completion* completion);

    /// The recorded file behind a descriptor, or nullptr.
    File* recorded(int fd);
    [[nodiscard]] bool records(const File& file) const {
        return log_ != nullptr && !file.read_only;
    }

  private:
    RigQueue queue_;
    WriteLog* log_;
    std::mt19937_64 random_;
    std::function<Fault(FileCall, std::uint64_t, std::uint64_t)> faults_;
    struct Held {
        std::int64_t (*function)(void*);
        void* argument;
        lunkit_completion* completion;
    };
    Which hold_;
    std::vector<Held> held_;
    bool block_devices_ = false;
    std::uint64_t unstable_writes_ = 0;
    std::uint64_t operations_ = 0;
    std::mutex mutex_;  // files_, messages_
    std::vector<std::unique_ptr<File>> files_;
    std::vector<std::string> messages_;
};

/// Bytes of the guest that a handler can reach through host calls only (LUNKIT_DATA_HOST).
struct OpaqueData : lunkit_data {
    explicit OpaqueData(const lunkit_data& real) : lunkit_data{} {
        kind = LUNKIT_DATA_HOST;
        length = real.length;
        reserved[0] = reinterpret_cast<std::uint64_t>(&real);
    }
};

}  // namespace lunkit::qcow_rig

// SPDX-License-Identifier: Apache-2.0
// A LocalFile under test: the calls as Tasks, and FaultyCalls that fail when told.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "host/file_calls.hpp"
#include "host/local_file.hpp"
#include "lunkit/file.hpp"
#include "support/engine_rig.hpp"

namespace lunkit::test {

/// The system's calls, counted; a scripted result takes the place of the next call of its kind.
class FaultyCalls : public host::FileCalls {
  public:
    std::deque<std::int64_t> now;                 ///< transfer_now
    std::deque<std::int64_t> transfers;           ///< submit_transfer
    std::deque<int> syncs;                        ///< submit_data_sync
    std::map<int, int> allocates;                 ///< by mode, every time
    std::uint64_t longest_transfer = UINT64_MAX;  ///< bytes of one submit_transfer; longer: short
    int transfer_count = 0;
    int sync_count = 0;
    int sync_fd = -1;  ///< of the last
    std::vector<int> allocate_modes;
    std::vector<int> transfer_flags;
    bool was_direct = false;  ///< the last submit_transfer

    std::int64_t transfer_now(const core::FileTransfer& transfer) override {
        std::int64_t result = 0;
        return take(now, &result) ? result : FileCalls::transfer_now(transfer);
    }
    int submit_transfer(core::EngineQueue& queue, const core::FileTransfer& transfer,
                        lunkit_completion* completion) override {
        ++transfer_count;
        transfer_flags.push_back(transfer.rw_flags);
        was_direct = transfer.direct;
        if (take(transfers, &completion->result)) {
            queue.post(completion);
            return LUNKIT_PENDING;
        }
        if (transfer.iov[0].iov_len > longest_transfer) {
            cut_ = {transfer.iov[0].iov_base, longest_transfer};
            core::FileTransfer less = transfer;
            less.iov = {&cut_, 1};
            return FileCalls::submit_transfer(queue, less, completion);
        }
        return FileCalls::submit_transfer(queue, transfer, completion);
    }
    int submit_data_sync(core::EngineQueue& queue, int fd, const void* lane,
                         lunkit_completion* completion) override {
        ++sync_count;
        sync_fd = fd;
        if (!syncs.empty()) {
            completion->result = syncs.front();
            syncs.pop_front();
            queue.post(completion);
            return LUNKIT_PENDING;
        }
        return FileCalls::submit_data_sync(queue, fd, lane, completion);
    }
    int allocate(int fd, int mode, std::uint64_t offset, std::uint64_t length) override {
        allocate_modes.push_back(mode);
        const auto scripted = allocates.find(mode);
        return scripted != allocates.end() ? scripted->second
                                           : FileCalls::allocate(fd, mode, offset, length);
    }

  private:
    static bool take(std::deque<std::int64_t>& script, std::int64_t* result) {
        if (script.empty()) {
            return false;
        }
        *result = script.front();
        script.pop_front();
        return true;
    }
    iovec cut_{};
};

class FileRig : public EngineRig {
  protected:
    /// Opens folder_/disk, made of `bytes`.
    void open(std::string_view bytes, std::uint32_t flags = 0) {
        write_file(path_, bytes);
        auto opened = host::LocalFile::open({path_, "", flags, 0}, {}, calls_);
        ASSERT_TRUE(opened) << opened.error().what;
        file_ = std::move(*opened);
    }
    Outcome read(std::uint64_t offset, std::string& into) {
        const SingleData data(into.data(), into.size());
        return run(start([&](lunkit_completion* completion) {
            return file_->read(queue(), offset, data, 0, into.size(), completion);
        }));
    }
    std::string read_back(std::uint64_t offset, std::size_t length) {
        std::string bytes(length, '?');
        const Outcome outcome = read(offset, bytes);
        return outcome.ok() ? bytes : "error " + std::to_string(outcome.result);
    }
    Outcome write(std::uint64_t offset, std::string bytes, std::uint32_t flags = 0) {
        const SingleData data(bytes.data(), bytes.size());
        return run(start([&](lunkit_completion* completion) {
            return file_->write(queue(), offset, data, 0, bytes.size(), flags, completion);
        }));
    }
    Outcome flush() {
        return run(start(
            [&](lunkit_completion* completion) { return file_->flush(queue(), completion); }));
    }
    Outcome discard(std::uint64_t offset, std::uint64_t length) {
        return run(start([&](lunkit_completion* completion) {
            return file_->discard(queue(), offset, length, completion);
        }));
    }
    Outcome zero(std::uint64_t offset, std::uint64_t length, std::uint32_t flags = 0) {
        return run(start([&](lunkit_completion* completion) {
            return file_->zero(queue(), offset, length, flags, completion);
        }));
    }
    template <typename Submit>
    static Task<Outcome> start(Submit submit) {
        const Outcome outcome = co_await Operation(std::move(submit));
        co_return outcome;
    }
    FaultyCalls calls_;
    const std::string path_ = folder_ / "disk";
    std::unique_ptr<host::LocalFile> file_;
};

}  // namespace lunkit::test

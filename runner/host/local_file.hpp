// SPDX-License-Identifier: Apache-2.0
// LocalFile: an open backing file or block device, asynchronous; what plugins know as
// struct lunkit_file. Its calls have the C ABI's form (LUNKIT_DONE, LUNKIT_PENDING, -errno; see
// handler.h), are made on the thread of `queue`, and may come from several queues.
//
// How a transfer is made depends on the file:
//   memory    tmpfs: preadv2/pwritev2 at once, since no storage can keep us waiting;
//   buffered  RWF_NOWAIT at once (a hit in the page cache costs no detour), the rest by the engine;
//   direct    by the engine, straight from the request's memory where it obeys the alignment;
//             otherwise through an aligned buffer (file_bounce.cpp).
// A transfer is complete or failed, never short.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "core/engine_queue.hpp"
#include "host/device_label.hpp"
#include "host/file_calls.hpp"
#include "host/file_flush.hpp"
#include "host/file_open.hpp"
#include "host/io_memory.hpp"
#include "lunkit/exclusion.hpp"
#include "lunkit/handler.h"
#include "lunkit/io_request.hpp"
#include "lunkit/request.hpp"
#include "lunkit/result.hpp"
#include "lunkit/task.hpp"

namespace lunkit::host {

class LocalFile {
  public:
    /// Worker thread; blocks. `calls` outlives the file.
    static Result<std::unique_ptr<LocalFile>> open(const FileRequest& request,
                                                   const FilePolicy& policy = file_policy(),
                                                   FileCalls& calls = FileCalls::system());
    LocalFile(OpenedFile file, FileCalls& calls, DeviceLabel device);

    /// Error offsets count from the start of the transfer.
    int read(core::EngineQueue& queue, std::uint64_t offset, const lunkit_data& data,
             std::uint64_t data_offset, std::uint64_t length, lunkit_completion* completion);
    /// flags: LUNKIT_IO_FUA
    int write(core::EngineQueue& queue, std::uint64_t offset, const lunkit_data& data,
              std::uint64_t data_offset, std::uint64_t length, std::uint32_t flags,
              lunkit_completion* completion);
    int flush(core::EngineQueue& queue, lunkit_completion* completion);
    int discard(core::EngineQueue& queue, std::uint64_t offset, std::uint64_t length,
                lunkit_completion* completion);
    /// flags: LUNKIT_ZERO_*
    int zero(core::EngineQueue& queue, std::uint64_t offset, std::uint64_t length,
             std::uint32_t flags, lunkit_completion* completion);
    /// Looks at the first kExtentsPerCall runs at most. `list` must outlive the call.
    int extents(core::EngineQueue& queue, std::uint64_t offset, std::uint64_t length,
                lunkit_extent_list& list, lunkit_completion* completion);

    /// Worker thread; blocks. Durable when it returns.
    Status resize(std::uint64_t size);
    [[nodiscard]] Result<lunkit_file_info> info() const;

    static LocalFile& of(lunkit_file* file) { return *reinterpret_cast<LocalFile*>(file); }
    [[nodiscard]] lunkit_file* handle() { return reinterpret_cast<lunkit_file*>(this); }

    static constexpr std::uint32_t kExtentsPerCall = 1024;

  private:
    /// A read or a write, and how far it has come.
    struct Transfer {
        bool is_write;
        std::uint32_t flags;  // LUNKIT_IO_*
        std::uint64_t offset;
        const lunkit_data* data;
        std::uint64_t data_offset;
        std::uint64_t length;
        std::uint64_t done = 0;
        [[nodiscard]] std::uint64_t rest() const { return length - done; }
        [[nodiscard]] bool fua() const { return is_write && (flags & LUNKIT_IO_FUA) != 0; }
    };
    /// What one step of a transfer came to.
    enum class Step : std::uint8_t { kOn, kAgain, kFailed };

    // file_transfer.cpp
    int start(core::EngineQueue& queue, Transfer transfer, lunkit_completion* completion);
    [[nodiscard]] int refusal(const Transfer& transfer) const;
    int transfer_in_memory(Transfer transfer, lunkit_completion* completion);
    void try_now(Transfer& transfer);
    [[nodiscard]] bool fits_alignment(const Transfer& transfer) const;
    static Step advance(Transfer& transfer, std::int64_t result, lunkit_completion* completion);
    int settle(const Transfer& transfer, lunkit_completion* completion);
    static Request run(LocalFile& self, core::EngineQueue& queue, Transfer transfer,
                       lunkit_completion* completion);
    static Request run_direct(LocalFile& self, core::EngineQueue& queue, Transfer transfer,
                              lunkit_completion* completion);
    Task<int> move(core::EngineQueue& queue, Transfer& transfer, lunkit_completion* completion);
    Task<int> carry_out(core::EngineQueue& queue, Transfer& transfer,
                        lunkit_completion* completion);

    // file_bounce.cpp
    static Request run_bounced(LocalFile& self, core::EngineQueue& queue, Transfer transfer,
                               lunkit_completion* completion);
    Task<int> bounce_read(core::EngineQueue& queue, Transfer& transfer, std::byte* buffer,
                          lunkit_completion* completion);
    Task<int> bounce_write(core::EngineQueue& queue, Transfer& transfer, std::byte* buffer,
                           lunkit_completion* completion);
    Task<int> fill_block(core::EngineQueue& queue, std::uint64_t offset, std::byte* block,
                         lunkit_completion* completion);
    [[nodiscard]] ByteRange whole_blocks(std::uint64_t offset, std::uint64_t length) const;

    // file_sync.cpp
    static Request run_flush(LocalFile& self, core::EngineQueue& queue,
                             lunkit_completion* completion);
    void latch_flush(int error, const char* what);

    // file_zero.cpp: the ladder
    /// A way to make zeros or holes; remembered when the file turns out not to have it.
    enum Way : std::uint8_t {
        kPunchHole = 1,
        kZeroRange = 2,
        kPreallocate = 4,
        kBlockDiscard = 8,
        kBlockZeroOut = 16,
        kNoWait = 32,  // reads
        kNoWaitWrite = 64,
    };
    [[nodiscard]] bool has(Way way) const {
        return (lacking_.load(std::memory_order_relaxed) & way) == 0;
    }
    void lacks(Way way) { lacking_.fetch_or(way, std::memory_order_relaxed); }
    int climb(Way way, std::uint64_t offset, std::uint64_t length);
    int one_step(Way way, std::uint64_t offset, std::uint64_t length);
    int discard_blocking(std::uint64_t offset, std::uint64_t length);
    int zero_blocking(std::uint64_t offset, std::uint64_t length, std::uint32_t flags);
    static Request run_discard(LocalFile& self, core::EngineQueue& queue, ByteRange range,
                               lunkit_completion* completion);
    static Request run_zero(LocalFile& self, core::EngineQueue& queue, ByteRange range,
                            std::uint32_t flags, lunkit_completion* completion);
    Task<int> write_zeroes(core::EngineQueue& queue, ByteRange range,
                           lunkit_completion* completion);

    // file_extents.cpp
    int extents_blocking(std::uint64_t offset, std::uint64_t length, lunkit_extent_list& list);
    static Request run_extents(LocalFile& self, core::EngineQueue& queue, ByteRange range,
                               lunkit_extent_list& list, lunkit_completion* completion);

    [[nodiscard]] const void* lane() const { return this; }

    OpenedFile file_;
    FileCalls& calls_;
    DeviceLabel device_;  // for the log
    std::atomic<std::uint8_t> lacking_{0};
    FlushState flush_;
    Exclusion blocks_;   // direct: read-modify-write against everything else
    BufferPool bounce_;  // direct
};

}  // namespace lunkit::host

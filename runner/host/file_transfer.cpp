// SPDX-License-Identifier: Apache-2.0
// Reads and writes of a LocalFile that need no bounce buffer.
#include <sys/uio.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "host/iov_window.hpp"
#include "host/local_file.hpp"

namespace lunkit::host {

namespace {

/// Fills in where and what failed; gives -errno.
int fail_at(std::uint64_t offset, std::int64_t result, lunkit_completion* completion) {
    completion->result = result;
    completion->error_offset = offset;
    completion->error_class = result == -EIO ? LUNKIT_ERROR_MEDIUM : LUNKIT_ERROR_UNSPECIFIED;
    return static_cast<int>(result);
}

std::uint64_t bytes_of(std::span<const iovec> iov) {
    std::uint64_t sum = 0;
    for (const iovec& vector : iov) {
        sum += vector.iov_len;
    }
    return sum;
}

}  // namespace

int LocalFile::read(core::EngineQueue& queue, std::uint64_t offset, const lunkit_data& data,
                    std::uint64_t data_offset, std::uint64_t length,
                    lunkit_completion* completion) {
    return start(queue, {false, 0, offset, &data, data_offset, length}, completion);
}

int LocalFile::write(core::EngineQueue& queue, std::uint64_t offset, const lunkit_data& data,
                     std::uint64_t data_offset, std::uint64_t length, std::uint32_t flags,
                     lunkit_completion* completion) {
    return start(queue, {true, flags, offset, &data, data_offset, length}, completion);
}

int LocalFile::refusal(const Transfer& transfer) const {
    if (!ByteRange::fits(transfer.data_offset, transfer.length, transfer.data->length) ||
        !ByteRange::fits(transfer.offset, transfer.length, INT64_MAX)) {
        return -EINVAL;
    }
    if (transfer.data->kind != LUNKIT_DATA_IOV) {
        return -EOPNOTSUPP;
    }
    if (transfer.is_write && file_.read_only) {
        return -EROFS;
    }
    if (transfer.fua() && flush_.failed()) {
        return -EIO;
    }
    return 0;
}

int LocalFile::start(core::EngineQueue& queue, Transfer transfer, lunkit_completion* completion) {
    if (const int error = refusal(transfer); error != 0) {
        return fail_at(LUNKIT_NO_OFFSET, error, completion);
    }
    if (file_.in_memory) {
        return transfer_in_memory(transfer, completion);
    }
    if (!file_.direct()) {
        try_now(transfer);
        if (transfer.rest() == 0) {
            return settle(transfer, completion);
        }
        return run(*this, queue, transfer, completion).settle(completion);
    }
    if (!fits_alignment(transfer)) {
        return run_bounced(*this, queue, transfer, completion).settle(completion);
    }
    return transfer.is_write ? run_direct(*this, queue, transfer, completion).settle(completion)
                             : run(*this, queue, transfer, completion).settle(completion);
}

/// Takes a step's result into account; with kFailed `completion` says what and where.
LocalFile::Step LocalFile::advance(Transfer& transfer, std::int64_t result,
                                   lunkit_completion* completion) {
    if (result > 0) {
        transfer.done += static_cast<std::uint64_t>(result);
        return Step::kOn;
    }
    if (result == -EINTR || result == -EAGAIN) {
        return Step::kAgain;
    }
    // 0: the file is shorter than it was when it was opened, or a write that takes nothing.
    fail_at(transfer.done, result == 0 ? -EIO : result, completion);
    return Step::kFailed;
}

/// Everything has been moved.
int LocalFile::settle(const Transfer& transfer, lunkit_completion* completion) {
    if (transfer.is_write && !transfer.fua()) {
        flush_.wrote();
    }
    completion->result = static_cast<std::int64_t>(transfer.length);
    return LUNKIT_DONE;
}

int LocalFile::transfer_in_memory(Transfer transfer, lunkit_completion* completion) {
    IovWindow window;
    while (transfer.rest() > 0) {
        const core::FileTransfer step{
            file_.fd.get(),
            transfer.is_write,
            0,
            transfer.offset + transfer.done,
            window.at(*transfer.data, transfer.data_offset + transfer.done, transfer.rest()),
            lane()};
        if (advance(transfer, calls_.transfer_now(step), completion) == Step::kFailed) {
            return static_cast<int>(completion->result);
        }
    }
    return settle(transfer, completion);
}

/// As much as can be had without waiting: reads from the page cache, writes into it.
void LocalFile::try_now(Transfer& transfer) {
    const Way way = transfer.is_write ? kNoWaitWrite : kNoWait;
    if (!has(way) || transfer.fua()) {
        return;
    }
    IovWindow window;
    bool whole = true;
    while (whole && transfer.rest() > 0) {
        const core::FileTransfer step{
            file_.fd.get(),
            transfer.is_write,
            RWF_NOWAIT,
            transfer.offset + transfer.done,
            window.at(*transfer.data, transfer.data_offset + transfer.done, transfer.rest()),
            lane()};
        const std::int64_t result = calls_.transfer_now(step);
        if (result == -EOPNOTSUPP) {
            lacks(way);
        }
        // An error, the end of the file too, is judged by the way that may wait.
        if (result > 0) {
            transfer.done += static_cast<std::uint64_t>(result);
        }
        whole = result > 0 && static_cast<std::uint64_t>(result) == bytes_of(step.iov);
    }
}

bool LocalFile::fits_alignment(const Transfer& transfer) const {
    if ((transfer.offset | transfer.length) % file_.offset_alignment != 0) {
        return false;
    }
    bool fits = true;
    for_each_piece(
        *transfer.data, transfer.data_offset, transfer.length,
        [&](const std::byte* piece, std::size_t length) {
            fits = fits && reinterpret_cast<std::uintptr_t>(piece) % file_.memory_alignment == 0 &&
                   length % file_.offset_alignment == 0;
        });
    return fits;
}

/// The loop of engine transfers. 0, or -errno with `completion` filled.
Task<int> LocalFile::move(core::EngineQueue& queue, Transfer& transfer,
                          lunkit_completion* completion) {
    IovWindow window;
    while (transfer.rest() > 0) {
        const core::FileTransfer step{
            file_.fd.get(),
            transfer.is_write,
            transfer.fua() ? RWF_DSYNC : 0,
            transfer.offset + transfer.done,
            window.at(*transfer.data, transfer.data_offset + transfer.done, transfer.rest()),
            lane(),
            file_.direct()};
        const Outcome outcome = co_await Operation(
            [&](lunkit_completion* inner) { return calls_.submit_transfer(queue, step, inner); });
        const Step came = advance(transfer, outcome.result, completion);
        if (came == Step::kFailed) {
            co_return static_cast<int>(completion->result);
        }
        if (came == Step::kAgain) {
            (void)co_await queue.yield();  // always 0
        }
        // A direct read ends within a block only where the file does.
        if (!transfer.is_write && transfer.rest() > 0 &&
            transfer.done % file_.offset_alignment != 0) {
            co_return fail_at(transfer.done, -EIO, completion);
        }
    }
    co_return 0;
}

/// move(), and when a write with RWF_DSYNC fails: was it the writing, or the sync behind it? One
/// error stands for both. The two are done again one by one then, so that only a sync that fails
/// counts as a failed flush; that it finds what the first one found is what sync_fd is for.
Task<int> LocalFile::carry_out(core::EngineQueue& queue, Transfer& transfer,
                               lunkit_completion* completion) {
    const int error = co_await move(queue, transfer, completion);
    if (error == 0 || !transfer.fua()) {
        co_return error;
    }
    transfer.flags &= ~LUNKIT_IO_FUA;
    const int plain = co_await move(queue, transfer, completion);
    if (plain != 0) {
        co_return plain;
    }
    flush_.wrote();
    const Outcome flushed = co_await Operation([this, &queue](lunkit_completion* inner) {
        return run_flush(*this, queue, inner).settle(inner);
    });
    if (!flushed.ok()) {
        co_return fail_at(LUNKIT_NO_OFFSET, flushed.result, completion);
    }
    co_return 0;
}

Request LocalFile::run(LocalFile& self, core::EngineQueue& queue, Transfer transfer,
                       lunkit_completion* completion) {
    const int error = co_await self.carry_out(queue, transfer, completion);
    if (error == 0) {
        co_return self.settle(transfer, completion);
    }
    if (transfer.is_write) {
        self.flush_.wrote();  // a part of it, perhaps
    }
    co_return error;
}

/// A direct write, beside which no block that it shares with a smaller write is being modified.
Request LocalFile::run_direct(LocalFile& self, core::EngineQueue& queue, Transfer transfer,
                              lunkit_completion* completion) {
    Exclusion::Shared pass(self.blocks_, {transfer.offset, transfer.length});
    if (!pass.entered()) {
        (void)co_await pass.acquire(queue);  // always 0
    }
    const int error = co_await self.carry_out(queue, transfer, completion);
    if (error != 0) {
        self.flush_.wrote();  // a part of it, perhaps
        co_return error;
    }
    co_return self.settle(transfer, completion);
}

}  // namespace lunkit::host

// SPDX-License-Identifier: Apache-2.0
// Direct I/O that does not obey the file's alignment: through an aligned buffer, a piece at a time.
//
// A write that covers a block only in part reads that block, changes it and writes it back. Between
// the two nobody else may write the block, else what was there before would come back: such a write
// holds its blocks exclusively (Exclusion), every other write, discard and zero goes beside it.
#include <algorithm>
#include <cerrno>
#include <optional>
#include <span>

#include "host/local_file.hpp"

namespace lunkit::host {

ByteRange LocalFile::whole_blocks(std::uint64_t offset, std::uint64_t length) const {
    const std::uint64_t block = file_.offset_alignment;
    const std::uint64_t begin = offset / block * block;
    const std::uint64_t end = (offset + length + block - 1) / block * block;
    return {begin, end - begin};
}

Request LocalFile::run_bounced(LocalFile& self, core::EngineQueue& queue, Transfer transfer,
                               lunkit_completion* completion) {
    const BufferPool::Buffer buffer = self.bounce_.take();
    if (buffer == nullptr) {
        completion->result = -ENOMEM;
        co_return -ENOMEM;
    }
    while (transfer.rest() > 0) {
        int error = 0;
        if (transfer.is_write) {
            error = co_await self.bounce_write(queue, transfer, buffer.get(), completion);
        } else {
            error = co_await self.bounce_read(queue, transfer, buffer.get(), completion);
        }
        if (error != 0) {
            if (transfer.is_write) {
                self.flush_.wrote();  // a part of it, perhaps
            }
            completion->result = error;
            completion->error_offset = transfer.done;
            completion->error_class =
                error == -EIO ? LUNKIT_ERROR_MEDIUM : LUNKIT_ERROR_UNSPECIFIED;
            co_return error;
        }
    }
    co_return self.settle(transfer, completion);
}

/// As much of the transfer as one buffer holds, from the blocks that hold it.
Task<int> LocalFile::bounce_read(core::EngineQueue& queue, Transfer& transfer, std::byte* buffer,
                                 lunkit_completion* completion) {
    const std::uint64_t offset = transfer.offset + transfer.done;
    const std::uint64_t head = offset % file_.offset_alignment;
    const std::uint64_t length = std::min<std::uint64_t>(transfer.rest(), bounce_.size() - head);
    const ByteRange blocks = whole_blocks(offset, length);
    const SingleData data(buffer, blocks.length);
    Transfer inner{false, 0, blocks.offset, &data, 0, blocks.length};
    const int error = co_await move(queue, inner, completion);
    // The last block of the file may be cut short; what was asked for must be there.
    const std::uint64_t there = inner.done > head ? std::min(inner.done - head, length) : 0;
    copy_to_iov(*transfer.data, transfer.data_offset + transfer.done,
                std::span(buffer + head, there));
    transfer.done += there;
    co_return there == length ? 0 : error;
}

/// Reads one whole block.
Task<int> LocalFile::fill_block(core::EngineQueue& queue, std::uint64_t offset, std::byte* block,
                                lunkit_completion* completion) {
    const SingleData data(block, file_.offset_alignment);
    Transfer inner{false, 0, offset, &data, 0, data.length};
    const int error = co_await move(queue, inner, completion);
    co_return error;
}

Task<int> LocalFile::bounce_write(core::EngineQueue& queue, Transfer& transfer, std::byte* buffer,
                                  lunkit_completion* completion) {
    const std::uint32_t block = file_.offset_alignment;
    const std::uint64_t offset = transfer.offset + transfer.done;
    const std::uint64_t head = offset % block;
    const std::uint64_t length = std::min<std::uint64_t>(transfer.rest(), bounce_.size() - head);
    const ByteRange blocks = whole_blocks(offset, length);
    const bool partial_head = head != 0;
    const bool partial_tail = (offset + length) % block != 0;

    std::optional<Exclusion::Exclusive> alone;
    std::optional<Exclusion::Shared> pass;
    if (partial_head || partial_tail) {
        alone.emplace(blocks_, blocks);
        (void)co_await alone->acquire(queue);  // always 0
        (void)co_await alone->drain(queue);    // always 0
    } else {
        pass.emplace(blocks_, blocks);  // only the memory is not aligned
        if (!pass->entered()) {
            (void)co_await pass->acquire(queue);  // always 0
        }
    }
    if (partial_head) {
        const int error = co_await fill_block(queue, blocks.offset, buffer, completion);
        if (error != 0) {
            co_return error;
        }
    }
    if (partial_tail && !(partial_head && blocks.length == block)) {
        const std::uint64_t last = blocks.length - block;
        const int error =
            co_await fill_block(queue, blocks.offset + last, buffer + last, completion);
        if (error != 0) {
            co_return error;
        }
    }
    copy_from_iov(*transfer.data, transfer.data_offset + transfer.done,
                  std::span(buffer + head, length));
    const SingleData data(buffer, blocks.length);
    Transfer inner{true, transfer.flags, blocks.offset, &data, 0, blocks.length};
    const int error = co_await carry_out(queue, inner, completion);
    if (error == 0) {
        transfer.done += length;
    }
    co_return error;
}

}  // namespace lunkit::host

// SPDX-License-Identifier: Apache-2.0
#include "scsi/block_copy.hpp"

#include <algorithm>
#include <optional>

#include "scsi/copy_limits.hpp"
#include "scsi/errno_sense.hpp"

namespace lunkit::scsi {
namespace {

/// How the pieces of a copy are to be taken.
struct Manner {
    bool alone = false;
    bool backward = false;
};

Manner manner_of(const BlockCopy& copy) {
    const ByteRange from{copy.source.offset, copy.length};
    const ByteRange to{copy.destination.offset, copy.length};
    const bool alone = copy.source.is_own && copy.destination.is_own && from.overlaps(to);
    return {alone, alone && to.offset > from.offset};
}

ByteRange union_of(ByteRange a, ByteRange b) {
    const std::uint64_t begin = std::min(a.offset, b.offset);
    return {begin, std::max(a.end(), b.end()) - begin};
}

Task<std::optional<CopyFailure>> copy_piece(Unit& unit, Queue& queue, const IoRequest& from,
                                            const IoRequest& to, const BlockCopy& copy,
                                            bool alone) {
    std::optional<Medium::Hold> hold;
    if (alone) {
        hold.emplace(unit.device, union_of(from.range(), to.range()));
        co_await hold->acquire(queue);
    }
    const Status read = co_await copy.source.device->read(queue, from);
    if (!read) {
        const FailedOperation failed{Direction::kRead, from.offset / unit.options.block_size,
                                     unit.options.block_size};
        co_return CopyFailure{ForwardedSense::By::kCopySource, ending_of(read.error(), failed)};
    }
    if (copy.represents != nullptr && !copy.represents->is_valid()) {
        co_return CopyFailure{
            ForwardedSense::By::kCopySource,
            check_condition(SenseKey::kIllegalRequest, asc::kInvalidTokenOperationTokenCancelled)};
    }
    Status written;
    if (alone) {
        written = co_await unit.device.write_held(queue, to);
    } else {
        written = co_await copy.destination.device->write(queue, to);
    }
    if (!written) {
        const FailedOperation failed{Direction::kWrite, to.offset / unit.options.block_size,
                                     unit.options.block_size};
        co_return CopyFailure{ForwardedSense::By::kCopyDestination,
                              ending_of(written.error(), failed)};
    }
    co_return std::nullopt;
}

}  // namespace

std::size_t copy_buffer_size(const Unit& unit, std::uint64_t length) {
    const std::uint64_t most =
        std::uint64_t{unit.limits.maximum_transfer_length} * unit.options.block_size;
    return static_cast<std::size_t>(
        std::min({length, most, std::uint64_t{copy_limits::kBufferSize}}));
}

Task<BlockCopyOutcome> copy_blocks(Unit& unit, Queue& queue, const Command& command, BlockCopy copy,
                                   Buffer& buffer) {
    const Manner manner = manner_of(copy);
    BlockCopyOutcome outcome;
    while (outcome.transferred < copy.length) {
        const std::uint64_t length =
            std::min<std::uint64_t>(copy.length - outcome.transferred, buffer.bytes().size());
        const std::uint64_t skip =
            manner.backward ? copy.length - outcome.transferred - length : outcome.transferred;
        SingleData data(buffer.bytes().first(length));
        // What another unit caches is not ours to flush.
        const std::uint32_t flags = unit.write_flags(command, !copy.destination.is_own);
        IoRequest from(copy.source.offset + skip, data, Unit::io_flags(command));
        IoRequest to(copy.destination.offset + skip, data, flags);
        from.tag = to.tag = command.tag;
        outcome.failure = co_await copy_piece(unit, queue, from, to, copy, manner.alone);
        if (outcome.failure) {
            co_return outcome;
        }
        outcome.cached = outcome.cached || (flags & LUNKIT_IO_FUA) == 0;
        outcome.transferred += length;
        outcome.complete = manner.backward && skip > 0 ? 0 : outcome.transferred;
        if (outcome.transferred < copy.length) {
            (void)co_await queue.yield();  // its outcome says nothing
        }
    }
    co_return outcome;
}

}  // namespace lunkit::scsi

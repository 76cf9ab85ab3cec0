// SPDX-License-Identifier: Apache-2.0
// Discard and zeroing of a LocalFile: the ladder.
//
// There are several ways to make zeros or holes, and which of them a file has is known only when
// one is tried. Each step that turns out to be missing is remembered for the file. From the top:
//
//                 regular file                             block device
//   discard       fallocate PUNCH_HOLE                     BLKDISCARD (contents then unspecified)
//   zero, unmap   PUNCH_HOLE, then as below                fallocate PUNCH_HOLE (the device's own
//                                                          write zeroes), then as below
//   zero          ZERO_RANGE; PUNCH_HOLE + preallocation;  ZERO_RANGE; BLKZEROOUT
//   in the end    writing zeros                            writing zeros
//
// LUNKIT_ZERO_NO_FALLBACK takes only what is fast for certain. posix_fallocate(3) is none of the
// steps: where the file system cannot, the C library writes data. All of this blocks, so workers
// do it.
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>

#include <algorithm>
#include <cerrno>

#include "host/local_file.hpp"

namespace lunkit::host {

namespace {

/// Bytes of one call: some file systems had 32-bit lengths, and a worker should not be gone for
/// minutes.
constexpr std::uint64_t kStepSize = 1ULL << 30U;
/// In memory, up to this many bytes are quicker done than handed to a worker.
constexpr std::uint64_t kInlineSize = 1ULL << 20U;

bool is_missing(int error) {
    return error == -EOPNOTSUPP || error == -ENOTTY || error == -ENOSYS;
}

/// The whole units within `range`; length 0 if there are none.
ByteRange inward(ByteRange range, std::uint64_t unit) {
    const std::uint64_t begin = (range.offset + unit - 1) / unit * unit;
    const std::uint64_t end = range.end() / unit * unit;
    return {begin, end > begin ? end - begin : 0};
}

int range_refusal(const OpenedFile& file, std::uint64_t offset, std::uint64_t length) {
    if (!ByteRange::fits(offset, length, INT64_MAX)) {
        return -EINVAL;
    }
    return file.read_only ? -EROFS : 0;
}

}  // namespace

int LocalFile::one_step(Way way, std::uint64_t offset, std::uint64_t length) {
    const int fd = file_.fd.get();
    switch (way) {
        case kPunchHole:
            return calls_.allocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length);
        case kZeroRange:
            return calls_.allocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, offset, length);
        case kPreallocate:
            return calls_.allocate(fd, FALLOC_FL_KEEP_SIZE, offset, length);
        case kBlockDiscard:
            return calls_.block_range(fd, BLKDISCARD, offset, length);
        default:
            return calls_.block_range(fd, BLKZEROOUT, offset, length);
    }
}

/// One way over the whole range: 0, -EOPNOTSUPP if the file does not have it, or another -errno.
int LocalFile::climb(Way way, std::uint64_t offset, std::uint64_t length) {
    if (!has(way)) {
        return -EOPNOTSUPP;
    }
    while (length > 0) {
        const std::uint64_t step = std::min(length, kStepSize);
        const int error = one_step(way, offset, step);
        if (error == -EINTR) {
            continue;
        }
        if (is_missing(error)) {
            lacks(way);
            return -EOPNOTSUPP;
        }
        if (error < 0) {
            // Some file systems say EINVAL for ranges that this one way cannot do.
            return error == -EINVAL && way == kZeroRange ? -EOPNOTSUPP : error;
        }
        offset += step;
        length -= step;
    }
    return 0;
}

int LocalFile::discard_blocking(std::uint64_t offset, std::uint64_t length) {
    if (!file_.is_block_device) {
        return climb(kPunchHole, offset, length);
    }
    // It is a hint: what fills no sector stays.
    const ByteRange sectors = inward({offset, length}, file_.sector_size);
    return climb(kBlockDiscard, sectors.offset, sectors.length);
}

int LocalFile::zero_blocking(std::uint64_t offset, std::uint64_t length, std::uint32_t flags) {
    if ((flags & LUNKIT_ZERO_MAY_UNMAP) != 0) {
        const int error = climb(kPunchHole, offset, length);
        if (error != -EOPNOTSUPP) {
            return error;
        }
    }
    if (file_.is_block_device && (flags & LUNKIT_ZERO_NO_FALLBACK) != 0) {
        return -EOPNOTSUPP;  // the kernel would write zeros itself, slowly
    }
    int error = climb(kZeroRange, offset, length);
    if (error != -EOPNOTSUPP) {
        return error;
    }
    if (file_.is_block_device) {
        return climb(kBlockZeroOut, offset, length);
    }
    if (!has(kPreallocate)) {
        return -EOPNOTSUPP;
    }
    error = climb(kPunchHole, offset, length);
    return error != 0 ? error : climb(kPreallocate, offset, length);
}

int LocalFile::discard(core::EngineQueue& queue, std::uint64_t offset, std::uint64_t length,
                       lunkit_completion* completion) {
    if (const int error = range_refusal(file_, offset, length); error != 0) {
        return error;
    }
    if (!has(file_.is_block_device ? kBlockDiscard : kPunchHole)) {
        return -EOPNOTSUPP;
    }
    if (file_.in_memory && length <= kInlineSize) {
        completion->result = 0;
        return discard_blocking(offset, length);
    }
    return run_discard(*this, queue, {offset, length}, completion).settle(completion);
}

Request LocalFile::run_discard(LocalFile& self, core::EngineQueue& queue, ByteRange range,
                               lunkit_completion* completion) {
    Exclusion::Shared pass(self.blocks_, range);
    if (!pass.entered()) {
        (void)co_await pass.acquire(queue);  // always 0
    }
    const Outcome outcome = co_await queue.offload(self.lane(), [&]() -> std::int64_t {
        return self.discard_blocking(range.offset, range.length);
    });
    self.flush_.wrote();
    completion->result = outcome.result;
    co_return static_cast<int>(std::min<std::int64_t>(outcome.result, LUNKIT_DONE));
}

int LocalFile::zero(core::EngineQueue& queue, std::uint64_t offset, std::uint64_t length,
                    std::uint32_t flags, lunkit_completion* completion) {
    if (const int error = range_refusal(file_, offset, length); error != 0) {
        return error;
    }
    return run_zero(*this, queue, {offset, length}, flags, completion).settle(completion);
}

Request LocalFile::run_zero(LocalFile& self, core::EngineQueue& queue, ByteRange range,
                            std::uint32_t flags, lunkit_completion* completion) {
    const bool fallback = (flags & LUNKIT_ZERO_NO_FALLBACK) == 0;
    // Block devices are zeroed by sectors; what is left at both ends is written.
    const ByteRange sectors = inward(range, self.file_.sector_size);
    const bool ragged = sectors.length != range.length;
    if (ragged && !fallback) {
        co_return -EOPNOTSUPP;
    }
    std::int64_t result = sectors.length == 0 ? -EOPNOTSUPP : 0;
    if (sectors.length != 0) {
        Exclusion::Shared pass(self.blocks_, sectors);
        if (!pass.entered()) {
            (void)co_await pass.acquire(queue);  // always 0
        }
        if (self.file_.in_memory && sectors.length <= kInlineSize) {
            result = self.zero_blocking(sectors.offset, sectors.length, flags);
        } else {
            const Outcome outcome = co_await queue.offload(self.lane(), [&]() -> std::int64_t {
                return self.zero_blocking(sectors.offset, sectors.length, flags);
            });
            result = outcome.result;
        }
        self.flush_.wrote();
    }
    if (result == -EOPNOTSUPP && fallback) {
        result = co_await self.write_zeroes(queue, range, completion);
    } else if (result == 0 && ragged) {
        const ByteRange head{range.offset, sectors.offset - range.offset};
        const ByteRange tail{sectors.end(), range.end() - sectors.end()};
        result = co_await self.write_zeroes(queue, head, completion);
        if (result == 0) {
            result = co_await self.write_zeroes(queue, tail, completion);
        }
    }
    completion->result = result;
    co_return static_cast<int>(std::min<std::int64_t>(result, LUNKIT_DONE));
}

/// The last step of the ladder. 0, or -errno with `completion` filled.
Task<int> LocalFile::write_zeroes(core::EngineQueue& queue, ByteRange range,
                                  lunkit_completion* completion) {
    const SingleData data(zeroes());
    while (range.length > 0) {
        const std::uint64_t step = std::min<std::uint64_t>(range.length, data.length);
        const Outcome outcome = co_await Operation([&](lunkit_completion* inner) {
            return write(queue, range.offset, data, 0, step, 0, inner);
        });
        if (outcome.result < 0) {
            completion->error_class = outcome.error_class;
            co_return static_cast<int>(outcome.result);
        }
        range.offset += step;
        range.length -= step;
    }
    co_return 0;
}

}  // namespace lunkit::host

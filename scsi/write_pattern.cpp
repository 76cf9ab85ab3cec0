// SPDX-License-Identifier: Apache-2.0
#include "scsi/write_pattern.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "scsi/buffer.hpp"
#include "scsi/errno_sense.hpp"

namespace lunkit::scsi {

Task<Ending> write_pattern(Unit& unit, Queue& queue, const Command& command, ByteRange range,
                           std::span<const std::byte> block) {
    Buffer buffer(static_cast<std::size_t>(std::min<std::uint64_t>(range.length, kMaxBufferSize)));
    if (!buffer) {
        co_return busy();
    }
    for (std::size_t at = 0; at < buffer.bytes().size(); at += block.size()) {
        std::memcpy(buffer.bytes().data() + at, block.data(), block.size());
    }
    bool cached = false;
    for (std::uint64_t done = 0; done < range.length;) {
        const std::uint64_t length =
            std::min<std::uint64_t>(range.length - done, buffer.bytes().size());
        SingleData data(buffer.bytes().first(length));
        const std::uint32_t flags = unit.write_flags(command, false);
        IoRequest io(range.offset + done, data, flags);
        io.tag = command.tag;
        io.progress = unit.progress_of(command);  // of a zoned unit it is the only piece
        const Status written = co_await unit.device.write(queue, io);
        if (!written) {
            co_return ending_of(written.error(), {Direction::kWrite, io.offset / block.size(),
                                                  unit.options.block_size});
        }
        cached = cached || (flags & LUNKIT_IO_FUA) == 0;
        done += length;
        if (done < range.length) {
            (void)co_await queue.yield();  // its outcome says nothing
        }
    }
    if (cached && !unit.mode.write_cache_enabled) {
        co_return co_await unit.flush(queue);
    }
    co_return good();
}

Task<Ending> write_zeros(Unit& unit, Queue& queue, const Command& command, ByteRange range,
                         bool may_unmap) {
    const std::uint32_t flags = unit.write_flags(command, false);
    IoRequest io(range.offset, range.length, flags | (may_unmap ? LUNKIT_IO_MAY_UNMAP : 0U));
    io.tag = command.tag;
    io.progress = unit.progress_of(command);
    const Status done = co_await unit.device.write_zeroes(queue, io);
    if (!done && done.error().code == EOPNOTSUPP) {
        Buffer block(unit.options.block_size);
        if (!block) {
            co_return busy();
        }
        std::ranges::fill(block.bytes(), std::byte{0});
        co_return co_await write_pattern(unit, queue, command, range, block.bytes());
    }
    if (!done) {
        co_return ending_of(
            done.error(),
            {Direction::kWrite, range.offset / unit.options.block_size, unit.options.block_size});
    }
    if (unit.is_unsettled(flags)) {
        co_return co_await unit.flush(queue);
    }
    co_return good();
}

}  // namespace lunkit::scsi

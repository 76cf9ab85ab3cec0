// SPDX-License-Identifier: Apache-2.0
// Handlers that can only block: their callbacks run on workers, in the device's own lane, so that a
// stuck device holds up itself only.
#include <algorithm>
#include <cerrno>
#include <cstddef>

#include "host/plugin_device.hpp"
#include "lunkit/file.hpp"
#include "lunkit/try.hpp"

namespace lunkit::host {

namespace {

/// data[offset, +length) if that is one piece of memory, else nullptr. Kind LUNKIT_DATA_IOV.
std::byte* one_piece(const lunkit_data& data, std::uint64_t offset, std::uint64_t length) {
    std::byte* found = nullptr;
    for_each_piece(data, offset, length, [&](std::byte* piece, std::size_t size) {
        if (size == length) {
            found = piece;
        }
    });
    return found;
}

}  // namespace

/// Some callback of this handler is of the blocking style.
bool PluginDevice::blocks() const {
    return has_blocking(Deed::kRead) || has_blocking(Deed::kWrite) ||
           has_blocking(Deed::kDiscard) || has_blocking(Deed::kWriteZeroes) ||
           handler_.flush_blocking != nullptr;
}

bool PluginDevice::has_blocking(Deed deed) const {
    switch (deed) {
        case Deed::kRead:
            return handler_.read_blocking != nullptr;
        case Deed::kWrite:
            return handler_.write_blocking != nullptr;
        case Deed::kDiscard:
            return handler_.discard_blocking != nullptr;
        default:
            return handler_.write_zeroes_blocking != nullptr;
    }
}

std::int64_t PluginDevice::call_blocking(Deed deed, void* memory, std::uint64_t length,
                                         std::uint64_t offset, std::uint32_t flags) const {
    switch (deed) {
        case Deed::kRead:
            return handler_.read_blocking(device_, memory, length, offset, flags);
        case Deed::kWrite:
            return handler_.write_blocking(device_, memory, length, offset, flags);
        case Deed::kDiscard:
            return handler_.discard_blocking(device_, length, offset, flags);
        default:
            return handler_.write_zeroes_blocking(device_, length, offset, flags);
    }
}

template <typename Work>
Task<Status> PluginDevice::on_worker(Queue& queue, Work work) {
    AsyncMutex::Guard turn(serial_);
    if (one_at_a_time_) {
        (void)co_await turn.acquire(queue);  // always 0
    }
    const Outcome outcome = co_await queue.offload(this, work);
    co_return to_status(outcome);
}

/// One call of a blocking callback, or several where its data is not in one piece. FUA is left to
/// the caller.
Task<Status> PluginDevice::block(Queue& queue, const IoRequest& io, Deed deed) {
    const bool has_data = deed == Deed::kRead || deed == Deed::kWrite;
    if (has_data && io.data->kind != LUNKIT_DATA_IOV) {
        co_return failure(EOPNOTSUPP);
    }
    std::byte* const memory = has_data ? one_piece(*io.data, io.data_offset, io.length) : nullptr;
    if (has_data && memory == nullptr) {
        Status status = co_await block_bounced(queue, io, deed);
        co_return status;
    }
    Status status = co_await on_worker(queue, [this, &io, deed, memory]() -> std::int64_t {
        return call_blocking(deed, memory, io.length, io.offset, io.flags & ~LUNKIT_IO_FUA);
    });
    co_return status;
}

Task<Status> PluginDevice::block_bounced(Queue& queue, const IoRequest& io, Deed deed) {
    const BufferPool::Buffer buffer = bounce_.take();
    if (buffer == nullptr) {
        co_return failure(ENOMEM);
    }
    for (std::uint64_t done = 0; done < io.length;) {
        const IoRequest piece =
            io.part(done, std::min<std::uint64_t>(bounce_.size(), io.length - done));
        const std::span<std::byte> bytes(buffer.get(), piece.length);
        if (deed == Deed::kWrite) {
            copy_from_iov(*piece.data, piece.data_offset, bytes);
        }
        CO_CHECK(co_await on_worker(queue, [this, &piece, deed, bytes]() -> std::int64_t {
            return call_blocking(deed, bytes.data(), piece.length, piece.offset,
                                 piece.flags & ~LUNKIT_IO_FUA);
        }));
        if (deed == Deed::kRead) {
            copy_to_iov(*piece.data, piece.data_offset, bytes);
        }
        done += piece.length;
    }
    co_return Status{};
}

Task<Status> PluginDevice::block_flush(Queue& queue) {
    if (handler_.flush_blocking == nullptr) {
        co_return Status{};  // no write cache: what has completed is safe
    }
    Status status = co_await on_worker(
        queue, [this]() -> std::int64_t { return handler_.flush_blocking(device_); });
    co_return status;
}

}  // namespace lunkit::host

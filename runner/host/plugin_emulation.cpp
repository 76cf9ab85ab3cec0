// SPDX-License-Identifier: Apache-2.0
// What a PluginDevice makes up for: limits, write_zeroes by writing, compare_and_write and or_write
// by reading.
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <functional>
#include <optional>
#include <utility>

#include "host/plugin_device.hpp"
#include "lunkit/file.hpp"
#include "lunkit/try.hpp"

namespace lunkit::host {

namespace {

/// The error of a piece that begins `skip` bytes into the request.
std::unexpected<Error> shifted(Status status, std::uint64_t skip) {
    Error error = std::move(status).error();
    if (error.offset != LUNKIT_NO_OFFSET) {
        error.offset += skip;
    }
    return std::unexpected(std::move(error));
}

/// Where data[offset, +length) and `other` first differ. Kind LUNKIT_DATA_IOV.
std::optional<std::uint64_t> first_difference(const lunkit_data& data, std::uint64_t offset,
                                              std::uint64_t length, const std::byte* other) {
    std::uint64_t position = 0;
    std::optional<std::uint64_t> found;
    for_each_piece(data, offset, length, [&](const std::byte* piece, std::size_t size) {
        if (!found && std::memcmp(piece, other + position, size) != 0) {
            found =
                position + static_cast<std::uint64_t>(
                               std::mismatch(piece, piece + size, other + position).first - piece);
        }
        position += size;
    });
    return found;
}

/// Sets in `bytes` the bits of data[offset, +length). Kind LUNKIT_DATA_IOV.
void or_into(std::byte* bytes, const lunkit_data& data, std::uint64_t offset,
             std::uint64_t length) {
    for_each_piece(data, offset, length, [&bytes](const std::byte* piece, std::size_t size) {
        std::transform(piece, piece + size, bytes, bytes, std::bit_or<>());
        bytes += size;
    });
}

}  // namespace

PluginDevice::AsyncCall PluginDevice::async_callback(Deed deed) const {
    switch (deed) {
        case Deed::kRead:
            return handler_.read;
        case Deed::kWrite:
            return handler_.write;
        case Deed::kDiscard:
            return handler_.discard;
        default:
            return handler_.write_zeroes;
    }
}

bool PluginDevice::has(Deed deed) const {
    return async_callback(deed) != nullptr || has_blocking(deed);
}

std::uint64_t PluginDevice::limit(Deed deed) const {
    switch (deed) {
        case Deed::kDiscard:
            return max_discard_.load(std::memory_order_relaxed);
        case Deed::kWriteZeroes:
            return max_write_zeroes_.load(std::memory_order_relaxed);
        default:
            return max_transfer_.load(std::memory_order_relaxed);
    }
}

Task<Status> PluginDevice::transfer_in_pieces(Queue& queue, const IoRequest& io, Deed deed) {
    const AsyncCall callback = async_callback(deed);
    if (deed != Deed::kRead && io.length > limit(deed) && info().type == DeviceType::kZoned) {
        co_return failure(EINVAL);  // in pieces they would share io.progress
    }
    for (std::uint64_t done = 0; done < io.length;) {
        const IoRequest piece = io.part(done, std::min(limit(deed), io.length - done));
        Status status;
        if (callback != nullptr) {
            const Outcome outcome = co_await call(callback, queue, piece);
            status = to_status(outcome);
        } else {
            status = co_await block(queue, piece, deed);
        }
        if (!status) {
            co_return shifted(std::move(status), done);
        }
        done += piece.length;
    }
    if (callback == nullptr && deed != Deed::kRead && io.fua()) {
        CO_CHECK(co_await flush(queue));  // of either style: a handler may mix them
    }
    co_return Status{};
}

Task<Status> PluginDevice::zero(Queue& queue, const IoRequest& io) {
    if (has(Deed::kWriteZeroes)) {
        Status status = co_await transfer_in_pieces(queue, io, Deed::kWriteZeroes);
        if (status || status.error().code != EOPNOTSUPP || info().type == DeviceType::kZoned) {
            co_return status;
        }
    }
    if ((io.flags & LUNKIT_IO_NO_FALLBACK) != 0) {
        co_return failure(EOPNOTSUPP);
    }
    Status status = co_await zero_by_writing(queue, io);
    co_return status;
}

Task<Status> PluginDevice::zero_by_writing(Queue& queue, const IoRequest& io) {
    const SingleData data(zeroes());
    for (std::uint64_t done = 0; done < io.length;) {
        IoRequest piece(io.offset + done, data, io.flags & LUNKIT_IO_FUA);
        piece.length = std::min(data.length, io.length - done);
        piece.tag = io.tag;
        Status status = co_await transfer_in_pieces(queue, piece, Deed::kWrite);
        if (!status) {
            co_return shifted(std::move(status), done);
        }
        done += piece.length;
    }
    co_return Status{};
}

Task<Status> PluginDevice::compare_by_reading(Queue& queue, const IoRequest& io) {
    const BufferPool::Buffer buffer = bounce_.take();
    if (buffer == nullptr) {
        co_return failure(ENOMEM);
    }
    for (std::uint64_t done = 0; done < io.length;) {
        const std::uint64_t step = std::min<std::uint64_t>(bounce_.size(), io.length - done);
        const SingleData data(buffer.get(), step);
        IoRequest piece(io.offset + done, data);
        piece.tag = io.tag;
        Status status = co_await transfer_in_pieces(queue, piece, Deed::kRead);
        if (!status) {
            status.error().while_reading = true;
            co_return shifted(std::move(status), done);
        }
        if (const auto differs =
                first_difference(*io.data, io.data_offset + done, step, buffer.get());
            differs) {
            co_return std::unexpected(Error{EILSEQ, {}, done + *differs});
        }
        done += step;
    }
    co_return Status{};
}

Task<Status> PluginDevice::compare_then_write(Queue& queue, const IoRequest& io) {
    if (io.data->kind != LUNKIT_DATA_IOV) {
        co_return failure(EOPNOTSUPP);
    }
    constexpr std::uint64_t kCompared = 1;
    if (io.progress == nullptr || *io.progress != kCompared) {
        CO_CHECK(co_await compare_by_reading(queue, io));
    }
    if (io.progress != nullptr) {
        // Whoever takes over from here on finds what we write, and must not compare with it.
        std::atomic_ref(*io.progress).store(kCompared, std::memory_order_release);
    }
    IoRequest written = io;
    written.data_offset += io.length;
    written.progress = nullptr;
    Status status = co_await transfer_in_pieces(queue, written, Deed::kWrite);
    co_return status;
}

Task<Status> PluginDevice::or_by_reading(Queue& queue, const IoRequest& io) {
    if (io.data->kind != LUNKIT_DATA_IOV) {
        co_return failure(EOPNOTSUPP);
    }
    const BufferPool::Buffer buffer = bounce_.take();
    if (buffer == nullptr) {
        co_return failure(ENOMEM);
    }
    for (std::uint64_t done = 0; done < io.length;) {
        const std::uint64_t step = std::min<std::uint64_t>(bounce_.size(), io.length - done);
        const SingleData data(buffer.get(), step);
        IoRequest piece(io.offset + done, data);
        piece.tag = io.tag;
        Status status = co_await transfer_in_pieces(queue, piece, Deed::kRead);
        if (status) {
            or_into(buffer.get(), *io.data, io.data_offset + done, step);
            piece.flags = io.flags;
            status = co_await transfer_in_pieces(queue, piece, Deed::kWrite);
        }
        if (!status) {
            co_return shifted(std::move(status), done);
        }
        done += step;
    }
    co_return Status{};
}

}  // namespace lunkit::host

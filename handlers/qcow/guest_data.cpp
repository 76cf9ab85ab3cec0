// SPDX-License-Identifier: Apache-2.0
#include "qcow/guest_data.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "lunkit/io_request.hpp"
#include "lunkit/try.hpp"

namespace lunkit::qcow {

namespace {

constexpr std::uint64_t kPiece = 1ULL << 20U;  // bytes that are copied and encrypted at once
constexpr std::size_t kInline = 16384;  // what is less takes the queue's thread some microseconds

/// The error of a piece, as one of the transfer, of which `done` bytes lie before the piece. The
/// first `skip` bytes of the piece do not belong to the transfer.
Status moved(Status status, std::uint64_t done, std::uint64_t skip = 0) {
    if (!status && status.error().offset != LUNKIT_NO_OFFSET) {
        status.error().offset = done + std::max(status.error().offset, skip) - skip;
    }
    return status;
}

}  // namespace

Task<Status> GuestData::read(Queue& queue, std::uint64_t offset, const lunkit_data& data,
                             std::uint64_t data_offset, std::uint64_t length) {
    if (!encrypted_) {
        co_return co_await file_.read(queue, offset, data, data_offset, length);
    }
    if (cipher_ == nullptr) {
        co_return failure(ENOKEY);
    }
    const std::uint64_t most = std::min(length, kPiece) + 2 * kCryptSector;
    CO_TRY(const HostBuffer buffer, HostBuffer::allocate(file_.host(), most));
    for (std::uint64_t done = 0; done < length;) {
        // Whole sectors around what is wanted.
        const std::uint64_t skip = (offset + done) % kCryptSector;
        const std::uint64_t start = offset + done - skip;
        const std::uint64_t piece = std::min(length - done, kPiece);
        const std::uint64_t sectors = (skip + piece + kCryptSector - 1) / kCryptSector;
        const std::span<std::byte> bytes = buffer.span().first(sectors * kCryptSector);
        const SingleData into(bytes);
        CO_CHECK(moved(co_await file_.read(queue, start, into, 0, bytes.size()), done, skip));
        CO_CHECK(co_await decrypt(queue, start, bytes));
        CO_CHECK(copy_in(file_.host(), data, data_offset + done, bytes.subspan(skip, piece)));
        done += piece;
    }
    co_return Status{};
}

Task<Status> GuestData::write(Queue& queue, std::uint64_t offset, const lunkit_data& data,
                              std::uint64_t data_offset, std::uint64_t length,
                              std::uint32_t flags) {
    if (!encrypted_) {
        co_return co_await file_.write(queue, offset, data, data_offset, length, flags);
    }
    if (cipher_ == nullptr) {
        co_return failure(ENOKEY);
    }
    if (offset % kCryptSector != 0 || length % kCryptSector != 0) {
        co_return failure(EINVAL, "a part of a sector cannot be encrypted");
    }
    CO_TRY(const HostBuffer buffer, HostBuffer::allocate(file_.host(), std::min(length, kPiece)));
    for (std::uint64_t done = 0; done < length;) {
        const std::span<std::byte> bytes = buffer.span().first(std::min(length - done, kPiece));
        CO_CHECK(copy_out(file_.host(), data, data_offset + done, bytes));
        CO_CHECK(co_await encrypt(queue, offset + done, bytes));
        const SingleData from(bytes);
        CO_CHECK(
            moved(co_await file_.write(queue, offset + done, from, 0, bytes.size(), flags), done));
        done += bytes.size();
    }
    co_return Status{};
}

Task<Status> GuestData::write_bytes(Queue& queue, std::uint64_t offset,
                                    std::span<const std::byte> from) {
    // Nobody writes through an iovec of a write; its type cannot say so.
    const SingleData data(const_cast<std::byte*>(from.data()), from.size());
    co_return co_await write(queue, offset, data, 0, from.size());
}

Task<Status> GuestData::decrypt(Queue& queue, std::uint64_t offset, std::span<std::byte> bytes) {
    SectorCipher& cipher = *cipher_;
    co_return co_await crypt(queue, bytes.size(), [&cipher, offset, bytes]() -> std::int64_t {
        return cipher.decrypt(bytes, offset / kCryptSector);
    });
}

Task<Status> GuestData::encrypt(Queue& queue, std::uint64_t offset, std::span<std::byte> bytes) {
    SectorCipher& cipher = *cipher_;
    co_return co_await crypt(queue, bytes.size(), [&cipher, offset, bytes]() -> std::int64_t {
        return cipher.encrypt(bytes, offset / kCryptSector);
    });
}

/// Much of it goes to a worker, so that other devices of the queue do not wait.
template <typename Work>
Task<Status> GuestData::crypt(Queue& queue, std::size_t size, Work work) {
    std::int64_t status = 0;
    if (size <= kInline) {
        status = work();
    } else {
        const Outcome outcome = co_await queue.offload(this, work);
        status = outcome.result;
    }
    if (status < 0) {
        co_return failure(static_cast<int>(-status));
    }
    co_return Status{};
}

}  // namespace lunkit::qcow

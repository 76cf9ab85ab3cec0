// SPDX-License-Identifier: Apache-2.0
#include "qcow/image_file.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "lunkit/host_buffer.hpp"
#include "lunkit/io_request.hpp"
#include "lunkit/try.hpp"

namespace lunkit::qcow {

namespace {

/// pread and pwrite of a descriptor that may be O_DIRECT: whole pages, in page-aligned memory.
constexpr std::uint64_t kPage = 4096;

Result<std::size_t> read_pages(int fd, std::uint64_t offset, std::span<std::byte> to) {
    std::size_t done = 0;
    while (done < to.size()) {
        const ssize_t got =
            ::pread(fd, to.data() + done, to.size() - done, static_cast<off_t>(offset + done));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return failure(errno);
        }
        if (got == 0) {
            break;
        }
        done += static_cast<std::size_t>(got);
    }
    return done;
}

}  // namespace

Result<ImageFile> ImageFile::open(const lunkit_host& host, const std::string& path,
                                  std::uint32_t flags, const char* base, std::uint64_t size) {
    ImageFile image;
    image.host_ = &host;
    image.path_ = path;
    TRY(image.file_, File::open(host, path, flags, size, base));
    TRY(image.info_, image.file_.info());
    image.end_ = image.info_.size;
    return image;
}

Task<Status> ImageFile::read(Queue& queue, std::uint64_t offset, const lunkit_data& data,
                             std::uint64_t data_offset, std::uint64_t length) {
    const std::uint64_t there = offset < end_ ? std::min(length, end_ - offset) : 0;
    if (there > 0) {
        const Outcome outcome = co_await file_.read(queue, offset, data, data_offset, there);
        CO_CHECK(to_status(outcome));
    }
    if (there < length) {
        CO_CHECK(fill_zeros(*host_, data, data_offset + there, length - there));
    }
    co_return Status{};
}

Task<Status> ImageFile::read_exact(Queue& queue, std::uint64_t offset, std::span<std::byte> to) {
    if (!ByteRange::fits(offset, to.size(), end_)) {
        co_return failure(EIO, fmt::format("{}: metadata at {:#x} lies beyond the end of the file",
                                           path_, offset));
    }
    const SingleData data(to);
    const Outcome outcome = co_await file_.read(queue, offset, data, 0, to.size());
    co_return to_status(outcome);
}

Task<Status> ImageFile::write(Queue& queue, std::uint64_t offset, const lunkit_data& data,
                              std::uint64_t data_offset, std::uint64_t length,
                              std::uint32_t flags) {
    const Outcome outcome = co_await file_.write(queue, offset, data, data_offset, length, flags);
    lost_ = lost_ || (!outcome.ok() && (flags & LUNKIT_IO_FUA) != 0);
    CO_CHECK(to_status(outcome));
    wrote_until(offset + length);
    co_return Status{};
}

Task<Status> ImageFile::write_bytes(Queue& queue, std::uint64_t offset,
                                    std::span<const std::byte> from) {
    // Nobody writes through an iovec of a write; its type cannot say so.
    const SingleData data(const_cast<std::byte*>(from.data()), from.size());
    co_return co_await write(queue, offset, data, 0, from.size());
}

Task<Status> ImageFile::zero(Queue& queue, std::uint64_t offset, std::uint64_t length,
                             std::uint32_t flags) {
    const Outcome outcome = co_await file_.zero(queue, offset, length, flags);
    CO_CHECK(to_status(outcome));
    co_return Status{};
}

Task<Status> ImageFile::discard(Queue& queue, std::uint64_t offset, std::uint64_t length) {
    const Outcome outcome = co_await file_.discard(queue, offset, length);
    co_return to_status(outcome);
}

Task<Status> ImageFile::flush(Queue& queue) {
    const Outcome outcome = co_await file_.flush(queue);
    lost_ = lost_ || !outcome.ok();
    co_return to_status(outcome);
}

Task<Status> ImageFile::resize(Queue& queue, std::uint64_t size) {
    const auto work = [this, size]() -> std::int64_t {
        const Status resized = file_.resize(size);
        return resized ? 0 : -resized.error().code;
    };
    const Outcome outcome = co_await queue.offload(this, work);
    CO_CHECK(to_status(outcome));
    end_ = size;
    co_return Status{};
}

Status ImageFile::read_blocking(std::uint64_t offset, std::span<std::byte> to) const {
    if (to.empty()) {
        return {};
    }
    if (!ByteRange::fits(offset, to.size(), end_)) {
        return failure(EIO, fmt::format("{}: metadata at {:#x} lies beyond the end of the file",
                                        path_, offset));
    }
    const std::uint64_t start = offset / kPage * kPage;
    const std::uint64_t length = (offset + to.size() + kPage - 1) / kPage * kPage - start;
    TRY(const HostBuffer pages, HostBuffer::allocate(*host_, length));
    TRY(const std::size_t got, read_pages(info_.fd, start, pages.span()));
    if (got < offset - start + to.size()) {
        return failure(EIO, path_ + " is shorter than it was");
    }
    std::memcpy(to.data(), pages.data() + (offset - start), to.size());
    return {};
}

Status ImageFile::write_blocking(std::uint64_t offset, std::span<const std::byte> from) {
    const std::uint64_t start = offset / kPage * kPage;
    const std::uint64_t length = (offset + from.size() + kPage - 1) / kPage * kPage - start;
    TRY(const HostBuffer pages, HostBuffer::allocate(*host_, length));
    TRY(const std::size_t got, read_pages(info_.fd, start, pages.span()));
    std::memset(pages.data() + got, 0, length - got);
    std::memcpy(pages.data() + (offset - start), from.data(), from.size());
    std::size_t done = 0;
    // Never longer than the file and what is written, unless O_DIRECT makes it whole pages.
    const bool direct = info_.logical_block_size > 1;
    const std::uint64_t most =
        direct ? length : std::max<std::uint64_t>(got, offset - start + from.size());
    while (done < most) {
        const ssize_t put =
            ::pwrite(info_.fd, pages.data() + done, most - done, static_cast<off_t>(start + done));
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put <= 0) {
            return failure(put < 0 ? errno : EIO);
        }
        done += static_cast<std::size_t>(put);
    }
    wrote_until(offset + from.size());
    return {};
}

Status ImageFile::resize_blocking(std::uint64_t size) {
    CHECK(file_.resize(size));
    end_ = size;
    return {};
}

Status ImageFile::flush_blocking() const {
    return ::fdatasync(info_.fd) == 0 ? Status{} : Status{failure(errno)};
}

Status fill_zeros(const lunkit_host& host, const lunkit_data& data, std::uint64_t offset,
                  std::uint64_t length) {
    if (data.kind == LUNKIT_DATA_IOV) {
        zero_iov(data, offset, length);
        return {};
    }
    static constexpr std::array<std::byte, kPage> kZeros{};
    while (length > 0) {
        const std::uint64_t piece = std::min<std::uint64_t>(length, kZeros.size());
        CHECK(copy_in(host, data, offset, std::span(kZeros).first(piece)));
        offset += piece;
        length -= piece;
    }
    return {};
}

Status copy_out(const lunkit_host& host, const lunkit_data& data, std::uint64_t offset,
                std::span<std::byte> to) {
    if (data.kind == LUNKIT_DATA_IOV) {
        copy_from_iov(data, offset, to);
        return {};
    }
    if (const int status = host.copy_from(&data, offset, to.data(), to.size()); status < 0) {
        return failure(-status);
    }
    return {};
}

Status copy_in(const lunkit_host& host, const lunkit_data& data, std::uint64_t offset,
               std::span<const std::byte> from) {
    if (data.kind == LUNKIT_DATA_IOV) {
        copy_to_iov(data, offset, from);
        return {};
    }
    if (const int status = host.copy_to(&data, offset, from.data(), from.size()); status < 0) {
        return failure(-status);
    }
    return {};
}

}  // namespace lunkit::qcow

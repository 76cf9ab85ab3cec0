// SPDX-License-Identifier: Apache-2.0
// Image: reading.
#include <algorithm>
#include <cerrno>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "lunkit/try.hpp"
#include "qcow/image.hpp"
#include "qcow/inflate.hpp"

namespace lunkit::qcow {

Task<Status> Image::read(Queue& queue, const IoRequest& io) {
    RangeLock::Guard guard(ranges_, lock_range(io.range()), RangeLock::Mode::kShared);
    co_await guard.acquire(queue);
    Status status = co_await read_range(queue, io.offset, *io.data, io.data_offset, io.length);
    co_return co_await settle(queue, std::move(status));
}

Task<Status> Image::read_range(Queue& queue, std::uint64_t offset, const lunkit_data& data,
                               std::uint64_t data_offset, std::uint64_t length) {
    // Whole clusters have an entry, also where the disk ends within the last.
    const std::uint64_t end = geometry_.round_up(size());
    for (std::uint64_t done = 0; done < length;) {
        const std::uint64_t at = offset + done;
        if (at >= end) {
            co_return fill_zeros(file_.host(), data, data_offset + done, length - done);
        }
        CO_TRY(const Mapping mapping,
               co_await metadata_.map.map(queue, at, std::min(length - done, end - at)));
        Status status = co_await read_mapped(queue, mapping, at, data, data_offset + done);
        if (!status) {
            if (status.error().offset != LUNKIT_NO_OFFSET) {
                status.error().offset += done;
            }
            co_return status;
        }
        done += mapping.length;
    }
    co_return Status{};
}

Task<Status> Image::read_mapped(Queue& queue, Mapping mapping, std::uint64_t offset,
                                const lunkit_data& data, std::uint64_t data_offset) {
    switch (mapping.kind) {
        case Kind::kData:
            co_return co_await data_file().read(queue, mapping.host_offset, data, data_offset,
                                                mapping.length);
        case Kind::kCompressed:
            co_return co_await read_compressed(queue, mapping, offset, data, data_offset);
        case Kind::kUnallocated:
            if (backing_ != nullptr) {
                Status status =
                    co_await backing_->read_range(queue, offset, data, data_offset, mapping.length);
                if (!status && status.error().error_class == ErrorClass::kInternal) {
                    status.error().error_class = ErrorClass::kMedium;  // not this image's damage
                }
                co_return status;
            }
            break;
        case Kind::kZero:
            break;
    }
    co_return fill_zeros(file_.host(), data, data_offset, mapping.length);
}

Task<Status> Image::read_compressed(Queue& queue, Mapping mapping, std::uint64_t offset,
                                    const lunkit_data& data, std::uint64_t data_offset) {
    if (inflated_.size() == 0 || inflated_offset_ != mapping.host_offset) {
        CO_TRY(const Buffer compressed, Buffer::allocate(file_.host(), mapping.compressed_length));
        CO_TRY(Buffer cluster, Buffer::allocate(file_.host(), geometry_.cluster_size()));
        const SingleData into(compressed.span());
        CO_CHECK(
            co_await file_.read(queue, mapping.host_offset, into, 0, mapping.compressed_length));
        const CompressionType type = header_.compression_type;
        const auto work = [type, &compressed, &cluster]() -> std::int64_t {
            return inflate_cluster(type, compressed.span(), cluster.span());
        };
        const Outcome outcome = co_await queue.offload(this, work);
        if (!outcome.ok()) {
            co_return std::unexpected<Error>(
                Error{static_cast<int>(-outcome.result),
                      fmt::format("{}: the compressed cluster at {:#x} is damaged", file_.path(),
                                  mapping.host_offset),
                      0, ErrorClass::kMedium});
        }
        inflated_ = std::move(cluster);
        inflated_offset_ = mapping.host_offset;
    }
    const std::span<const std::byte> cluster = inflated_.span();
    co_return copy_in(file_.host(), data, data_offset,
                      cluster.subspan(geometry_.within_cluster(offset), mapping.length));
}

Task<Result<std::uint32_t>> Image::extents(Queue& queue, ByteRange range,
                                           std::span<Extent> extents) {
    constexpr int kMostLookups = 4096;  // a caller resumes; nobody waits for a whole disk
    std::uint32_t count = 0;
    std::uint64_t at = range.offset;
    for (int lookups = 0; at < range.end() && lookups < kMostLookups; ++lookups) {
        CO_TRY(const Mapping mapping, co_await metadata_.map.map(queue, at, range.end() - at));
        std::uint64_t length = mapping.length;
        std::uint32_t flags = 0;
        if (mapping.kind == Kind::kZero) {
            flags = LUNKIT_EXTENT_ZERO | (mapping.reserved ? 0U : LUNKIT_EXTENT_HOLE);
        } else if (mapping.kind == Kind::kUnallocated) {
            if (backing_covers(at)) {
                length = std::min(length, backing_->size() - at);
            } else {
                flags = LUNKIT_EXTENT_HOLE | LUNKIT_EXTENT_ZERO;
            }
        }
        if (count > 0 && extents[count - 1].flags == flags) {
            extents[count - 1].length += length;
        } else if (count < extents.size()) {
            extents[count++] = {length, flags, 0};
        } else {
            break;
        }
        at += length;
    }
    co_return count;
}

}  // namespace lunkit::qcow

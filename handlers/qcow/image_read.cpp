// SPDX-License-Identifier: Apache-2.0
// Image: reading.
#include <algorithm>
#include <span>
#include <utility>

#include "lunkit/try.hpp"
#include "qcow/extent_list.hpp"
#include "qcow/image.hpp"

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
            co_return co_await data_.read(queue, mapping.host_offset, data, data_offset,
                                          mapping.length);
        case Kind::kCompressed:
            co_return co_await compressed_.read(
                queue, {mapping.host_offset, mapping.compressed_length},
                geometry_.within_cluster(offset), data, data_offset, mapping.length);
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

Task<Result<std::uint32_t>> Image::extents(Queue& queue, ByteRange range,
                                           std::span<Extent> extents) {
    constexpr int kMostLookups = 4096;  // a caller resumes; nobody waits for a whole disk
    ExtentList list(extents);
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
        if (!list.add(length, flags)) {
            break;
        }
        at += length;
    }
    co_return list.count();
}

}  // namespace lunkit::qcow

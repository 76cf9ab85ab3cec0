// SPDX-License-Identifier: Apache-2.0
#include "qcow/disk.hpp"

#include <algorithm>
#include <utility>

#include "lunkit/try.hpp"
#include "qcow/extent_list.hpp"

namespace lunkit::qcow {

Disk::Disk(ImageFile file, CompressionType compression, std::uint64_t cluster_size,
           std::unique_ptr<Source> backing)
    : file_(std::move(file)),
      backing_(std::move(backing)),
      cluster_size_(cluster_size),
      compressed_(file_, compression, cluster_size) {}

Task<Status> Disk::read_range(Queue& queue, std::uint64_t offset, const lunkit_data& data,
                              std::uint64_t data_offset, std::uint64_t length) {
    const std::uint64_t end = mapped_end();
    for (std::uint64_t done = 0; done < length;) {
        const std::uint64_t at = offset + done;
        if (at >= end) {
            co_return fill_zeros(file_.host(), data, data_offset + done, length - done);
        }
        CO_TRY(const Mapping mapping, co_await map(queue, at, std::min(length - done, end - at)));
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

Task<Status> Disk::read_mapped(Queue& queue, Mapping mapping, std::uint64_t offset,
                               const lunkit_data& data, std::uint64_t data_offset) {
    switch (mapping.kind) {
        case Kind::kData:
            co_return co_await read_data(queue, mapping.host_offset, data, data_offset,
                                         mapping.length);
        case Kind::kCompressed:
            co_return co_await compressed_.read(
                queue, {mapping.host_offset, mapping.compressed_length},
                offset & (cluster_size_ - 1), data, data_offset, mapping.length);
        case Kind::kUnallocated:
            co_return co_await read_backing(queue, {offset, mapping.length}, data, data_offset);
        case Kind::kZero:
            break;
    }
    co_return fill_zeros(file_.host(), data, data_offset, mapping.length);
}

/// Where nothing is below there are zeros: also behind the end of a shorter disk, whatever its last
/// cluster holds there.
Task<Status> Disk::read_backing(Queue& queue, ByteRange range, const lunkit_data& data,
                                std::uint64_t data_offset) {
    std::uint64_t there = 0;
    if (backing_covers(range.offset)) {
        there = std::min(range.length, backing_->size() - range.offset);
        Status status =
            co_await backing_->read_range(queue, range.offset, data, data_offset, there);
        if (!status && status.error().error_class == ErrorClass::kInternal) {
            status.error().error_class = ErrorClass::kMedium;  // not this image's damage
        }
        CO_CHECK(status);
    }
    if (there < range.length) {
        CO_CHECK(fill_zeros(file_.host(), data, data_offset + there, range.length - there));
    }
    co_return Status{};
}

Task<Result<std::uint32_t>> Disk::extents(Queue& queue, ByteRange range,
                                          std::span<Extent> extents) {
    constexpr int kMostLookups = 4096;  // a caller resumes; nobody waits for a whole disk
    ExtentList list(extents);
    std::uint64_t at = range.offset;
    for (int lookups = 0; at < range.end() && lookups < kMostLookups; ++lookups) {
        CO_TRY(const Mapping mapping, co_await map(queue, at, range.end() - at));
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

// SPDX-License-Identifier: Apache-2.0
#include "qcow/qcow1_image.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fmt/format.h>

#include "lunkit/try.hpp"
#include "qcow/big_endian.hpp"
#include "qcow/extent_list.hpp"
#include "qcow/l2_entry.hpp"

namespace lunkit::qcow {

namespace {
constexpr std::uint64_t kSlice = 4096;  // of an L2 table
}  // namespace

Qcow1Image::Qcow1Image(ImageFile file, Qcow1Header header, std::uint64_t cache_bytes,
                       std::unique_ptr<Source> backing)
    : file_(std::move(file)),
      header_(std::move(header)),
      backing_(std::move(backing)),
      slices_(file_, std::min(kSlice, header_.l2_bytes()), cache_bytes),
      compressed_(file_, CompressionType::kDeflate, header_.cluster_size()) {}

Result<std::unique_ptr<Qcow1Image>> Qcow1Image::open(ImageFile file, Qcow1Header header,
                                                     std::uint64_t cache_bytes,
                                                     std::unique_ptr<Source> backing) {
    std::unique_ptr<Qcow1Image> image(
        new Qcow1Image(std::move(file), std::move(header), cache_bytes, std::move(backing)));
    CHECK(image->load_l1());
    return image;
}

std::unexpected<Error> Qcow1Image::refuse_writing(const ImageFile& file) {
    return failure(EROFS, file.path() +
                              " is an image of version 1 (qcow), which is served read-only: set "
                              "readonly=on, or make version 3 of it with 'qemu-img convert -O "
                              "qcow2'");
}

Status Qcow1Image::load_l1() {
    std::vector<std::byte> bytes(header_.l1_size * 8);
    CHECK(file_.read_blocking(header_.l1_table_offset, bytes));
    l1_.resize(header_.l1_size);
    for (std::size_t i = 0; i < l1_.size(); ++i) {
        l1_[i] = load_be<std::uint64_t>(&bytes[i * 8]);
        if (l1_[i] != 0 && !ByteRange::fits(l1_[i], header_.l2_bytes(), file_.end())) {
            return failure(EIO, fmt::format("{}: L1 entry {} ({:#018x}) points beyond the file",
                                            file_.path(), i, l1_[i]));
        }
    }
    return {};
}

Task<Result<Mapping>> Qcow1Image::map(Queue& queue, std::uint64_t offset, std::uint64_t length) {
    const std::uint64_t cluster = offset >> header_.cluster_bits;
    const std::uint64_t in_table = cluster & ((1ULL << header_.l2_bits) - 1);
    const std::uint64_t table = l1_[cluster >> header_.l2_bits];
    Mapping mapping;
    if (table == 0) {
        const std::uint64_t rest = (1ULL << header_.l2_bits) - in_table;
        mapping.length = std::min(length, (rest << header_.cluster_bits) - within_cluster(offset));
        co_return mapping;
    }
    const std::uint64_t entries = slices_.slice_size() / 8;
    const std::uint64_t first = in_table / entries * entries;
    CO_TRY(Slice* const slice, co_await slices_.load(queue, table + first * 8));
    const auto entry_at = [&](std::uint64_t index) {
        return decode_qcow1(header_, load_be<std::uint64_t>(slice->data() + (index - first) * 8),
                            file_.end());
    };
    CO_TRY(const Qcow1Entry entry, entry_at(in_table));
    mapping.length = header_.cluster_size() - within_cluster(offset);
    switch (entry.type) {
        case Qcow1Entry::Type::kCompressed:
            mapping.kind = Kind::kCompressed;
            mapping.host_offset = entry.host_offset;
            mapping.compressed_length = entry.compressed_length;
            break;
        case Qcow1Entry::Type::kData:
            mapping.kind = Kind::kData;
            mapping.host_offset = entry.host_offset + within_cluster(offset);
            break;
        case Qcow1Entry::Type::kUnallocated:
            break;
    }
    for (std::uint64_t next = in_table + 1;
         mapping.kind != Kind::kCompressed && mapping.length < length && next < first + entries;
         ++next) {
        const Result<Qcow1Entry> other = entry_at(next);
        if (!other || other->type != entry.type ||
            (entry.type == Qcow1Entry::Type::kData &&
             other->host_offset != mapping.host_offset + mapping.length)) {
            break;
        }
        mapping.length += header_.cluster_size();
    }
    mapping.length = std::min(mapping.length, length);
    co_return mapping;
}

Task<Status> Qcow1Image::read(Queue& queue, const IoRequest& io) {
    co_return co_await read_range(queue, io.offset, *io.data, io.data_offset, io.length);
}

Task<Status> Qcow1Image::read_range(Queue& queue, std::uint64_t offset, const lunkit_data& data,
                                    std::uint64_t data_offset, std::uint64_t length) {
    for (std::uint64_t done = 0; done < length;) {
        const std::uint64_t at = offset + done;
        if (at >= size()) {
            co_return fill_zeros(file_.host(), data, data_offset + done, length - done);
        }
        CO_TRY(const Mapping mapping,
               co_await map(queue, at, std::min(length - done, size() - at)));
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

Task<Status> Qcow1Image::read_mapped(Queue& queue, Mapping mapping, std::uint64_t offset,
                                     const lunkit_data& data, std::uint64_t data_offset) {
    switch (mapping.kind) {
        case Kind::kData:
            co_return co_await file_.read(queue, mapping.host_offset, data, data_offset,
                                          mapping.length);
        case Kind::kCompressed:
            co_return co_await compressed_.read(
                queue, {mapping.host_offset, mapping.compressed_length}, within_cluster(offset),
                data, data_offset, mapping.length);
        case Kind::kUnallocated:
        case Kind::kZero:
            break;
    }
    if (backing_ == nullptr) {
        co_return fill_zeros(file_.host(), data, data_offset, mapping.length);
    }
    Status status = co_await backing_->read_range(queue, offset, data, data_offset, mapping.length);
    if (!status && status.error().error_class == ErrorClass::kInternal) {
        status.error().error_class = ErrorClass::kMedium;  // not this image's damage
    }
    co_return status;
}

Task<Result<std::uint32_t>> Qcow1Image::extents(Queue& queue, ByteRange range,
                                                std::span<Extent> extents) {
    constexpr int kMostLookups = 4096;  // a caller resumes; nobody waits for a whole disk
    ExtentList list(extents);
    std::uint64_t at = range.offset;
    for (int lookups = 0; at < range.end() && lookups < kMostLookups; ++lookups) {
        CO_TRY(const Mapping mapping, co_await map(queue, at, range.end() - at));
        std::uint64_t length = mapping.length;
        std::uint32_t flags = 0;
        if (mapping.kind == Kind::kUnallocated) {
            if (backing_ != nullptr && at < backing_->size()) {
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

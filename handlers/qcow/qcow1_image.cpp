// SPDX-License-Identifier: Apache-2.0
#include "qcow/qcow1_image.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fmt/format.h>

#include "lunkit/try.hpp"
#include "qcow/big_endian.hpp"
#include "qcow/l2_entry.hpp"

namespace lunkit::qcow {

namespace {
constexpr std::uint64_t kSlice = 4096;  // of an L2 table
}  // namespace

Qcow1Image::Qcow1Image(ImageFile file, Qcow1Header header, std::uint64_t cache_bytes,
                       std::unique_ptr<Source> backing)
    : Disk(std::move(file), CompressionType::kDeflate, header.cluster_size(), std::move(backing)),
      header_(std::move(header)),
      slices_(file_, std::min(kSlice, header_.l2_bytes()), cache_bytes) {}

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

}  // namespace lunkit::qcow

// SPDX-License-Identifier: Apache-2.0
#include "qcow/qcow1_header.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fmt/format.h>

#include "lunkit/io_request.hpp"
#include "lunkit/try.hpp"
#include "qcow/big_endian.hpp"
#include "qcow/header.hpp"
#include "qcow/l2_entry.hpp"

namespace lunkit::qcow {

namespace {

constexpr std::size_t kLength = 48;
constexpr std::uint32_t kMostClusterBits = 16;
constexpr std::uint32_t kFewestL2Bits = 6;  // a table of 512 bytes
constexpr std::uint32_t kMostL2Bits = 13;   // of 64 KiB
constexpr std::uint64_t kCompressedFlag = 1ULL << 63U;

std::unexpected<Error> bad(std::string what) {
    return failure(EINVAL, std::move(what));
}

Status check_encryption(std::uint32_t crypt_method) {
    switch (crypt_method) {
        case 0:
            return {};
        case 1:
            return failure(ENOTSUP, std::string(kAesRefused));
        default:
            return bad(fmt::format("crypt_method {} is not known", crypt_method));
    }
}

Status read_backing_name(std::span<const std::byte> start, Qcow1Header& header) {
    constexpr std::uint64_t kMostBackingName = 1023;
    const auto offset = load_be<std::uint64_t>(start.data() + 8);
    const std::uint64_t length = load_be<std::uint32_t>(start.data() + 16);
    if (offset == 0) {
        return {};
    }
    if (length == 0 || length > kMostBackingName || offset < kLength ||
        !ByteRange::fits(offset, length, start.size())) {
        return bad("backing_file_offset and backing_file_size name no string near the header");
    }
    std::string name(length, '\0');
    std::ranges::transform(start.subspan(offset, length), name.begin(),
                           [](std::byte b) { return static_cast<char>(b); });
    if (name.find('\0') != std::string::npos) {
        return bad("the backing file's name contains a NUL");
    }
    header.backing_file = std::move(name);
    return {};
}

Status set_l1(std::span<const std::byte> start, std::uint64_t file_size, Qcow1Header& header) {
    const std::uint32_t shift = header.cluster_bits + header.l2_bits;
    if (header.size < 2 || header.size > static_cast<std::uint64_t>(INT64_MAX) - (1ULL << shift)) {
        return bad(fmt::format("size {} is too small or too large", header.size));
    }
    header.l1_size = (header.size + (1ULL << shift) - 1) >> shift;
    header.l1_table_offset = load_be<std::uint64_t>(start.data() + 40);
    if (header.l1_size > kMaxL1Bytes / 8) {
        return bad(fmt::format("a disk of {} bytes needs an L1 table above the limit of 32 MiB",
                               header.size));
    }
    if (header.l1_table_offset < kLength) {
        return bad("l1_table overlaps the header");
    }
    if (!ByteRange::fits(header.l1_table_offset, header.l1_size * 8, file_size)) {
        return bad(fmt::format("l1_table at {:#x} with {} entries ends beyond the file's {} bytes",
                               header.l1_table_offset, header.l1_size, file_size));
    }
    return {};
}

}  // namespace

Result<Qcow1Header> parse_qcow1_header(std::span<const std::byte> start, std::uint64_t file_size) {
    if (start.size() < kLength) {
        return bad("the file ends within the header");
    }
    Qcow1Header header;
    header.size = load_be<std::uint64_t>(start.data() + 24);
    header.cluster_bits = std::to_integer<std::uint32_t>(start[32]);
    header.l2_bits = std::to_integer<std::uint32_t>(start[33]);
    if (header.cluster_bits < kMinClusterBits || header.cluster_bits > kMostClusterBits) {
        return bad(fmt::format("cluster_bits {} is not between 9 and 16", header.cluster_bits));
    }
    if (header.l2_bits < kFewestL2Bits || header.l2_bits > kMostL2Bits) {
        return bad(fmt::format("l2_bits {} is not between 6 and 13", header.l2_bits));
    }
    CHECK(check_encryption(load_be<std::uint32_t>(start.data() + 36)));
    CHECK(read_backing_name(start, header));
    CHECK(set_l1(start, file_size, header));
    return header;
}

Result<Qcow1Entry> decode_qcow1(const Qcow1Header& header, std::uint64_t word,
                                std::uint64_t file_size) {
    Qcow1Entry entry;
    if (word == 0) {
        return entry;
    }
    if ((word & kCompressedFlag) == 0) {
        entry.type = Qcow1Entry::Type::kData;
        entry.host_offset = word;
        if (word % header.cluster_size() != 0 || word >= file_size) {
            return corruption(fmt::format(
                "L2 entry {:#018x} does not point to a cluster's start within the file", word));
        }
        return entry;
    }
    const std::uint32_t offset_bits = 63 - header.cluster_bits;
    entry.type = Qcow1Entry::Type::kCompressed;
    entry.host_offset = word & ((1ULL << offset_bits) - 1);
    entry.compressed_length = static_cast<std::uint32_t>((word & ~kCompressedFlag) >> offset_bits);
    if (entry.compressed_length == 0 || entry.host_offset < kLength ||
        !ByteRange::fits(entry.host_offset, entry.compressed_length, file_size)) {
        return corruption(fmt::format(
            "compressed L2 entry {:#018x} is empty or does not lie within the file", word));
    }
    return entry;
}

}  // namespace lunkit::qcow

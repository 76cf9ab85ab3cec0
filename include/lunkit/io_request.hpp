// SPDX-License-Identifier: Apache-2.0
// The C structs of a request with C++ manners: same layout, no conversion at the plugin boundary.
#pragma once

#include <sys/uio.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "lunkit/handler.h"

namespace lunkit {

/// Bytes [offset, offset + length) of a device or file; cannot overflow once made by checked().
struct ByteRange {
    std::uint64_t offset = 0;
    std::uint64_t length = 0;

    [[nodiscard]] std::uint64_t end() const { return offset + length; }
    [[nodiscard]] bool overlaps(const ByteRange& other) const {
        return offset < other.end() && other.offset < end();
    }
    /// Whether [offset, offset + length) lies within [0, limit), without overflow.
    [[nodiscard]] static bool fits(std::uint64_t offset, std::uint64_t length,
                                   std::uint64_t limit) {
        return length <= limit && offset <= limit - length;
    }
};

/// Where the bytes of a request are. A view: the iovecs and what they point at belong to others.
struct Data : lunkit_data {
    Data() : lunkit_data{} {}
    /// Data made of `iov`, whose lengths sum to `total` bytes. `iov` must outlive the Data.
    Data(std::span<const iovec> vectors, std::uint64_t total) : lunkit_data{} {
        kind = LUNKIT_DATA_IOV;
        iov_count = static_cast<std::uint32_t>(vectors.size());
        iov = vectors.data();
        length = total;
    }
};
static_assert(sizeof(Data) == sizeof(lunkit_data));

/// Data in one piece of memory: the iovec lives inside, so it neither moves nor copies.
struct SingleData : Data {
    SingleData(void* base, std::size_t size) : single{base, size} {
        kind = LUNKIT_DATA_IOV;
        iov_count = 1;
        iov = &single;
        length = size;
    }
    explicit SingleData(std::span<std::byte> bytes) : SingleData(bytes.data(), bytes.size()) {}
    SingleData(const SingleData&) = delete;
    SingleData& operator=(const SingleData&) = delete;
    SingleData(SingleData&&) = delete;
    SingleData& operator=(SingleData&&) = delete;
    ~SingleData() = default;
    iovec single;
};

/// Calls visit(std::byte* piece, size_t length) for each piece of data[offset, offset + length).
/// Kind LUNKIT_DATA_IOV only; the caller has checked the range against data.length.
template <typename Visitor>
void for_each_piece(const lunkit_data& data, std::uint64_t offset, std::uint64_t length,
                    Visitor visit) {
    for (std::uint32_t i = 0; i < data.iov_count && length > 0; ++i) {
        const iovec& vector = data.iov[i];
        if (offset >= vector.iov_len) {
            offset -= vector.iov_len;
            continue;
        }
        const std::uint64_t piece = std::min<std::uint64_t>(vector.iov_len - offset, length);
        visit(static_cast<std::byte*>(vector.iov_base) + offset, static_cast<std::size_t>(piece));
        offset = 0;
        length -= piece;
    }
}

/// Kind LUNKIT_DATA_IOV: copies data[offset, offset + to.size()) out.
inline void copy_from_iov(const lunkit_data& data, std::uint64_t offset, std::span<std::byte> to) {
    for_each_piece(data, offset, to.size(), [&to](std::byte* piece, std::size_t length) {
        std::memcpy(to.data(), piece, length);
        to = to.subspan(length);
    });
}

/// Kind LUNKIT_DATA_IOV: copies `from` to data[offset, offset + from.size()).
inline void copy_to_iov(const lunkit_data& data, std::uint64_t offset,
                        std::span<const std::byte> from) {
    for_each_piece(data, offset, from.size(), [&from](std::byte* piece, std::size_t length) {
        std::memcpy(piece, from.data(), length);
        from = from.subspan(length);
    });
}

/// Kind LUNKIT_DATA_IOV: fills data[offset, offset + length) with zeros.
inline void zero_iov(const lunkit_data& data, std::uint64_t offset, std::uint64_t length) {
    for_each_piece(data, offset, length,
                   [](std::byte* piece, std::size_t size) { std::memset(piece, 0, size); });
}

/// A request for a BlockDevice; offset and length in bytes. A view like Data.
struct IoRequest : lunkit_io {
    IoRequest() : lunkit_io{} { struct_size = sizeof(lunkit_io); }
    explicit IoRequest(const lunkit_io& io) : lunkit_io{io} {}
    /// A transfer of all of `bytes`.
    IoRequest(std::uint64_t at, const Data& bytes, std::uint32_t io_flags = 0) : IoRequest() {
        offset = at;
        length = bytes.length;
        data = &bytes;
        flags = io_flags;
    }
    /// A request without data: discard, write_zeroes, extents.
    IoRequest(std::uint64_t at, std::uint64_t bytes, std::uint32_t io_flags = 0) : IoRequest() {
        offset = at;
        length = bytes;
        flags = io_flags;
    }
    [[nodiscard]] ByteRange range() const { return {offset, length}; }
    [[nodiscard]] bool fua() const { return (flags & LUNKIT_IO_FUA) != 0; }
    /// The part of this request that begins `skip` bytes in and is `bytes` long.
    [[nodiscard]] IoRequest part(std::uint64_t skip, std::uint64_t bytes) const {
        IoRequest piece{*this};
        piece.offset += skip;
        piece.data_offset += skip;
        piece.length = bytes;
        return piece;
    }
};
static_assert(sizeof(IoRequest) == sizeof(lunkit_io));

}  // namespace lunkit

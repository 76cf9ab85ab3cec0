// SPDX-License-Identifier: Apache-2.0
#include "lunkit/io_request.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace lunkit {
namespace {

/// "abc" "" "defgh" "ij" in four pieces of memory.
struct Scattered {
    std::string first = "abc";
    std::string second = "defgh";
    std::string third = "ij";
    std::array<iovec, 4> iov{iovec{first.data(), 3}, iovec{first.data(), 0},
                             iovec{second.data(), 5}, iovec{third.data(), 2}};
    Data data{iov, 10};

    [[nodiscard]] std::string all() const { return first + second + third; }
};

std::string read_out(const lunkit_data& data, std::uint64_t offset, std::size_t length) {
    std::string text(length, '?');
    copy_from_iov(data, offset, std::as_writable_bytes(std::span(text)));
    return text;
}

TEST(ByteRange, FitsDoesNotOverflow) {
    EXPECT_TRUE(ByteRange::fits(0, 10, 10));
    EXPECT_TRUE(ByteRange::fits(10, 0, 10));
    EXPECT_FALSE(ByteRange::fits(1, 10, 10));
    EXPECT_FALSE(ByteRange::fits(UINT64_MAX, 2, 10));
    EXPECT_FALSE(ByteRange::fits(2, UINT64_MAX, 10));
}

TEST(ByteRange, NeighboursDoNotOverlap) {
    const ByteRange range{10, 10};
    EXPECT_FALSE(range.overlaps({0, 10}));
    EXPECT_FALSE(range.overlaps({20, 1}));
    EXPECT_TRUE(range.overlaps({19, 1}));
    EXPECT_TRUE(range.overlaps({0, 11}));
}

TEST(Data, IsCopiedOutAcrossPieces) {
    const Scattered scattered;
    EXPECT_EQ(read_out(scattered.data, 0, 10), "abcdefghij");
    EXPECT_EQ(read_out(scattered.data, 2, 3), "cde");
    EXPECT_EQ(read_out(scattered.data, 3, 5), "defgh");
    EXPECT_EQ(read_out(scattered.data, 10, 0), "");
}

TEST(Data, IsCopiedInAcrossPieces) {
    Scattered scattered;
    const std::string_view text = "XYZ";
    copy_to_iov(scattered.data, 7, std::as_bytes(std::span(text)));
    EXPECT_EQ(scattered.all(), "abcdefgXYZ");
}

TEST(Data, ZeroesOnlyItsRange) {
    Scattered scattered;
    zero_iov(scattered.data, 2, 6);
    EXPECT_EQ(scattered.all(), std::string("ab\0\0\0\0\0\0ij", 10));
}

TEST(SingleData, IsOnePiece) {
    std::array<std::byte, 16> bytes{};
    const SingleData data(bytes);
    EXPECT_EQ(data.length, 16U);
    ASSERT_EQ(data.iov_count, 1U);
    EXPECT_EQ(data.iov[0].iov_base, bytes.data());
}

TEST(IoRequest, PartMovesDeviceAndDataTogether) {
    std::array<std::byte, 64> bytes{};
    const SingleData data(bytes);
    const IoRequest io(4096, data, LUNKIT_IO_FUA);
    const IoRequest part = io.part(16, 32);
    EXPECT_EQ(part.offset, 4096U + 16);
    EXPECT_EQ(part.data_offset, 16U);
    EXPECT_EQ(part.length, 32U);
    EXPECT_TRUE(part.fua());
    EXPECT_EQ(part.part(8, 8).data_offset, 24U);
}

TEST(IoRequest, WithoutDataHasNone) {
    const IoRequest io(512, std::uint64_t{1024});
    EXPECT_EQ(io.data, nullptr);
    EXPECT_EQ(io.range().end(), 1536U);
    EXPECT_EQ(io.struct_size, sizeof(lunkit_io));
    EXPECT_FALSE(io.fua());
}

}  // namespace
}  // namespace lunkit

// SPDX-License-Identifier: Apache-2.0
// The bytes are those that the kernel's disk log was seen to write.
#include "dm_log/disk_format.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <initializer_list>

namespace lunkit::dm_log::disk {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<std::byte> image(std::initializer_list<unsigned> header,
                             std::initializer_list<unsigned> bitmap, std::size_t size = 2048) {
    std::vector<std::byte> bytes(size);
    const auto as_byte = [](unsigned value) { return static_cast<std::byte>(value); };
    std::ranges::transform(header, bytes.begin(), as_byte);
    std::ranges::transform(bitmap, bytes.begin() + kBitmapOffset, as_byte);
    return bytes;
}

constexpr std::initializer_list<unsigned> kNineRegions = {0x72, 0x52, 0x69, 0x4d, 2, 0, 0, 0, 9};

TEST(DiskFormat, KernelsLogIsUnderstood) {
    const auto log = decode(image(kNineRegions, {0xfd, 0x01}));
    ASSERT_TRUE(log);
    EXPECT_EQ(log->regions, 9U);
    EXPECT_THAT(log->clean, ElementsAre(0x1fd));
}

TEST(DiskFormat, WhatIsWrittenIsWhatTheKernelWrites) {
    std::vector<std::byte> bytes(2048);
    const std::vector<std::uint64_t> words = {0x1fd};
    encode_header(9, bytes);
    encode_words(words, std::span(bytes).subspan(kBitmapOffset));
    EXPECT_EQ(bytes, image(kNineRegions, {0xfd, 0x01}));
}

TEST(DiskFormat, OldVersionIsTheSameOnLittleEndian) {
    const auto log = decode(image({0x72, 0x52, 0x69, 0x4d, 1, 0, 0, 0, 9}, {0xff}));
    ASSERT_TRUE(log);
    EXPECT_EQ(log->regions, 9U);
}

TEST(DiskFormat, WithoutTheMagicNothingIsKnown) {
    const std::vector<std::vector<std::byte>> none = {
        image({}, {0xff}),
        image({0x72, 0x52, 0x69, 0x4e, 2, 0, 0, 0, 9}, {0xff}),
        {},
        image(kNineRegions, {}, 1024 + 0),
    };
    for (const auto& bytes : none) {
        const auto log = decode(bytes);
        ASSERT_TRUE(log);
        EXPECT_EQ(log->regions, 0U);
        EXPECT_THAT(log->clean, IsEmpty());
    }
}

TEST(DiskFormat, UnknownVersionIsAnError) {
    for (const unsigned version : {0U, 3U, 255U}) {
        const auto log = decode(image({0x72, 0x52, 0x69, 0x4d, version, 0, 0, 0, 9}, {0xff}));
        ASSERT_FALSE(log) << version;
        EXPECT_EQ(log.error().code, EPROTO);
        EXPECT_THAT(log.error().what, HasSubstr("version"));
    }
}

TEST(DiskFormat, CountBeyondWhatWasReadIsCut) {
    const auto bytes =
        image({0x72, 0x52, 0x69, 0x4d, 2, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
              {0xff}, 1024 + 12);
    const auto log = decode(bytes);
    ASSERT_TRUE(log);
    EXPECT_EQ(log->regions, 64U);
    EXPECT_THAT(log->clean, ElementsAre(0xff));
}

TEST(DiskFormat, TruncatedAnywhereIsNeverReadBeyond) {
    const auto whole = image(kNineRegions, {0xff, 0xff}, 1024 + 8);
    for (std::size_t size = 0; size <= whole.size(); ++size) {
        const std::vector<std::byte> cut(whole.begin(),
                                         whole.begin() + static_cast<std::ptrdiff_t>(size));
        const auto log = decode(cut);
        ASSERT_TRUE(log) << size;
        EXPECT_EQ(log->regions, size == whole.size() ? 9U : 0U) << size;
    }
}

TEST(DiskFormat, SizeIsOfWholeWords) {
    EXPECT_EQ(bytes_for(1), 1032U);
    EXPECT_EQ(bytes_for(64), 1032U);
    EXPECT_EQ(bytes_for(65), 1040U);
}

}  // namespace
}  // namespace lunkit::dm_log::disk

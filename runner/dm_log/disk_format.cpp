// SPDX-License-Identifier: Apache-2.0
#include "dm_log/disk_format.hpp"

#include <endian.h>
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include "dm_log/region_bits.hpp"

namespace lunkit::dm_log::disk {

namespace {

constexpr std::uint32_t kOldVersion = 1;

template <typename T>
T raw_at(std::span<const std::byte> image, std::size_t offset) {
    T value{};
    std::memcpy(&value, image.data() + offset, sizeof value);
    return value;
}

template <typename T>
void put_raw(std::span<std::byte> image, std::size_t offset, T value) {
    std::memcpy(image.data() + offset, &value, sizeof value);
}

bool is_known(std::uint32_t version) {
    return version == kVersion ||
           (version == kOldVersion && std::endian::native == std::endian::little);
}

}  // namespace

std::uint64_t bytes_for(std::uint64_t regions) {
    return kBitmapOffset + RegionBits::words_for(regions) * kWordBytes;
}

Result<Contents> decode(std::span<const std::byte> image) {
    Contents contents;
    if (image.size() < kBitmapOffset || le32toh(raw_at<std::uint32_t>(image, 0)) != kMagic) {
        return contents;
    }
    if (const std::uint32_t version = le32toh(raw_at<std::uint32_t>(image, 4));
        !is_known(version)) {
        return failure(EPROTO,
                       fmt::format("its disk log has version {}, which is unknown here", version));
    }
    const auto bitmap = image.subspan(kBitmapOffset);
    const std::size_t room = bitmap.size() / kWordBytes;
    contents.regions = std::min<std::uint64_t>(le64toh(raw_at<std::uint64_t>(image, 8)),
                                               room * RegionBits::kWordBits);
    contents.clean.resize(RegionBits::words_for(contents.regions));
    for (std::size_t i = 0; i < contents.clean.size(); ++i) {
        contents.clean[i] = le64toh(raw_at<std::uint64_t>(bitmap, i * kWordBytes));
    }
    return contents;
}

void encode_header(std::uint64_t regions, std::span<std::byte> image) {
    put_raw(image, 0, htole32(kMagic));
    put_raw(image, 4, htole32(kVersion));
    put_raw(image, 8, htole64(regions));
}

void encode_words(std::span<const std::uint64_t> words, std::span<std::byte> image) {
    for (std::size_t i = 0; i < words.size(); ++i) {
        put_raw(image, i * kWordBytes, htole64(words[i]));
    }
}

}  // namespace lunkit::dm_log::disk

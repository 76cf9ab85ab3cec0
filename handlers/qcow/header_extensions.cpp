// SPDX-License-Identifier: Apache-2.0
#include "qcow/header_extensions.hpp"

#include <algorithm>
#include <cerrno>
#include <vector>

#include <fmt/format.h>

#include "lunkit/try.hpp"
#include "qcow/big_endian.hpp"

namespace lunkit::qcow {

namespace {

enum ExtensionType : std::uint32_t {
    kEnd = 0,
    kBackingFormat = 0xe2792acaU,
    kFeatureNames = 0x6803f857U,
    kBitmaps = 0x23852875U,
    kEncryptionHeader = kEncryptionHeaderExtension,
    kDataFileName = 0x44415441U,
};

constexpr std::size_t kFeatureEntrySize = 48;
constexpr std::size_t kMaxFormatName = 15;
constexpr std::size_t kMaxDataFileName = 1023;
constexpr std::uint32_t kMaxBitmaps = 65535;
constexpr std::uint64_t kMaxBitmapDirectory = 64ULL << 20U;

Result<BitmapsExtension> parse_bitmaps(std::span<const std::byte> data) {
    constexpr std::size_t kLength = 24;
    if (data.size() != kLength) {
        return failure(EINVAL,
                       fmt::format("bitmaps extension has {} bytes instead of 24", data.size()));
    }
    BitmapsExtension bitmaps;
    bitmaps.count = load_be<std::uint32_t>(data.data());
    const auto reserved = load_be<std::uint32_t>(data.data() + 4);
    bitmaps.directory.length = load_be<std::uint64_t>(data.data() + 8);
    bitmaps.directory.offset = load_be<std::uint64_t>(data.data() + 16);
    if (reserved != 0 || bitmaps.count == 0 || bitmaps.count > kMaxBitmaps ||
        bitmaps.directory.length == 0 || bitmaps.directory.length > kMaxBitmapDirectory) {
        return failure(EINVAL,
                       "bitmaps extension: reserved bits, nb_bitmaps or "
                       "bitmap_directory_size out of range");
    }
    return bitmaps;
}

std::string text_of(std::span<const std::byte> data) {
    std::string text(data.size(), '\0');
    std::ranges::transform(data, text.begin(), [](std::byte b) { return static_cast<char>(b); });
    return text;
}

Status take(Extensions& extensions, std::uint32_t type, std::span<const std::byte> data) {
    switch (type) {
        case kBackingFormat:
            if (data.size() > kMaxFormatName) {
                return failure(EINVAL, "backing file format name is too long");
            }
            extensions.backing_format = text_of(data);
            return {};
        case kFeatureNames:
            extensions.feature_names = data;
            return {};
        case kBitmaps: {
            TRY(extensions.bitmaps, parse_bitmaps(data));
            return {};
        }
        case kEncryptionHeader:
            if (data.size() != 16) {
                return failure(EINVAL,
                               fmt::format("encryption header extension has {} bytes instead of 16",
                                           data.size()));
            }
            extensions.encryption_header = {load_be<std::uint64_t>(data.data()),
                                            load_be<std::uint64_t>(data.data() + 8)};
            return {};
        case kDataFileName:
            if (data.size() > kMaxDataFileName) {
                return failure(EINVAL, "the external data file's name is too long");
            }
            extensions.data_file = text_of(data);
            return {};
        default:
            return {};  // unknown ones are kept as they are, for those who know them
    }
}

}  // namespace

Result<Extensions> parse_extensions(std::span<const std::byte> area) {
    constexpr std::size_t kPrefix = 8;
    Extensions extensions;
    std::vector<std::uint32_t> seen;
    while (area.size() >= kPrefix) {
        const auto type = load_be<std::uint32_t>(area.data());
        const auto length = load_be<std::uint32_t>(area.data() + 4);
        area = area.subspan(kPrefix);
        if (type == kEnd) {
            break;
        }
        if (length > area.size()) {
            return failure(EINVAL, fmt::format("header extension {:#010x}: its {} bytes end "
                                               "outside of the header's cluster",
                                               type, length));
        }
        if (std::ranges::find(seen, type) != seen.end()) {
            return failure(EINVAL, fmt::format("header extension {:#010x} is there twice", type));
        }
        seen.push_back(type);
        CHECK(take(extensions, type, area.first(length)));
        const std::size_t padded = (static_cast<std::size_t>(length) + 7) / 8 * 8;
        area = area.subspan(std::min(padded, area.size()));
    }
    return extensions;
}

std::string feature_name(std::span<const std::byte> feature_names, unsigned bit) {
    for (; feature_names.size() >= kFeatureEntrySize;
         feature_names = feature_names.subspan(kFeatureEntrySize)) {
        constexpr std::uint8_t kIncompatible = 0;
        if (std::to_integer<std::uint8_t>(feature_names[0]) != kIncompatible ||
            std::to_integer<unsigned>(feature_names[1]) != bit) {
            continue;
        }
        std::string name = text_of(feature_names.subspan(2, kFeatureEntrySize - 2));
        name.resize(std::min(name.find('\0'), name.size()));
        // It comes from the image and goes to a log: only what prints.
        std::erase_if(name, [](char c) { return c < ' ' || c > '~'; });
        return fmt::format("bit {} ('{}')", bit, name);
    }
    return fmt::format("bit {}", bit);
}

}  // namespace lunkit::qcow

// SPDX-License-Identifier: Apache-2.0
#include "zone_format.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include "lunkit/try.hpp"

namespace lunkit::zbc {
namespace {

constexpr std::string_view kHeaderMagic = "LUNKZBC\n";
constexpr std::string_view kBootMagic = "LUNKBOOT";
constexpr std::uint32_t kVersion = 1;
constexpr std::uint64_t kDataAlignment = std::uint64_t{1} << 20U;
constexpr std::uint64_t kMaxFileSize = std::uint64_t{1} << 62U;
constexpr std::size_t kChecksumSize = 4;

// Offsets in the header.
constexpr std::size_t kVersionAt = 8;
constexpr std::size_t kBlockSizeAt = 12;
constexpr std::size_t kZoneSizeAt = 16;
constexpr std::size_t kSizeAt = 24;
constexpr std::size_t kConventionalAt = 32;
constexpr std::size_t kMaxOpenAt = 36;
// In the block of the boot.
constexpr std::size_t kBootLengthAt = 8;
constexpr std::size_t kBootAt = 12;
constexpr std::size_t kMaxBootLength = 64;
// In a record.
constexpr std::size_t kWrittenAt = 0;
constexpr std::size_t kDurableAt = 8;
constexpr std::size_t kOpenedAt = 16;

void put(std::span<std::byte> bytes, std::size_t at, std::uint64_t value, std::size_t width) {
    for (std::size_t i = 0; i < width; ++i) {
        bytes[at + i] = static_cast<std::byte>(value >> (8 * i));
    }
}

std::uint64_t get(std::span<const std::byte> bytes, std::size_t at, std::size_t width) {
    std::uint64_t value = 0;
    for (std::size_t i = width; i-- > 0;) {
        value = value << 8U | std::to_integer<std::uint64_t>(bytes[at + i]);
    }
    return value;
}

std::uint32_t get32(std::span<const std::byte> bytes, std::size_t at) {
    return static_cast<std::uint32_t>(get(bytes, at, 4));
}

// CRC-32C (RFC 3720 B.4).
constexpr std::array<std::uint32_t, 256> make_crc_table() {
    constexpr std::uint32_t kPolynomial = 0x82f63b78;
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t i = 0; i < table.size(); ++i) {
        std::uint32_t value = i;
        for (int bit = 0; bit < 8; ++bit) {
            value = (value & 1U) != 0 ? value >> 1U ^ kPolynomial : value >> 1U;
        }
        table[i] = value;
    }
    return table;
}

std::uint32_t crc32c(std::span<const std::byte> bytes) {
    static constexpr std::array<std::uint32_t, 256> kTable = make_crc_table();
    std::uint32_t value = ~std::uint32_t{0};
    for (const std::byte byte : bytes) {
        value = value >> 8U ^ kTable[(value ^ std::to_integer<std::uint32_t>(byte)) & 0xffU];
    }
    return ~value;
}

/// The last four bytes are the checksum of the others.
void seal(std::span<std::byte> bytes) {
    const std::size_t at = bytes.size() - kChecksumSize;
    put(bytes, at, crc32c(bytes.first(at)), kChecksumSize);
}

bool is_sealed(std::span<const std::byte> bytes) {
    const std::size_t at = bytes.size() - kChecksumSize;
    return get32(bytes, at) == crc32c(bytes.first(at));
}

void begin(TableBlock& block, std::string_view magic) {
    block.fill(std::byte{0});
    std::memcpy(block.data(), magic.data(), magic.size());
}

bool begins_with(const TableBlock& block, std::string_view magic) {
    return std::memcmp(block.data(), magic.data(), magic.size()) == 0;
}

std::uint64_t round_up(std::uint64_t value, std::uint64_t to) {
    return (value + to - 1) / to * to;
}

}  // namespace

Status Geometry::check() const {
    if (!std::has_single_bit(zone_size) || zone_size < kMinZoneSize || zone_size > kMaxZoneSize) {
        return failure(EINVAL, "zones of " + std::to_string(zone_size) +
                                   " bytes: a power of two from 64K to 1T is needed");
    }
    if (!std::has_single_bit(block_size) || block_size < 512 || block_size > kMinZoneSize) {
        return failure(EINVAL, "blocks of " + std::to_string(block_size) + " bytes");
    }
    if (size == 0 || size % block_size != 0 || size > kMaxFileSize) {
        return failure(EINVAL, std::to_string(size) + " bytes are no whole number of blocks of " +
                                   std::to_string(block_size));
    }
    if (zones() > kMaxZones) {
        return failure(EINVAL, std::to_string(zones()) + " zones are too many; " +
                                   std::to_string(kMaxZones) + " is the most, with larger ones");
    }
    if (conventional_zones >= zones()) {
        return failure(EINVAL, std::to_string(conventional_zones) + " conventional zones leave " +
                                   "no sequential one of " + std::to_string(zones()));
    }
    return {};
}

ByteRange Geometry::zone(std::uint64_t index) const {
    const std::uint64_t start = index * zone_size;
    return {start, std::min(zone_size, size - start)};
}

std::uint64_t Geometry::data_offset() const {
    return round_up(kTableOffset + table_blocks() * kTableBlock, kDataAlignment);
}

void encode_header(const Geometry& geometry, TableBlock& block) {
    begin(block, kHeaderMagic);
    put(block, kVersionAt, kVersion, 4);
    put(block, kBlockSizeAt, geometry.block_size, 4);
    put(block, kZoneSizeAt, geometry.zone_size, 8);
    put(block, kSizeAt, geometry.size, 8);
    put(block, kConventionalAt, geometry.conventional_zones, 4);
    put(block, kMaxOpenAt, geometry.max_open_zones, 4);
    seal(block);
}

Result<Geometry> decode_header(const TableBlock& block, const std::string& path) {
    if (std::ranges::all_of(block, [](std::byte byte) { return byte == std::byte{0}; })) {
        return failure(EINVAL, path +
                                   " holds no zones: its first block is empty. If it is left of "
                                   "an attempt to make a zoned device that was interrupted, it "
                                   "may be deleted");
    }
    if (!begins_with(block, kHeaderMagic)) {
        return failure(EINVAL, path +
                                   " holds no zones: a file that is there already is not made "
                                   "a zoned device of");
    }
    if (const std::uint32_t version = get32(block, kVersionAt); version != kVersion) {
        return failure(EINVAL, path + " is of version " + std::to_string(version) + "; only " +
                                   std::to_string(kVersion) + " is known");
    }
    if (!is_sealed(block)) {
        return failure(EINVAL, path + ": its header is damaged");
    }
    const Geometry geometry{.block_size = get32(block, kBlockSizeAt),
                            .zone_size = get(block, kZoneSizeAt, 8),
                            .size = get(block, kSizeAt, 8),
                            .conventional_zones = get32(block, kConventionalAt),
                            .max_open_zones = get32(block, kMaxOpenAt)};
    if (const Status status = geometry.check(); !status) {
        return failure(EINVAL, path + ": its header says " + status.error().what);
    }
    return geometry;
}

void encode_boot(std::string_view boot, TableBlock& block) {
    begin(block, kBootMagic);
    const std::string_view kept = boot.substr(0, kMaxBootLength);
    put(block, kBootLengthAt, kept.size(), 4);
    std::memcpy(block.data() + kBootAt, kept.data(), kept.size());
    seal(block);
}

std::optional<std::string> decode_boot(const TableBlock& block) {
    const std::uint32_t length = get32(block, kBootLengthAt);
    if (!begins_with(block, kBootMagic) || !is_sealed(block) || length > kMaxBootLength) {
        return {};
    }
    std::string boot(length, '\0');
    std::memcpy(boot.data(), block.data() + kBootAt, length);
    return boot;
}

void encode_record(const Record& record, RecordBytes bytes) {
    std::ranges::fill(bytes, std::byte{0});
    put(bytes, kWrittenAt, record.written, 8);
    put(bytes, kDurableAt, record.durable, 8);
    put(bytes, kOpenedAt, static_cast<std::uint8_t>(record.opened), 1);
    seal(bytes);
}

std::optional<Record> decode_record(RecordBytes bytes, std::uint64_t length,
                                    std::uint32_t block_size) {
    const Record record{.written = get(bytes, kWrittenAt, 8),
                        .durable = get(bytes, kDurableAt, 8),
                        .opened = static_cast<Opened>(get(bytes, kOpenedAt, 1))};
    const bool is_good = is_sealed(bytes) && record.written <= length && record.durable <= length &&
                         (record.written | record.durable) % block_size == 0 &&
                         record.opened <= Opened::kExplicitly;
    return is_good ? std::optional(record) : std::nullopt;
}

}  // namespace lunkit::zbc

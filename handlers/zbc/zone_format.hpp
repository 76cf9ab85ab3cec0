// SPDX-License-Identifier: Apache-2.0
// How a file holds a zoned device. Numbers are little-endian; everything but the data is in blocks
// of 4096 bytes, and stands where the header alone says, whatever the file's size is:
//
//   0       header: the geometry. Written once, last of all, when the file is made.
//   4096    boot: under which boot of the host the table was changed last.
//   8192    table: a record of 32 bytes for each zone, in order.
//   ...     data, from the next multiple of 1 MiB on: the blocks of all zones, as they are.
//
// A record has two write pointers, in bytes from the zone's start. `written` is what initiators
// see; it is stored before the status of a write, so that it outlives the daemon. `durable` is
// behind it while data may still be in the page cache; it moves when a flush has made the data
// durable, and only then. After a loss of power nobody knows which pages of data and table have
// reached the disk, so `durable` counts; while the host has not been booted, `written` does.
//
// The conditions of ZBC-2 follow from a record: empty and full from `written`, open from `opened`,
// else closed. So there is no record whose numbers are in their ranges and make no sense.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "lunkit/io_request.hpp"
#include "lunkit/result.hpp"

namespace lunkit::zbc {

inline constexpr std::size_t kTableBlock = 4096;
inline constexpr std::size_t kRecordSize = 32;
inline constexpr std::size_t kRecordsPerBlock = kTableBlock / kRecordSize;
inline constexpr std::uint64_t kHeaderOffset = 0;
inline constexpr std::uint64_t kBootOffset = kTableBlock;
inline constexpr std::uint64_t kTableOffset = 2 * kTableBlock;
inline constexpr std::uint64_t kMinZoneSize = std::uint64_t{64} << 10U;
inline constexpr std::uint64_t kMaxZoneSize = std::uint64_t{1} << 40U;
/// What a header can make a daemon read and keep: 4 MiB of table.
inline constexpr std::uint64_t kMaxZones = std::uint64_t{1} << 17U;

using TableBlock = std::array<std::byte, kTableBlock>;

/// What a zoned device is made of; bytes where no unit is named. Sequential zones follow the
/// conventional ones; the last zone may be smaller.
struct Geometry {
    std::uint32_t block_size = 0;
    std::uint64_t zone_size = 0;
    std::uint64_t size = 0;  ///< of all zones
    std::uint32_t conventional_zones = 0;
    std::uint32_t max_open_zones = 0;  ///< 0: any number

    bool operator==(const Geometry&) const = default;

    /// Whether such a device can be; the error is for people.
    [[nodiscard]] Status check() const;
    [[nodiscard]] std::uint64_t zones() const { return (size + zone_size - 1) / zone_size; }
    [[nodiscard]] ByteRange zone(std::uint64_t index) const;
    /// Where the sequential zones begin.
    [[nodiscard]] std::uint64_t sequential_start() const { return conventional_zones * zone_size; }
    [[nodiscard]] std::uint64_t table_blocks() const {
        return (zones() + kRecordsPerBlock - 1) / kRecordsPerBlock;
    }
    [[nodiscard]] std::uint64_t data_offset() const;
    [[nodiscard]] std::uint64_t file_size() const { return data_offset() + size; }
};

void encode_header(const Geometry& geometry, TableBlock& block);
/// The error says what `path` is, if not a good header.
Result<Geometry> decode_header(const TableBlock& block, const std::string& path);

/// `boot`: the kernel's boot_id.
void encode_boot(std::string_view boot, TableBlock& block);
/// Nothing: it is damaged, or was never written.
std::optional<std::string> decode_boot(const TableBlock& block);

enum class Opened : std::uint8_t { kNot = 0, kImplicitly = 1, kExplicitly = 2 };

struct Record {
    std::uint64_t written = 0;
    std::uint64_t durable = 0;
    Opened opened = Opened::kNot;

    bool operator==(const Record&) const = default;
};

using RecordBytes = std::span<std::byte, kRecordSize>;
void encode_record(const Record& record, RecordBytes bytes);
/// Of a sequential zone of `length` bytes. Nothing: damaged.
std::optional<Record> decode_record(RecordBytes bytes, std::uint64_t length,
                                    std::uint32_t block_size);

}  // namespace lunkit::zbc

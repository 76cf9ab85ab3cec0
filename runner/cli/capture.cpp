// SPDX-License-Identifier: Apache-2.0
#include "cli/capture.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <string_view>
#include <utility>

#include "scsi/big_endian.hpp"
#include "scsi/errno_sense.hpp"
#include "scsi/sense.hpp"

namespace lunkit::cli {
namespace {

using core::BlockOperation;
using core::TraceRecord;

// A capture is written least significant byte first on any machine: its readers take both.
void put_le(std::string& out, std::uint64_t value, std::size_t width) {
    for (std::size_t i = 0; i < width; ++i, value >>= 8U) {
        out += static_cast<char>(value & 0xffU);
    }
}
void put_le16(std::string& out, std::uint16_t value) {
    put_le(out, value, 2);
}
void put_le32(std::string& out, std::uint32_t value) {
    put_le(out, value, 4);
}
void pad(std::string& out) {
    out.append((4 - out.size() % 4) % 4, '\0');
}

// draft-ietf-opsawg-pcapng: 4.1 to 4.3, 4.6, 3.5.
enum class BlockType : std::uint32_t {
    kInterface = 1,
    kStatistics = 5,
    kPacket = 6,
    kSection = 0x0a0d0d0a,
};
enum OptionCode : std::uint8_t {
    kEnd = 0,
    kComment = 1,
    kInterfaceName = 2,
    kPacketFlags = 2,
    kInterfaceDescription = 3,
    kUserApplication = 4,
    kReceived = 4,
    kPacketDrops = 4,
    kDropped = 5,
    kTimeResolution = 9,
};
enum PacketFlags : std::uint8_t { kInbound = 1, kOutbound = 2 };
constexpr std::uint16_t kLinkTypeIpv4 = 228;

/// A value is 65535 bytes at most; what says more is cut.
void put_option(std::string& out, OptionCode code, std::string_view value) {
    value = value.substr(0, 0xffff);
    put_le16(out, code);
    put_le16(out, static_cast<std::uint16_t>(value.size()));
    out += value;
    pad(out);
}
void put_number_option(std::string& out, OptionCode code, std::uint64_t value, std::size_t width) {
    std::string bytes;
    put_le(bytes, value, width);
    put_option(out, code, bytes);
}
/// `body` with its options.
std::string block(BlockType type, std::string body) {
    put_option(body, kEnd, {});
    constexpr std::size_t kFrame = 12;  // its type, and its length at both ends
    const auto length = static_cast<std::uint32_t>(body.size() + kFrame);
    std::string out;
    put_le32(out, static_cast<std::uint32_t>(type));
    put_le32(out, length);
    out += body;
    put_le32(out, length);
    return out;
}
void put_time(std::string& out, std::uint64_t nanoseconds) {
    put_le32(out, static_cast<std::uint32_t>(nanoseconds >> 32U));
    put_le32(out, static_cast<std::uint32_t>(nanoseconds));
}

struct Packet {
    std::uint64_t time = 0;
    PacketFlags direction = kInbound;
    std::string bytes;
    std::uint64_t drops = 0;
    std::string comment = {};
};
std::string packet_block(const Packet& packet) {
    std::string body;
    put_le32(body, 0);  // the interface
    put_time(body, packet.time);
    const auto length = static_cast<std::uint32_t>(packet.bytes.size());
    put_le32(body, length);
    put_le32(body, length);
    body += packet.bytes;
    pad(body);
    put_number_option(body, kPacketFlags, packet.direction, 4);
    if (packet.drops > 0) {
        put_number_option(body, kPacketDrops, packet.drops, 8);
    }
    if (!packet.comment.empty()) {
        put_option(body, kComment, packet.comment);
    }
    return block(BlockType::kPacket, std::move(body));
}

// From here on most significant byte first.
using Bytes = std::span<std::uint8_t>;
constexpr std::size_t kIpHeader = 20;
constexpr std::size_t kTcpHeader = 20;
constexpr std::size_t kBasicHeader = 48;  // RFC 7143 11.2.1
constexpr std::size_t kCdb = 16;          // what is longer stands in an additional header

struct Port {
    std::uint32_t address;
    std::uint16_t number;
};
constexpr Port kInitiator{0xc0000201, 49152};  // 192.0.2.1
constexpr Port kTarget{0xc0000202, 3260};      // 192.0.2.2

/// RFC 1071.
std::uint16_t checksum(std::span<const std::uint8_t> bytes, std::uint32_t sum) {
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        sum += i % 2 == 0 ? static_cast<std::uint32_t>(bytes[i]) << 8U : bytes[i];
    }
    while (sum >> 16U != 0) {
        sum = (sum & 0xffffU) + (sum >> 16U);
    }
    return static_cast<std::uint16_t>(~sum);
}

/// `unit`, which has room for both headers before it, as a packet; `sequence` and `acknowledged`
/// are of TCP.
std::string packet_of(Bytes packet, Port from, Port to, std::uint32_t sequence,
                      std::uint32_t acknowledged) {
    constexpr std::uint8_t kTcp = 6;
    const auto length = static_cast<std::uint16_t>(packet.size());
    packet[0] = 0x45;  // version 4, five words
    scsi::put_be16(packet.subspan(2), length);
    packet[6] = 0x40;  // not to be fragmented
    packet[8] = 64;    // time to live
    packet[9] = kTcp;
    scsi::put_be32(packet.subspan(12), from.address);
    scsi::put_be32(packet.subspan(16), to.address);
    scsi::put_be16(packet.subspan(10), checksum(packet.first(kIpHeader), 0));
    const Bytes segment = packet.subspan(kIpHeader);
    scsi::put_be16(segment, from.number);
    scsi::put_be16(segment.subspan(2), to.number);
    scsi::put_be32(segment.subspan(4), sequence + 1);
    scsi::put_be32(segment.subspan(8), acknowledged + 1);
    segment[12] = 0x50;                           // five words
    segment[13] = 0x18;                           // ACK, PSH
    scsi::put_be16(segment.subspan(14), 0xffff);  // window
    const std::uint32_t pseudo_header = (from.address >> 16U) + (from.address & 0xffffU) +
                                        (to.address >> 16U) + (to.address & 0xffffU) + kTcp +
                                        static_cast<std::uint32_t>(segment.size());
    scsi::put_be16(segment.subspan(16), checksum(segment, pseudo_header));
    return {packet.begin(), packet.end()};
}
constexpr std::size_t kHeaders = kIpHeader + kTcpHeader;

/// A request of the block layer as sd of Linux would send it.
std::array<std::uint8_t, kCdb> cdb_of_request(const TraceRecord& record, std::uint64_t block_size) {
    constexpr std::uint8_t kUnmap = 0x08;
    std::array<std::uint8_t, kCdb> cdb{};
    switch (record.operation) {
        case BlockOperation::kRead:
            cdb[0] = 0x88;  // READ(16)
            break;
        case BlockOperation::kWrite:
            cdb[0] = 0x8a;  // WRITE(16)
            break;
        case BlockOperation::kFlush:
            cdb[0] = 0x91;  // SYNCHRONIZE CACHE(16), of everything
            return cdb;
        case BlockOperation::kDiscard:
            cdb[1] = kUnmap;
            [[fallthrough]];
        case BlockOperation::kWriteZeroes:
            cdb[0] = 0x93;  // WRITE SAME(16)
            break;
        case BlockOperation::kOther:
            cdb[0] = 0xc0;  // vendor specific: nothing stands for it
            return cdb;
    }
    const std::uint64_t unit = block_size == 0 ? 512 : block_size;
    scsi::put_be64(Bytes(cdb).subspan(2), record.offset / unit);
    scsi::put_be32(Bytes(cdb).subspan(10), static_cast<std::uint32_t>(record.bytes / unit));
    return cdb;
}

/// RFC 7143 11.3, of the `number`th command.
std::string command_packet(const TraceRecord& record, std::uint32_t number,
                           std::uint64_t block_size, std::uint32_t sequence,
                           std::uint32_t acknowledged) {
    constexpr std::size_t kAdditionalHeader = 4;
    std::array<std::uint8_t, kHeaders + kBasicHeader + kAdditionalHeader + sizeof record.cdb - kCdb>
        room{};
    const Bytes unit = Bytes(room).subspan(kHeaders);
    std::size_t additional = 0;
    const std::size_t length = std::min<std::size_t>(record.cdb_length, record.cdb.size());
    if (length == 0) {
        std::ranges::copy(cdb_of_request(record, block_size), unit.begin() + 32);
    } else {
        std::copy_n(record.cdb.begin(), std::min(length, kCdb), unit.begin() + 32);
    }
    if (length > kCdb) {  // an extended CDB: RFC 7143 11.2.2.3
        const Bytes header = unit.subspan(kBasicHeader);
        scsi::put_be16(header, static_cast<std::uint16_t>(length - kCdb + 1));
        header[2] = 1;
        std::copy_n(record.cdb.begin() + kCdb, length - kCdb, header.begin() + 4);
        additional = kAdditionalHeader + (length - kCdb + 3) / 4 * 4;
    }
    constexpr unsigned kFinal = 0x80;
    constexpr unsigned kReads = 0x40;
    constexpr unsigned kWrites = 0x20;
    constexpr unsigned kSimple = 1;
    const unsigned direction = record.kind == core::CommandClass::kRead    ? kReads
                               : record.kind == core::CommandClass::kWrite ? kWrites
                                                                           : 0U;
    unit[0] = 0x01;
    unit[1] = static_cast<std::uint8_t>(kFinal | direction | kSimple);
    unit[4] = static_cast<std::uint8_t>(additional / 4);
    scsi::put_be32(unit.subspan(16), number);
    if (direction != 0) {
        scsi::put_be32(unit.subspan(20), static_cast<std::uint32_t>(record.bytes));
    }
    scsi::put_be32(unit.subspan(24), number);
    scsi::put_be32(unit.subspan(28), number);
    return packet_of(std::span(room).first(kHeaders + kBasicHeader + additional), kInitiator,
                     kTarget, sequence, acknowledged);
}

/// Status and sense data.
struct Response {
    std::uint8_t status = 0;
    scsi::Sense sense = {};
};
Response response_of(const TraceRecord& record) {
    constexpr auto kCheckCondition = static_cast<std::uint8_t>(scsi::StatusCode::kCheckCondition);
    const auto error = core::ErrorKind::of_packed(record.error);
    if (const auto sense = error.as_sense()) {
        return {kCheckCondition,
                {static_cast<scsi::SenseKey>(sense->key), {sense->code, sense->qualifier}, {}}};
    }
    if (const auto status = error.as_scsi_status()) {
        return {*status};
    }
    if (error.is_success()) {
        return {};
    }
    // What an initiator would be told of it.
    const bool reads = record.kind == core::CommandClass::kRead;
    const scsi::Ending ending =
        scsi::ending_of({.code = error.as_errno().value_or(EIO)},
                        {.direction = reads ? scsi::Direction::kRead : scsi::Direction::kWrite});
    return {static_cast<std::uint8_t>(ending.status), ending.sense};
}

/// RFC 7143 11.4.
std::string response_packet(const TraceRecord& record, std::uint32_t number, std::uint32_t sequence,
                            std::uint32_t acknowledged) {
    std::array<std::uint8_t, kHeaders + kBasicHeader + 4 + scsi::kMaxSenseLength> room{};
    const Bytes unit = Bytes(room).subspan(kHeaders);
    const Response response = response_of(record);
    unit[0] = 0x21;
    unit[1] = 0x80;
    unit[3] = response.status;
    std::size_t data = 0;
    if (response.status == static_cast<std::uint8_t>(scsi::StatusCode::kCheckCondition)) {
        const std::size_t sense = scsi::encode_sense(response.sense, scsi::SenseFormat::kFixed,
                                                     unit.subspan(kBasicHeader + 2));
        scsi::put_be16(unit.subspan(kBasicHeader), static_cast<std::uint16_t>(sense));
        data = 2 + sense;
    }
    constexpr std::uint32_t kWindow = 64;
    scsi::put_be24(unit.subspan(5), static_cast<std::uint32_t>(data));
    scsi::put_be32(unit.subspan(16), number);
    scsi::put_be32(unit.subspan(24), number);
    scsi::put_be32(unit.subspan(28), number + 1);
    scsi::put_be32(unit.subspan(32), number + kWindow);
    return packet_of(std::span(room).first(kHeaders + kBasicHeader + (data + 3) / 4 * 4), kTarget,
                     kInitiator, sequence, acknowledged);
}

/// What the packets cannot show.
std::string comment_on(const TraceRecord& record) {
    const auto error = core::ErrorKind::of_packed(record.error);
    if (record.cdb_length > record.cdb.size()) {
        return fmt::format("the first {} of {} bytes of the CDB", record.cdb.size(),
                           record.cdb_length);
    }
    return error.is_success() || error.as_sense() || error.as_scsi_status() ? "" : error.text();
}

}  // namespace

std::string Capture::begin() const {
    std::string section;
    put_le32(section, 0x1a2b3c4d);  // tells the order of bytes
    put_le16(section, 1);
    put_le16(section, 0);
    put_le(section, UINT64_MAX, 8);  // of unknown length
    put_option(section, kUserApplication, "lunkit trace " LUNKIT_VERSION);
    put_option(section, kComment,
               "Made of a trace, not taken from a wire: there was no iSCSI session, and all of it "
               "but the commands, their times and their results is made up. Data is not recorded.");
    std::string interface;
    put_le16(interface, kLinkTypeIpv4);
    put_le16(interface, 0);
    put_le32(interface, 0);  // packets are whole
    put_option(interface, kInterfaceName, device_.name);
    put_option(interface, kInterfaceDescription,
               has_cdbs() ? "SCSI commands of a LUN"
                          : fmt::format("requests of the block layer ({}), each shown as the SCSI "
                                        "command that asks for the same",
                                        device_.front_end));
    put_option(interface, kTimeResolution, "\x09");  // nanoseconds
    return block(BlockType::kSection, std::move(section)) +
           block(BlockType::kInterface, std::move(interface));
}

std::string Capture::command(const TraceRecord& record) {
    const auto number = static_cast<std::uint32_t>(++shown_);
    const std::uint64_t missing = std::exchange(missing_, 0);
    told_missing_ += missing;
    last_time_ = record.ended_at;
    Packet asked{.time = record.ended_at - std::min(record.took, record.ended_at),
                 .direction = kInbound,
                 .bytes = command_packet(record, number, device_.block_size, asked_, answered_),
                 .drops = 2 * missing};  // a command would have been two packets
    if (missing > 0) {
        asked.comment = fmt::format("{} commands are missing before this one", missing);
    }
    asked_ += static_cast<std::uint32_t>(asked.bytes.size() - kHeaders);
    const Packet answered{.time = record.ended_at,
                          .direction = kOutbound,
                          .bytes = response_packet(record, number, answered_, asked_),
                          .comment = comment_on(record)};
    answered_ += static_cast<std::uint32_t>(answered.bytes.size() - kHeaders);
    return packet_block(asked) + packet_block(answered);
}

std::string Capture::end() const {
    std::string body;
    put_le32(body, 0);
    put_time(body, last_time_);
    const std::uint64_t lost = told_missing_ + missing_;
    put_number_option(body, kReceived, 2 * (shown_ + lost), 8);
    put_number_option(body, kDropped, 2 * lost, 8);
    if (lost > 0) {
        put_option(body, kComment, fmt::format("{} commands are missing", lost));
    }
    return block(BlockType::kStatistics, std::move(body));
}

}  // namespace lunkit::cli

// SPDX-License-Identifier: Apache-2.0
#include "cli/capture.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "scsi/big_endian.hpp"
#include "scsi/sense_summary.hpp"

namespace lunkit::cli {
namespace {

using core::BlockOperation;
using core::ErrorKind;
using core::TraceRecord;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

/// Reads a pcapng file as its specification has it, least significant byte first.
struct Block {
    std::uint32_t type = 0;
    std::string body;
    std::map<unsigned, std::string> options = {};

    [[nodiscard]] std::uint64_t number(std::size_t at, std::size_t width) const {
        return number_of(body, at, width);
    }
    static std::uint64_t number_of(const std::string& bytes, std::size_t at, std::size_t width) {
        std::uint64_t value = 0;
        for (std::size_t i = width; i-- > 0;) {
            value = value << 8U | static_cast<std::uint8_t>(bytes.at(at + i));
        }
        return value;
    }
    void read_options(std::size_t at) {
        for (;;) {
            const auto code = static_cast<unsigned>(number(at, 2));
            const std::size_t length = number(at + 2, 2);
            if (code == 0) {
                EXPECT_EQ(at + 4, body.size());
                return;
            }
            options[code] = body.substr(at + 4, length);
            at += 4 + (length + 3) / 4 * 4;
        }
    }
};

std::vector<Block> blocks_of(const std::string& file) {
    std::vector<Block> blocks;
    for (std::size_t at = 0; at < file.size();) {
        Block block{.type = static_cast<std::uint32_t>(Block::number_of(file, at, 4)), .body = {}};
        const std::size_t length = Block::number_of(file, at + 4, 4);
        EXPECT_EQ(length % 4, 0U);
        EXPECT_EQ(Block::number_of(file, at + length - 4, 4), length);
        block.body = file.substr(at + 8, length - 12);
        blocks.push_back(std::move(block));
        at += length;
    }
    return blocks;
}

/// An enhanced packet block and the packet in it: IPv4, TCP, iSCSI.
struct Packet {
    std::uint64_t time;
    std::vector<std::uint8_t> bytes;
    std::map<unsigned, std::string> options;

    [[nodiscard]] std::span<const std::uint8_t> segment() const {
        return std::span(bytes).subspan(20);
    }
    [[nodiscard]] std::span<const std::uint8_t> unit() const {
        return std::span(bytes).subspan(40);
    }
    [[nodiscard]] std::uint32_t sequence() const { return scsi::get_be32(segment().subspan(4)); }
    [[nodiscard]] std::uint32_t acknowledged() const {
        return scsi::get_be32(segment().subspan(8));
    }
    [[nodiscard]] std::uint32_t task() const { return scsi::get_be32(unit().subspan(16)); }
};
std::vector<Packet> packets_of(const std::string& text) {
    std::vector<Packet> packets;
    for (Block& block : blocks_of(text)) {
        EXPECT_EQ(block.type, 6U);
        const std::size_t length = block.number(12, 4);
        EXPECT_EQ(block.number(16, 4), length);
        block.read_options(20 + (length + 3) / 4 * 4);
        const std::string bytes = block.body.substr(20, length);
        packets.push_back({block.number(4, 4) << 32U | block.number(8, 4),
                           {bytes.begin(), bytes.end()},
                           block.options});
    }
    return packets;
}

constexpr TraceRecord kRead10 = {.ended_at = 1'700'000'000'000'000'001,
                                 .took = 12'345,
                                 .bytes = 4096,
                                 .kind = core::CommandClass::kRead,
                                 .cdb_length = 10,
                                 .cdb = {0x28, 0, 0, 0, 0x08, 0, 0, 0, 0x08, 0}};

TEST(Capture, SaysThatItIsMadeAndOfWhichDevice) {
    const Capture capture({.name = "user_0/disk1", .front_end = "tcmu", .block_size = 512});
    auto blocks = blocks_of(capture.begin());
    ASSERT_THAT(blocks, SizeIs(2));
    EXPECT_EQ(blocks[0].type, 0x0a0d0d0aU);
    EXPECT_EQ(blocks[0].number(0, 4), 0x1a2b3c4dU);
    blocks[0].read_options(16);
    EXPECT_THAT(blocks[0].options[1], HasSubstr("not taken from a wire"));
    EXPECT_EQ(blocks[1].type, 1U);
    EXPECT_EQ(blocks[1].number(0, 2), 228U);  // LINKTYPE_IPV4
    blocks[1].read_options(8);
    EXPECT_EQ(blocks[1].options[2], "user_0/disk1");
    EXPECT_EQ(blocks[1].options[9], "\x09");
}

/// RFC 1071: over what has a right checksum in it.
std::uint32_t folded(std::span<const std::uint8_t> bytes, std::uint32_t sum = 0) {
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        sum += bytes[i] * (i % 2 == 0 ? 256U : 1U);
    }
    while (sum > 0xffff) {
        sum = (sum & 0xffffU) + (sum >> 16U);
    }
    return sum;
}

TEST(Capture, CommandIsTwoPacketsAtItsBeginningAndItsEnd) {
    Capture capture({.name = "d", .front_end = "tcmu", .block_size = 512});
    const auto packets = packets_of(capture.command(kRead10));
    ASSERT_THAT(packets, SizeIs(2));
    EXPECT_EQ(packets[0].time, kRead10.ended_at - kRead10.took);
    EXPECT_EQ(packets[1].time, kRead10.ended_at);
    EXPECT_THAT(packets[0].unit().first(2), ElementsAre(0x01, 0xc1));  // SCSI Command, it reads
    EXPECT_THAT(packets[1].unit().first(4), ElementsAre(0x21, 0x80, 0, 0));  // its Response, GOOD
    EXPECT_EQ(packets[0].task(), packets[1].task());
    EXPECT_EQ(scsi::get_be32(packets[0].unit().subspan(20)), 4096U);
    EXPECT_THAT(packets[0].unit().subspan(32),
                ElementsAre(0x28, 0, 0, 0, 0x08, 0, 0, 0, 0x08, 0, 0, 0, 0, 0, 0, 0));
    EXPECT_THAT(packets[1].unit(), SizeIs(48));
    EXPECT_NE(packets_of(capture.command(kRead10))[0].task(), packets[0].task());
}

TEST(Capture, PacketsAreThoseOfOneTcpConnection) {
    Capture capture({.name = "d", .front_end = "tcmu", .block_size = 512});
    TraceRecord failed = kRead10;
    failed.error = ErrorKind::sense(3, 0x11, 0).packed();
    const std::string first = capture.command(failed);
    const auto packets = packets_of(first + capture.command(kRead10));
    ASSERT_THAT(packets, SizeIs(4));
    std::uint32_t asked = packets[0].sequence();
    std::uint32_t answered = packets[1].sequence();
    for (std::size_t i = 0; i < packets.size(); ++i) {
        const Packet& packet = packets[i];
        const auto length = static_cast<std::uint32_t>(packet.bytes.size());
        EXPECT_EQ(scsi::get_be16(std::span(packet.bytes).subspan(2)), length);
        EXPECT_EQ(folded(std::span(packet.bytes).first(20)), 0xffffU);
        const std::uint32_t pseudo = folded(std::span(packet.bytes).subspan(12, 8)) + 6;
        EXPECT_EQ(folded(packet.segment(), pseudo + length - 20), 0xffffU);
        std::uint32_t& own = i % 2 == 0 ? asked : answered;
        EXPECT_EQ(packet.sequence(), own);
        own += length - 40;
        EXPECT_EQ(packet.acknowledged(), i % 2 == 0 ? answered : asked);
    }
}

TEST(Capture, CdbOf32BytesIsWhole) {
    Capture capture({.name = "d", .front_end = "tcmu", .block_size = 512});
    TraceRecord record = kRead10;
    record.cdb = {0x7f};
    record.cdb[16] = 0x44;
    record.cdb[31] = 0x55;
    record.cdb_length = 32;
    const auto packets = packets_of(capture.command(record));
    EXPECT_THAT(packets[0].unit(), SizeIs(48 + 20));
    EXPECT_EQ(packets[0].unit()[4], 5);  // words of the additional header
    EXPECT_THAT(packets[0].unit().subspan(48, 5), ElementsAre(0, 17, 1, 0, 0x44));
    EXPECT_EQ(packets[0].unit().back(), 0x55);
    EXPECT_FALSE(packets[1].options.contains(1));
    record.cdb_length = 260;
    EXPECT_EQ(packets_of(capture.command(record))[1].options.at(1),
              "the first 32 of 260 bytes of the CDB");
}

TEST(Capture, ErrorsAreStatusAndSense) {
    Capture capture({.name = "d", .front_end = "ublk", .block_size = 512});
    const auto response = [&](ErrorKind error) {
        TraceRecord record = kRead10;
        record.error = error.packed();
        return packets_of(capture.command(record))[1];
    };
    const Packet sense = response(ErrorKind::sense(5, 0x21, 0));
    EXPECT_EQ(sense.unit()[3], 2);
    EXPECT_EQ(sense.unit()[7], 2 + 18);  // bytes of data: sense data and its length
    EXPECT_EQ(scsi::get_be16(sense.unit().subspan(48)), 18);
    const auto summary = scsi::summarize_sense(sense.unit().subspan(50));
    EXPECT_EQ(summary.key, 5);
    EXPECT_EQ(summary.additional.code, 0x21);
    EXPECT_EQ(response(ErrorKind::scsi_status(8)).unit()[3], 8);
    const Packet system = response(ErrorKind::system(EIO));
    EXPECT_EQ(system.options.at(1), "EIO");
    EXPECT_EQ(scsi::summarize_sense(system.unit().subspan(50)).key, 3);  // MEDIUM ERROR
}

TEST(Capture, RequestsWithoutCdbAreTheCommandsThatAskForTheSame) {
    Capture capture({.name = "ublkb0", .front_end = "ublk", .block_size = 4096});
    const auto cdb = [&](BlockOperation operation) {
        const auto packets = packets_of(capture.command(
            {.ended_at = 9, .bytes = 8192, .offset = 40960, .operation = operation}));
        EXPECT_EQ(scsi::get_be32(packets[0].unit().subspan(20)), 0U);  // no data, as no direction
        const auto bytes = packets[0].unit().subspan(32, 16);
        return std::vector<std::uint8_t>(bytes.begin(), bytes.end());
    };
    const auto with = [](std::uint8_t code, std::uint8_t flags) {
        return std::vector<std::uint8_t>{code, flags, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0, 2, 0, 0};
    };
    EXPECT_EQ(cdb(BlockOperation::kRead), with(0x88, 0));
    EXPECT_EQ(cdb(BlockOperation::kWrite), with(0x8a, 0));
    EXPECT_EQ(cdb(BlockOperation::kDiscard), with(0x93, 8));
    EXPECT_EQ(cdb(BlockOperation::kWriteZeroes), with(0x93, 0));
    std::vector<std::uint8_t> flush(16);
    flush[0] = 0x91;
    EXPECT_EQ(cdb(BlockOperation::kFlush), flush);
    auto blocks = blocks_of(capture.begin());
    blocks[1].read_options(8);
    EXPECT_THAT(blocks[1].options[3], HasSubstr("requests of the block layer (ublk)"));
}

TEST(Capture, WhatIsMissingIsCounted) {
    Capture capture({.name = "d", .front_end = "tcmu", .block_size = 512});
    capture.missing(3);
    const auto packets = packets_of(capture.command(kRead10));
    EXPECT_EQ(Block::number_of(packets[0].options.at(4), 0, 8), 6U);  // packets, of 3 commands
    EXPECT_EQ(packets[0].options.at(1), "3 commands are missing before this one");
    EXPECT_FALSE(packets[1].options.contains(4));
    EXPECT_FALSE(packets_of(capture.command(kRead10))[0].options.contains(4));
    capture.missing(1);
    auto end = blocks_of(capture.end());
    ASSERT_THAT(end, SizeIs(1));
    EXPECT_EQ(end[0].type, 5U);
    end[0].read_options(12);
    EXPECT_EQ(Block::number_of(end[0].options[4], 0, 8), 12U);
    EXPECT_EQ(Block::number_of(end[0].options[5], 0, 8), 8U);
}

}  // namespace
}  // namespace lunkit::cli

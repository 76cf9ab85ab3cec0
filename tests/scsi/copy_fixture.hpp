// SPDX-License-Identifier: Apache-2.0
// Third-party copies in bytes: parameter lists of EXTENDED COPY, and what follows it.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "logical_unit_fixture.hpp"
#include "scsi/device_identification.hpp"

namespace lunkit::scsi::test {

/// A block device to block device segment, in the standard's terms.
struct Segment {
    std::uint64_t from = 0;
    std::uint64_t to = 0;
    std::uint16_t blocks = 1;
    std::uint16_t source_id = 0;
    std::uint16_t destination_id = 0;
};

class CopyTest : public LogicalUnitTest {
  protected:
    using TimePoint = std::chrono::steady_clock::time_point;
    static constexpr std::size_t kHeader = 16;  // of LID1
    static constexpr std::size_t kHeader4 = 48;

    CopyTest() {
        time_ = TimePoint();
        options.now = [] { return time_; };
        restart();
    }

    NaaIdentifier own_naa() const {
        return make_naa_identifier(initiators.answer.serial, initiators.answer.company_id).value();
    }
    static NaaIdentifier other_naa() { return make_naa_identifier("abcdef0123", 0x1405).value(); }

    static Bytes cscd(const NaaIdentifier& naa, std::uint32_t block_length = kBlock) {
        Bytes bytes(32);
        bytes[0] = 0xe4;
        bytes[4] = 1;
        bytes[5] = 3;
        bytes[7] = static_cast<std::uint8_t>(naa.size());
        std::ranges::copy(naa, bytes.begin() + 8);
        put_be24(std::span(bytes).subspan(29), block_length);
        return bytes;
    }
    static Bytes segment(const Segment& segment) {
        Bytes bytes(28);
        bytes[0] = 0x02;
        put_be16(std::span(bytes).subspan(2), 24);
        put_be16(std::span(bytes).subspan(4), segment.source_id);
        put_be16(std::span(bytes).subspan(6), segment.destination_id);
        put_be16(std::span(bytes).subspan(10), segment.blocks);
        put_be64(std::span(bytes).subspan(12), segment.from);
        put_be64(std::span(bytes).subspan(20), segment.to);
        return bytes;
    }
    static Bytes joined(const std::vector<Bytes>& parts) {
        Bytes all;
        for (const Bytes& part : parts) {
            all.insert(all.end(), part.begin(), part.end());
        }
        return all;
    }
    static Bytes list(const Bytes& cscds, const Bytes& segments, std::uint8_t list_id = 1,
                      std::uint8_t list_id_usage = 0) {
        Bytes bytes(kHeader);
        bytes[0] = list_id;
        bytes[1] = static_cast<std::uint8_t>(list_id_usage << 3U);
        put_be16(std::span(bytes).subspan(2), static_cast<std::uint16_t>(cscds.size()));
        put_be32(std::span(bytes).subspan(8), static_cast<std::uint32_t>(segments.size()));
        return joined({bytes, cscds, segments});
    }
    static Bytes list4(const Bytes& cscds, const Bytes& segments, std::uint32_t list_id = 1) {
        Bytes bytes(kHeader4);
        bytes[0] = 0x01;
        put_be16(std::span(bytes).subspan(2), 0x20);
        bytes[16] = 0xff;
        put_be32(std::span(bytes).subspan(20), list_id);
        put_be16(std::span(bytes).subspan(42), static_cast<std::uint16_t>(cscds.size()));
        put_be16(std::span(bytes).subspan(44), static_cast<std::uint16_t>(segments.size()));
        return joined({bytes, cscds, segments});
    }
    Bytes list_of(const std::vector<Segment>& segments) const {
        Bytes bytes;
        for (const Segment& one : segments) {
            const Bytes more = segment(one);
            bytes.insert(bytes.end(), more.begin(), more.end());
        }
        return list(cscd(own_naa()), bytes);
    }
    static Bytes copy_out_cdb(std::uint8_t service_action, std::size_t length,
                              std::uint32_t list_id = 0) {
        Bytes cdb(16);
        cdb[0] = 0x83;
        cdb[1] = service_action;
        put_be32(std::span(cdb).subspan(6), list_id);
        put_be32(std::span(cdb).subspan(10), static_cast<std::uint32_t>(length));
        return cdb;
    }
    Reply extended_copy(const Bytes& parameter_list) {
        return out(copy_out_cdb(0x00, parameter_list.size()), parameter_list);
    }
    Reply copy(const std::vector<Segment>& segments) { return extended_copy(list_of(segments)); }

    /// Of LID4, and with 32 bits of list identifier.
    Reply receive(std::uint8_t service_action, std::uint32_t list_id, std::uint32_t length = 1024) {
        Bytes cdb(16);
        cdb[0] = 0x84;
        cdb[1] = service_action;
        put_be32(std::span(cdb).subspan(2), list_id);
        put_be32(std::span(cdb).subspan(10), length);
        return in(cdb);
    }
    Reply receive_lid1(std::uint8_t service_action, std::uint8_t list_id) {
        return receive(service_action, std::uint32_t{list_id} << 24U);
    }
    static void wait(std::chrono::seconds duration) { time_ += duration; }

    /// Block by block: each of [lba, +count) has bytes of its own.
    void number_medium() {
        for (std::uint64_t lba = 0; lba < kBlocks; ++lba) {
            fill_medium(lba, 1, static_cast<std::uint8_t>(lba * 31 / 7));
        }
    }
    Bytes medium(std::uint64_t lba, std::uint64_t count) {
        const auto bytes = device.bytes().subspan(lba * kBlock, count * kBlock);
        Bytes copied;
        for (const std::byte byte : bytes) {
            copied.push_back(static_cast<std::uint8_t>(byte));
        }
        return copied;
    }

  private:
    static inline TimePoint time_;
};

/// `field`: in the segment descriptor (`in_segment`), or in the parameter list.
inline ::testing::AssertionResult is_aborted(const Reply& reply, unsigned additional,
                                             unsigned segment,
                                             std::optional<unsigned> field = std::nullopt,
                                             bool in_segment = false) {
    const bool is = is_check(reply, 0xa, additional) && reply.is_fixed() &&
                    get_be16(std::span(reply.sense).subspan(10)) == segment &&
                    reply.field() == field &&
                    (!field || ((reply.sense[15] & 0x20) != 0) == in_segment);
    return is ? ::testing::AssertionSuccess()
              : ::testing::AssertionFailure()
                    << describe(reply) << " segment "
                    << (reply.sense.size() > 11 ? unsigned{reply.sense[11]} : 999U);
}

}  // namespace lunkit::scsi::test

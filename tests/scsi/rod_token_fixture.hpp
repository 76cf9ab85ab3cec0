// SPDX-License-Identifier: Apache-2.0
// POPULATE TOKEN, RECEIVE ROD TOKEN INFORMATION and WRITE USING TOKEN in bytes.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "copy_fixture.hpp"

namespace lunkit::scsi::test {

/// LOGICAL BLOCK ADDRESS and NUMBER OF LOGICAL BLOCKS.
using Range = std::pair<std::uint64_t, std::uint32_t>;

class RodTokenTest : public CopyTest {
  protected:
    static constexpr std::size_t kTokenAt = 38;  // in RECEIVE ROD TOKEN INFORMATION, after success

    static void put_ranges(Bytes& bytes, std::size_t length_at, const std::vector<Range>& ranges) {
        put_be16(std::span(bytes).subspan(length_at),
                 static_cast<std::uint16_t>(16 * ranges.size()));
        for (const Range& range : ranges) {
            Bytes descriptor(16);
            put_be64(descriptor, range.first);
            put_be32(std::span(descriptor).subspan(8), range.second);
            bytes.insert(bytes.end(), descriptor.begin(), descriptor.end());
        }
        put_be16(bytes, static_cast<std::uint16_t>(bytes.size() - 2));
    }
    static Bytes populate_list(const std::vector<Range>& ranges, std::uint32_t timeout = 0) {
        Bytes bytes(16);
        put_be32(std::span(bytes).subspan(4), timeout);
        put_ranges(bytes, 14, ranges);
        return bytes;
    }
    static Bytes write_list(const Bytes& token, const std::vector<Range>& ranges,
                            std::uint64_t offset = 0, bool delete_token = false) {
        Bytes bytes(536);
        bytes[2] = delete_token ? 0x02 : 0;
        put_be64(std::span(bytes).subspan(8), offset);
        std::ranges::copy(token, bytes.begin() + 16);
        put_ranges(bytes, 534, ranges);
        return bytes;
    }
    static Bytes zero_token() {
        Bytes token(512);
        put_be32(token, 0xffff0001);
        put_be16(std::span(token).subspan(6), 0x01f8);
        return token;
    }

    Reply populate_by(const Bytes& list, std::uint32_t list_id = 1) {
        return out(copy_out_cdb(0x10, list.size(), list_id), list);
    }
    Reply populate(const std::vector<Range>& ranges, std::uint32_t list_id = 1) {
        return populate_by(populate_list(ranges), list_id);
    }
    /// Of eight bytes.
    static std::uint64_t number_at(const Bytes& bytes, std::size_t at) {
        return get_be64(std::span(bytes).subspan(at));
    }
    Reply information(std::uint32_t list_id = 1) { return receive(0x07, list_id); }
    Bytes token_of(const Reply& reply) {
        EXPECT_TRUE(is_good(reply));
        EXPECT_EQ(reply.data.size(), kTokenAt + 512);
        Bytes token(512);
        if (reply.data.size() == kTokenAt + 512) {
            std::copy(reply.data.begin() + kTokenAt, reply.data.end(), token.begin());
        }
        return token;
    }
    /// A token for the present data of these blocks.
    Bytes make_token(const std::vector<Range>& ranges, std::uint32_t timeout = 0) {
        EXPECT_TRUE(is_good(populate_by(populate_list(ranges, timeout))));
        return token_of(information());
    }
    Reply write_list_as(const Bytes& list, std::uint32_t list_id) {
        return out(copy_out_cdb(0x11, list.size(), list_id), list);
    }
    Reply write_using(const Bytes& token, const std::vector<Range>& ranges,
                      std::uint64_t offset = 0, bool delete_token = false) {
        return write_list_as(write_list(token, ranges, offset, delete_token), 2);
    }
    Reply write_blocks_of(std::uint32_t lba, std::uint16_t count, std::uint8_t value) {
        return out(cdb10(0x2a, 0, lba, count), blocks(count, value));
    }
};

}  // namespace lunkit::scsi::test

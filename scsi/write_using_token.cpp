// SPDX-License-Identifier: Apache-2.0
// WRITE USING TOKEN (SBC-4 5.59): writes what a ROD token stands for, or zeros.
//
// A token is cancelled when its blocks change, so blocks that it stands for cannot be written with
// it: that is refused before anything is written. When others change them meanwhile the command
// ends where it is; RECEIVE ROD TOKEN INFORMATION tells how far it came.
#include <algorithm>
#include <array>
#include <expected>
#include <optional>

#include "scsi/block_copy.hpp"
#include "scsi/block_ranges.hpp"
#include "scsi/commands.hpp"
#include "scsi/copy_limits.hpp"
#include "scsi/parameter_data.hpp"
#include "scsi/rod_token.hpp"
#include "scsi/third_party_copy.hpp"
#include "scsi/write_pattern.hpp"

namespace lunkit::scsi {
namespace {

constexpr std::uint16_t kOffsetIntoRodAt = 8;
constexpr std::size_t kRodTokenAt = 16;
constexpr std::uint16_t kRangeDescriptorLengthAt = 534;
constexpr std::size_t kHeaderLength = 536;

struct Header {
    bool del_tkn = false;
    std::uint64_t offset_into_rod = 0;  ///< blocks
    std::uint32_t rod_type = 0;
    RodTokenBytes token;
};

std::expected<Header, Ending> fetch_header(const Command& command) {
    constexpr std::uint16_t kMinimumDataLength = 550;
    constexpr std::uint8_t kDelTkn = 0x02;
    constexpr std::size_t kRodTokenLengthAt = 6;
    std::array<std::uint8_t, kRodTokenAt> bytes;
    fetch(command, 0, bytes);
    const std::span<const std::uint8_t> fields(bytes);
    if (get_be16(fields) < kMinimumDataLength) {
        return std::unexpected(invalid_field_in_parameter_list(0));
    }
    Header header;
    header.del_tkn = (fields[2] & kDelTkn) != 0;
    header.offset_into_rod = get_be64(fields.subspan(kOffsetIntoRodAt));
    fetch(command, kRodTokenAt, header.token);
    const std::span<const std::uint8_t> token(header.token);
    header.rod_type = get_be32(token);
    if (get_be16(token.subspan(kRodTokenLengthAt)) != kRodTokenLength - 8) {
        return std::unexpected(
            check_condition(SenseKey::kIllegalRequest, asc::kInvalidTokenOperationTokenLength));
    }
    return header;
}

/// One WRITE USING TOKEN at work.
struct Work {
    const BlockRanges& to;
    CopyResult& result;
    bool cached = false;
};

/// Goes through the data that a token stands for, from an offset on.
class Source {
  public:
    Source(const RodToken& token, std::uint64_t offset) : token_(token) {
        for (skip_ = offset; at_ < token.ranges().size() && skip_ >= range().length; ++at_) {
            skip_ -= range().length;
        }
    }
    /// At most `length` bytes that lie together; none at the end.
    [[nodiscard]] ByteRange next(std::uint64_t length) const {
        if (at_ == token_.ranges().size()) {
            return {};
        }
        return {range().offset + skip_, std::min(length, range().length - skip_)};
    }
    void consume(std::uint64_t length) {
        skip_ += length;
        if (skip_ == range().length) {
            ++at_;
            skip_ = 0;
        }
    }

  private:
    [[nodiscard]] const ByteRange& range() const { return token_.ranges()[at_]; }
    const RodToken& token_;
    std::size_t at_ = 0;
    std::uint64_t skip_ = 0;  // into that range
};

Task<Ending> write_range(Unit& unit, Queue& queue, const Command& command, Work& work,
                         const RodToken& token, Source& source, ByteRange to, Buffer& buffer) {
    while (to.length > 0) {
        const ByteRange from = source.next(to.length);
        if (from.length == 0) {  // the token stands for less than was asked for
            work.result.is_partial = true;
            co_return good();
        }
        const BlockCopy copy{.source = {&unit.device, true, from.offset},
                             .destination = {&unit.device, true, to.offset},
                             .length = from.length,
                             .represents = &token};
        const BlockCopyOutcome outcome = co_await copy_blocks(unit, queue, command, copy, buffer);
        work.cached = work.cached || outcome.cached;
        work.result.bytes_transferred += outcome.complete;
        if (outcome.failure) {
            co_return outcome.failure->ending;
        }
        source.consume(from.length);
        to = {to.offset + from.length, to.length - from.length};
    }
    co_return good();
}

Task<Ending> write_token(Unit& unit, Queue& queue, const Command& command, Work& work,
                         const RodToken& token, std::uint64_t offset) {
    const std::uint64_t largest = std::ranges::max(work.to.ranges, {}, &ByteRange::length).length;
    Buffer buffer(copy_buffer_size(unit, largest));
    if (!buffer) {
        co_return busy();
    }
    Source source(token, offset);
    for (const ByteRange& range : work.to.ranges) {
        const Ending ending =
            co_await write_range(unit, queue, command, work, token, source, range, buffer);
        if (!ending.is_good()) {
            co_return ending;
        }
    }
    if (work.cached && !unit.mode.write_cache_enabled) {
        co_return co_await unit.flush(queue);
    }
    co_return good();
}

Task<Ending> write_zero_token(Unit& unit, Queue& queue, const Command& command, Work& work) {
    const std::uint64_t most = unit.limits.maximum_write_same_length * unit.options.block_size;
    for (const ByteRange& range : work.to.ranges) {
        for (std::uint64_t done = 0; done < range.length;) {
            const ByteRange part{range.offset + done, std::min(range.length - done, most)};
            const Ending ending = co_await write_zeros(unit, queue, command, part, false);
            if (!ending.is_good()) {
                co_return ending;
            }
            done += part.length;
            work.result.bytes_transferred += part.length;
        }
    }
    co_return good();
}

/// The token that the header shows, fit to write those blocks.
std::expected<RodToken*, Ending> find_token(Unit& unit, const Header& header,
                                            const BlockRanges& to) {
    const auto found = unit.copies.tokens.find(header.token, unit.options.now());
    if (!found) {
        return std::unexpected(check_condition(SenseKey::kIllegalRequest, found.error()));
    }
    const RodToken& token = **found;
    if (header.offset_into_rod >= token.length() / unit.options.block_size) {
        return std::unexpected(invalid_field_in_parameter_list(kOffsetIntoRodAt));
    }
    if (std::ranges::any_of(to.ranges,
                            [&](const ByteRange& range) { return token.overlaps(range); })) {
        return std::unexpected(invalid_field_in_parameter_list(kHeaderLength));
    }
    return *found;
}

}  // namespace

Task<Ending> write_using_token(Unit& unit, Queue& queue, Command& command) {
    const Cdb cdb(command.cdb);
    const std::uint32_t list_identifier = cdb.be32(6);
    const std::uint32_t parameter_list_length = cdb.be32(10);
    if (parameter_list_length == 0) {
        co_return good();
    }
    if (parameter_list_length < kHeaderLength) {
        co_return parameter_list_length_error();
    }
    if (data_length(command) < parameter_list_length) {
        co_return wrong_data_out_length();
    }
    const auto header = fetch_header(command);
    if (!header) {
        co_return header.error();
    }
    const auto to =
        fetch_block_ranges(unit, command, kRangeDescriptorLengthAt, parameter_list_length);
    if (!to) {
        co_return to.error();
    }
    const bool is_zero = header->rod_type == rod_type::kBlockDeviceZero;
    if (!is_zero && header->rod_type != rod_type::kPointInTimeCopyChangeVulnerable) {
        co_return check_condition(SenseKey::kIllegalRequest,
                                  asc::kInvalidTokenOperationUnsupportedTokenType);
    }
    if (const auto refusal = refuse_copy(unit.copies, list_identifier, unit.options.now())) {
        co_return *refusal;
    }
    RodToken* token = nullptr;
    if (!is_zero) {
        const auto found = find_token(unit, *header, *to);
        if (!found) {
            co_return found.error();
        }
        token = *found;
    }
    RunningCopy running(unit.copies, list_identifier, cdb.bits(1, 4, 0));
    Work work{*to, running.result()};
    Ending ending = good();
    if (is_zero) {
        ending = co_await write_zero_token(unit, queue, command, work);
    } else if (!to->ranges.empty()) {
        const RodTokens::Use use(*token, unit.options.now);
        ending = co_await write_token(unit, queue, command, work, *token,
                                      header->offset_into_rod * unit.options.block_size);
    }
    if (token != nullptr && header->del_tkn) {
        unit.copies.tokens.remove(*token);
    }
    running.end(ending, unit.options.now());
    co_return ending;
}

}  // namespace lunkit::scsi

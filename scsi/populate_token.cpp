// SPDX-License-Identifier: Apache-2.0
// POPULATE TOKEN (SBC-4 5.12): makes a ROD token that stands for the present data of some blocks.
#include <algorithm>
#include <array>
#include <chrono>
#include <expected>

#include "scsi/block_ranges.hpp"
#include "scsi/commands.hpp"
#include "scsi/copy_limits.hpp"
#include "scsi/parameter_data.hpp"
#include "scsi/rod_token.hpp"
#include "scsi/third_party_copy.hpp"

namespace lunkit::scsi {
namespace {

constexpr std::uint16_t kRangeDescriptorLengthAt = 14;
constexpr std::size_t kHeaderLength = 16;

/// What it asks of the token beside its blocks; its timeout.
std::expected<std::chrono::seconds, Ending> check_header(const Command& command) {
    constexpr std::uint16_t kMinimumDataLength = 30;
    constexpr std::uint16_t kInactivityTimeoutAt = 4;
    constexpr std::uint16_t kRodTypeAt = 8;
    constexpr std::uint8_t kRtv = 0x02;
    // Point in time copies of any kind are of the kind that the unit makes.
    constexpr std::array kRodTypes{rod_type::kPointInTimeCopyDefault,
                                   rod_type::kPointInTimeCopyChangeVulnerable,
                                   rod_type::kPointInTimeCopyAny};
    std::array<std::uint8_t, kHeaderLength> bytes;
    fetch(command, 0, bytes);
    const std::span<const std::uint8_t> header(bytes);
    if (get_be16(header) < kMinimumDataLength) {
        return std::unexpected(invalid_field_in_parameter_list(0));
    }
    const std::uint32_t timeout = get_be32(header.subspan(kInactivityTimeoutAt));
    if (timeout > copy_limits::kMaximumInactivityTimeout) {
        return std::unexpected(invalid_field_in_parameter_list(kInactivityTimeoutAt));
    }
    const std::uint32_t type = get_be32(header.subspan(kRodTypeAt));
    if ((header[2] & kRtv) != 0 && std::ranges::find(kRodTypes, type) == kRodTypes.end()) {
        return std::unexpected(invalid_field_in_parameter_list(kRodTypeAt));
    }
    return std::chrono::seconds(timeout != 0 ? timeout : copy_limits::kDefaultInactivityTimeout);
}

/// Waits for what began to change the blocks before the token was there to be cancelled.
Task<void> settle(Unit& unit, Queue& queue, std::span<const ByteRange> ranges) {
    for (const ByteRange& range : ranges) {
        Medium::Hold hold(unit.device, range);
        co_await hold.acquire(queue);
    }
}

}  // namespace

Task<Ending> populate_token(Unit& unit, Queue& queue, Command& command) {
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
    const auto timeout = check_header(command);
    if (!timeout) {
        co_return timeout.error();
    }
    const auto fetched =
        fetch_block_ranges(unit, command, kRangeDescriptorLengthAt, parameter_list_length);
    if (!fetched) {
        co_return fetched.error();
    }
    const Identity identity = co_await unit.initiators.identity(queue);
    if (const auto refusal = refuse_copy(unit.copies, list_identifier, unit.options.now())) {
        co_return *refusal;
    }
    const std::vector<ByteRange>& ranges = fetched->ranges;
    RodToken* const token = unit.copies.tokens.create(
        {.ranges = ranges,
         .length = fetched->length,
         .block_size = unit.options.block_size,
         .creator = make_naa_identifier(identity.serial, identity.company_id),
         .inactivity_timeout = *timeout},
        unit.options.now());
    if (token == nullptr) {
        co_return check_condition(SenseKey::kIllegalRequest,
                                  asc::kInsufficientResourcesToCreateRodToken);
    }
    const RodTokens::Use use(*token, unit.options.now);
    RunningCopy running(unit.copies, list_identifier, cdb.bits(1, 4, 0));
    co_await settle(unit, queue, ranges);
    running.result().bytes_transferred = fetched->length;
    running.result().token_identifier = RodTokens::identifier_of(*token);
    running.end(good(), unit.options.now());
    co_return good();
}

}  // namespace lunkit::scsi

// SPDX-License-Identifier: Apache-2.0
// FORMAT UNIT (SBC-4 5.4, 4.33). The unit has neither defect lists nor protection information, so
// what is left of it is to initialize the blocks: zeros, which a thin device need not store, or the
// pattern of an initialization pattern descriptor.
#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "scsi/commands.hpp"
#include "scsi/parameter_data.hpp"

namespace lunkit::scsi {
namespace {

/// The parameter list, as far as it says anything to this unit.
struct FormatParameters {
    bool immediate = false;
    bool overwrite = false;       ///< SI: the blocks are written, whatever they are to hold
    std::optional<Buffer> block;  ///< the initialization pattern, as far as its length; or zeros
};

// Initialization pattern descriptor (SBC-4 table 45) at `at` of the Data-Out buffer.
Ending take_initialization_pattern(const Unit& unit, const Command& command, std::uint16_t at,
                                   FormatParameters& parameters) {
    constexpr std::size_t kHeaderLength = 4;
    constexpr std::uint8_t kSi = 0x20;
    constexpr std::uint8_t kDefaultPattern = 0x00;
    constexpr std::uint8_t kRepeatPattern = 0x01;
    std::array<std::uint8_t, kHeaderLength> header;
    if (data_length(command) < at + kHeaderLength) {
        return parameter_list_length_error();
    }
    fetch(command, at, header);
    const std::uint16_t length = get_be16(std::span(header).subspan(2));
    if ((header[0] & 0xc0U) != 0) {  // IP MODIFIER, obsolete: nothing is put into the blocks
        return invalid_field_in_parameter_list(at);
    }
    parameters.overwrite = (header[0] & kSi) != 0;
    switch (header[1]) {
        case kDefaultPattern:
            return length == 0
                       ? good()
                       : invalid_field_in_parameter_list(static_cast<std::uint16_t>(at + 2));
        case kRepeatPattern:
            break;
        default:
            return invalid_field_in_parameter_list(static_cast<std::uint16_t>(at + 1));
    }
    if (length == 0 || length > unit.options.block_size) {
        return invalid_field_in_parameter_list(static_cast<std::uint16_t>(at + 2));
    }
    if (data_length(command) < at + kHeaderLength + length) {
        return parameter_list_length_error();
    }
    parameters.block.emplace(length);
    if (!*parameters.block) {
        return busy();
    }
    copy_from_iov(*command.data, at + kHeaderLength, parameters.block->bytes());
    return good();
}

// Short or long parameter list header (SBC-4 tables 42 and 43) and what follows.
Ending take_parameter_list(const Unit& unit, const Command& command, bool is_long,
                           FormatParameters& parameters) {
    constexpr std::size_t kShortLength = 4;
    constexpr std::size_t kLongLength = 8;
    constexpr std::uint8_t kFov = 0x80;
    constexpr std::uint8_t kIp = 0x08;
    constexpr std::uint8_t kImmed = 0x02;
    constexpr std::uint8_t kNeedFov = 0x7c;  // DPRY, DCRT, STPF, IP and the obsolete DSP
    std::array<std::uint8_t, kLongLength> bytes{};
    const std::size_t length = is_long ? kLongLength : kShortLength;
    if (data_length(command) < length) {
        return parameter_list_length_error();
    }
    const auto header = std::span(bytes).first(length);
    fetch(command, 0, header);
    if ((header[0] & 0x07U) != 0) {  // PROTECTION FIELD USAGE
        return invalid_field_in_parameter_list(0);
    }
    if ((header[1] & kFov) == 0 && (header[1] & kNeedFov) != 0) {
        return invalid_field_in_parameter_list(1);
    }
    if (is_long && header[3] != 0) {  // P_I_INFORMATION, PROTECTION INTERVAL EXPONENT
        return invalid_field_in_parameter_list(3);
    }
    const std::uint16_t list_length_at = is_long ? 4 : 2;
    if (get_be(header.subspan(list_length_at), is_long ? 4 : 2) != 0) {  // DEFECT LIST LENGTH
        return invalid_field_in_parameter_list(list_length_at);
    }
    parameters.immediate = (header[1] & kImmed) != 0;
    // DPRY, DCRT and STPF are about lists and a certification that the unit does not have.
    return (header[1] & kIp) == 0
               ? good()
               : take_initialization_pattern(unit, command, static_cast<std::uint16_t>(length),
                                             parameters);
}

std::optional<Ending> check_cdb(const Cdb& cdb) {
    constexpr std::uint8_t kMaxDefectListFormat = 5;  // 6: the vendor's, 7: reserved
    const bool fmtdata = cdb.bit(1, 4);
    const std::uint8_t defect_list_format = cdb.bits(1, 2, 0);
    if (cdb.bits(1, 7, 6) != 0) {  // FMTPINFO
        return invalid_field_in_cdb(1, 7);
    }
    // SBC-4 table 39. Without a parameter list LONGLIST and CMPLST are ignored; with one CMPLST
    // chooses between two empty lists of grown defects.
    if (defect_list_format > (fmtdata ? kMaxDefectListFormat : 0)) {
        return invalid_field_in_cdb(1, 2);
    }
    if (cdb.bits(4, 1, 0) == 3) {  // FFMT, reserved
        return invalid_field_in_cdb(4, 1);
    }
    return {};
}

}  // namespace

Task<Ending> format_unit(Unit& unit, Queue& queue, Command& command) {
    const Cdb cdb(command.cdb);
    if (const auto refusal = check_cdb(cdb)) {
        co_return *refusal;
    }
    FormatParameters parameters;
    if (cdb.bit(1, 4)) {  // FMTDATA
        const Ending taken = take_parameter_list(unit, command, cdb.bit(1, 5), parameters);
        if (!taken.is_good()) {
            co_return taken;
        }
    }
    constexpr std::byte kZero{0};
    const std::span<const std::byte> pattern =
        parameters.block ? std::span<const std::byte>(parameters.block->bytes())
                         : std::span(&kZero, 1);
    const bool writes_out =
        parameters.overwrite ||
        std::ranges::any_of(pattern, [](std::byte byte) { return byte != std::byte{0}; });
    // FFMT: the blocks are to read as they should without being written, which only zeros can.
    const bool is_fast = cdb.bits(4, 1, 0) != 0;
    if (is_fast && writes_out) {
        co_return check_condition(SenseKey::kIllegalRequest, asc::kInvalidFastFormat);
    }
    Rewrite rewrite = rewrite_during(MediumState::Condition::kFormatting);
    rewrite.flags = Unit::io_flags(command);
    rewrite.tag = command.tag;
    if (writes_out) {
        rewrite.pattern = make_pattern(unit, pattern);
        if (!rewrite.pattern) {
            co_return busy();
        }
    } else {
        // A fully provisioned unit keeps its blocks mapped (SBC-4 4.33.3.1).
        rewrite.flags |= (unit.info.can_discard ? LUNKIT_IO_MAY_UNMAP : 0U) |
                         (is_fast ? LUNKIT_IO_NO_FALLBACK : 0U);
    }
    co_return co_await rewrite_medium(unit, queue, command, std::move(rewrite),
                                      parameters.immediate);
}

}  // namespace lunkit::scsi

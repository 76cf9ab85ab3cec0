// SPDX-License-Identifier: Apache-2.0
// MODE SENSE and MODE SELECT (SPC-5 6.11 to 6.14).
//
// MODE SELECT establishes no unit attention: it would be for the other initiators only, and the
// unit cannot tell them from the one that sent it.
#include <algorithm>
#include <array>
#include <limits>

#include "scsi/commands.hpp"
#include "scsi/errno_sense.hpp"
#include "scsi/parameter_data.hpp"

namespace lunkit::scsi {
namespace {

constexpr std::size_t kShortDescriptorLength = 8;
constexpr std::size_t kLongDescriptorLength = 16;
constexpr unsigned kLonglba = 0x01;

/// Mode parameter header (6) or (10), SPC-5 7.5.4.
struct HeaderLayout {
    std::size_t length;
    std::size_t mode_data_length_width;
    std::size_t block_descriptor_length_at;
    std::size_t block_descriptor_length_width;
};
constexpr HeaderLayout kHeader6{4, 1, 3, 1};
constexpr HeaderLayout kHeader10{8, 2, 6, 2};

const HeaderLayout& header_of(const Cdb& cdb) {
    return cdb.size() == 6 ? kHeader6 : kHeader10;
}

// ---- MODE SENSE

void put_header(ParameterData& data, const Unit& unit, const HeaderLayout& header,
                std::size_t descriptor_length) {
    constexpr unsigned kWp = 0x80;
    constexpr unsigned kDpofua = 0x10;
    const unsigned device_specific =  // MMC-6 has none
        unit.mode.is_cd ? 0U : kDpofua | (unit.write_protected() ? kWp : 0U);
    data.zeros(header.mode_data_length_width);
    data.u8(0).u8(device_specific);  // MEDIUM TYPE 0
    if (header.length == kHeader10.length) {
        data.u8(descriptor_length == kLongDescriptorLength ? kLonglba : 0U).u8(0);
    }
    data.zeros(header.block_descriptor_length_width);
    data.set(header.block_descriptor_length_at, descriptor_length,
             header.block_descriptor_length_width);
}

// SBC-4 6.5.2.
void put_block_descriptor(ParameterData& data, const Unit& unit, std::size_t length) {
    if (length == kShortDescriptorLength) {
        constexpr std::uint64_t kMax = std::numeric_limits<std::uint32_t>::max();
        data.be32(std::min(unit.capacity_blocks(), kMax));
        data.u8(0).be24(unit.options.block_size);
    } else if (length == kLongDescriptorLength) {
        data.be64(unit.capacity_blocks()).be32(0).be32(unit.options.block_size);
    }
}

void put_page(ParameterData& data, const Unit& unit, const ModePage& page, PageControl control) {
    ModePageBytes bytes{};
    switch (control) {
        case PageControl::kChangeable:
            bytes = page.changeable(unit.mode);
            break;
        case PageControl::kDefault:
            bytes = page.bytes(unit.default_mode);
            break;
        default:
            bytes = page.bytes(unit.mode);
            break;
    }
    data.bytes(std::span(bytes).first(page.length));
}

// ---- MODE SELECT

// A block descriptor may come along as it was read; it can change nothing.
Ending check_block_descriptor(const Unit& unit, std::span<const std::uint8_t> descriptor,
                              std::size_t at) {
    const bool is_long = descriptor.size() == kLongDescriptorLength;
    const std::uint64_t blocks = is_long ? get_be64(descriptor) : get_be32(descriptor);
    const std::uint32_t length =
        is_long ? get_be32(descriptor.subspan(12)) : get_be24(descriptor.subspan(5));
    const bool means_all =
        blocks == 0 || (!is_long && blocks == std::numeric_limits<std::uint32_t>::max());
    if (!means_all && blocks != unit.capacity_blocks()) {
        return invalid_field_in_parameter_list(static_cast<std::uint16_t>(at));
    }
    if (length != unit.options.block_size) {
        return invalid_field_in_parameter_list(static_cast<std::uint16_t>(at + (is_long ? 12 : 5)));
    }
    return good();
}

/// What a list asks for.
struct Selection {
    ModeParameters mode;
    bool has_caching_page = false;  ///< else WCE is only what it was when the list came
};

// One page at `at` of the list: takes its values into `wanted` and gives its length in `length`.
Ending take_page(std::span<const std::uint8_t> list, std::size_t at, Selection& wanted,
                 std::size_t& length) {
    constexpr unsigned kSpf = 0x40;
    const auto rest = list.subspan(at);
    const bool has_subpage = !rest.empty() && (rest[0] & kSpf) != 0;
    if (rest.size() < (has_subpage ? 4U : 2U)) {
        return parameter_list_length_error();
    }
    const ModePage* const page =
        find_mode_page(static_cast<std::uint8_t>(rest[0] & 0x3fU),
                       has_subpage ? rest[1] : std::uint8_t{0}, wanted.mode);
    if (page == nullptr || (has_subpage && page->subpage_code == 0)) {
        return invalid_field_in_parameter_list(static_cast<std::uint16_t>(at));
    }
    const unsigned page_length = has_subpage ? get_be16(rest.subspan(2)) : rest[1];
    if (page_length + page->header_length() != page->length) {
        return invalid_field_in_parameter_list(
            static_cast<std::uint16_t>(at + (has_subpage ? 2U : 1U)));
    }
    if (rest.size() < page->length) {
        return parameter_list_length_error();
    }
    const ModePageBytes current = page->bytes(wanted.mode);
    const ModePageBytes changeable = page->changeable(wanted.mode);
    for (std::size_t i = page->header_length(); i < page->length; ++i) {
        if (((rest[i] ^ current[i]) & ~static_cast<unsigned>(changeable[i]) & 0xffU) != 0) {
            return invalid_field_in_parameter_list(static_cast<std::uint16_t>(at + i));
        }
    }
    if (!has_subpage) {  // nothing of those can be changed
        read_mode_page(page->page_code, rest, wanted.mode);
    }
    wanted.has_caching_page =
        wanted.has_caching_page || page->page_code == mode_page_code::kCaching;
    length = page->length;
    return good();
}

// The whole list, before any of it takes effect.
Ending take_list(const Unit& unit, const HeaderLayout& header, std::span<const std::uint8_t> list,
                 Selection& wanted) {
    if (list.size() < header.length) {
        return parameter_list_length_error();
    }
    if (list[header.mode_data_length_width] != 0) {  // MEDIUM TYPE
        return invalid_field_in_parameter_list(
            static_cast<std::uint16_t>(header.mode_data_length_width));
    }
    const std::size_t descriptor_length = get_be(list.subspan(header.block_descriptor_length_at),
                                                 header.block_descriptor_length_width);
    const bool is_long = header.length == kHeader10.length && (list[4] & kLonglba) != 0;
    if (descriptor_length != 0 &&
        descriptor_length != (is_long ? kLongDescriptorLength : kShortDescriptorLength)) {
        return invalid_field_in_parameter_list(
            static_cast<std::uint16_t>(header.block_descriptor_length_at));
    }
    std::size_t at = header.length + descriptor_length;
    if (list.size() < at) {
        return parameter_list_length_error();
    }
    if (descriptor_length != 0) {
        const Ending checked = check_block_descriptor(
            unit, list.subspan(header.length, descriptor_length), header.length);
        if (!checked.is_good()) {
            return checked;
        }
    }
    while (at < list.size()) {
        std::size_t length = 0;
        const Ending taken = take_page(list, at, wanted, length);
        if (!taken.is_good()) {
            return taken;
        }
        at += length;
    }
    return good();
}

// One after the other, so that each knows what has become of the one before.
Task<Status> switch_write_cache(Unit& unit, Queue& queue, bool enabled, bool is_replay) {
    AsyncMutex::Guard alone(unit.write_cache_switch);
    (void)co_await alone.acquire(queue);  // nobody withdraws it
    const bool switches = unit.mode.write_cache_enabled != enabled;
    if (!switches && !is_replay) {  // a predecessor may have died before its flush
        co_return Status();
    }
    Status switched = co_await unit.set_write_cache(queue, enabled);
    if (switched && switches) {
        unit.initiators.write_cache_changed(enabled);
    }
    co_return switched;
}

// Of what one command has changed; another may have been quicker with the rest.
void undo(bool& now, bool before, bool wanted) {
    if (before != wanted) {
        now = before;
    }
}

// All of it or, should the cache not let itself be emptied, nothing.
Task<Ending> apply(Unit& unit, Queue& queue, Selection selection, bool is_replay) {
    const ModeParameters before = unit.mode;
    const ModeParameters& wanted = selection.mode;
    unit.mode.descriptor_sense = wanted.descriptor_sense;
    unit.mode.software_write_protect = wanted.software_write_protect;
    unit.mode.threshold_reporting = wanted.threshold_reporting;
    unit.remember();
    if (!selection.has_caching_page) {
        co_return good();
    }
    const Status switched =
        co_await switch_write_cache(unit, queue, wanted.write_cache_enabled, is_replay);
    if (!switched) {
        undo(unit.mode.descriptor_sense, before.descriptor_sense, wanted.descriptor_sense);
        undo(unit.mode.software_write_protect, before.software_write_protect,
             wanted.software_write_protect);
        undo(unit.mode.threshold_reporting, before.threshold_reporting, wanted.threshold_reporting);
        unit.remember();
        co_return ending_of(switched.error(), FailedOperation{Direction::kWrite});
    }
    co_return good();
}

}  // namespace

Ending mode_sense(Unit& unit, Command& command) {
    const Cdb cdb(command.cdb);
    const HeaderLayout& header = header_of(cdb);
    const bool dbd = cdb.bit(1, 3);
    const bool llbaa = header.length == kHeader10.length && cdb.bit(1, 4);
    const auto control = static_cast<PageControl>(cdb.bits(2, 7, 6));
    const std::uint8_t page_code = cdb.bits(2, 5, 0);
    const std::uint8_t subpage_code = cdb.byte(3);
    if (control == PageControl::kSaved) {
        return check_condition(SenseKey::kIllegalRequest, asc::kSavingParametersNotSupported);
    }
    const bool all_subpages = subpage_code == mode_page_code::kAllSubpages;
    if (page_code == mode_page_code::kAll) {
        if (subpage_code != 0 && !all_subpages) {
            return invalid_field_in_cdb(3);
        }
    } else if (find_mode_page(page_code, 0, unit.mode) == nullptr) {  // subpages have one of these
        return invalid_field_in_cdb(2, 5);
    } else if (!all_subpages && find_mode_page(page_code, subpage_code, unit.mode) == nullptr) {
        return invalid_field_in_cdb(3);
    }
    std::size_t descriptor_length = 0;
    if (!dbd) {
        descriptor_length = llbaa ? kLongDescriptorLength : kShortDescriptorLength;
    }
    ParameterData data;
    put_header(data, unit, header, descriptor_length);
    put_block_descriptor(data, unit, descriptor_length);
    for (const ModePage& page : mode_pages()) {
        if ((page_code == mode_page_code::kAll || page_code == page.page_code) &&
            (all_subpages || subpage_code == page.subpage_code) && page.is_there(unit.mode)) {
            put_page(data, unit, page, control);
        }
    }
    data.set(0, data.size() - header.mode_data_length_width, header.mode_data_length_width);
    deliver(command, data.view(), cdb.size() == 6 ? cdb.byte(4) : cdb.be16(7));
    return good();
}

Task<Ending> mode_select(Unit& unit, Queue& queue, Command& command) {
    const Cdb cdb(command.cdb);
    if (!cdb.bit(1, 4)) {  // PF: pages of the vendor's making are not understood
        co_return invalid_field_in_cdb(1, 4);
    }
    if (cdb.bit(1, 0)) {  // SP: nothing can be saved
        co_return invalid_field_in_cdb(1, 0);
    }
    const std::size_t parameter_list_length = cdb.size() == 6 ? cdb.byte(4) : cdb.be16(7);
    if (parameter_list_length == 0) {
        co_return good();
    }
    // More than every page and the longest header and descriptor, each once or twice.
    constexpr std::size_t kMaxListLength = 256;
    if (parameter_list_length > kMaxListLength) {
        co_return parameter_list_length_error();
    }
    if (data_length(command) < parameter_list_length) {
        co_return wrong_data_out_length();
    }
    std::array<std::uint8_t, kMaxListLength> bytes;
    const auto list = std::span(bytes).first(parameter_list_length);
    fetch(command, 0, list);
    Selection wanted{.mode = unit.mode};
    const Ending taken = take_list(unit, header_of(cdb), list, wanted);
    if (!taken.is_good()) {
        co_return taken;
    }
    co_return co_await apply(unit, queue, wanted, command.replay);
}

}  // namespace lunkit::scsi

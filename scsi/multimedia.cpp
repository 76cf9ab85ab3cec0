// SPDX-License-Identifier: Apache-2.0
// The commands that only a CD or DVD has (MMC-6 clause 6): what it is, what is on it. The medium is
// one session of one data track and is always there.
#include <utility>

#include "scsi/commands.hpp"
#include "scsi/parameter_data.hpp"

namespace lunkit::scsi {
namespace {

constexpr unsigned kFirstTrack = 1;
constexpr unsigned kLeadOut = 0xaa;
constexpr unsigned kDataTrack = 0x14;  // ADR 1; CONTROL: data, recorded without interruption

// MMC-6 5.3.1, 5.4.
constexpr unsigned kProfileCdRom = 0x0008;
constexpr unsigned kProfileDvdRom = 0x0010;
constexpr std::uint64_t kMostBlocksOfACd = 405'000;  // 90 minutes; what is longer is a DVD

std::uint64_t blocks_of(const Unit& unit) {
    return unit.capacity_blocks();
}

bool is_dvd(const Unit& unit) {
    return blocks_of(unit) > kMostBlocksOfACd;
}

Ending wrong_kind_of_medium() {
    return check_condition(SenseKey::kIllegalRequest, asc::kCannotReadMediumIncompatibleFormat);
}

// ECMA-267: a layer holds so many blocks, in units of ECC blocks of 16; what is longer has two.
constexpr std::uint64_t kMostBlocksOfALayer = 2'298'496;
constexpr std::uint64_t kEccBlock = 16;

// Physical sector numbers have three bytes. The second layer's are the complements of the first
// one's (ECMA-267, opposite track path), so that those of the first one end in the middle.
constexpr std::uint64_t kFirstSector = 0x030000;
constexpr std::uint64_t kSectorMask = 0xffffff;
constexpr std::uint64_t kMostBlocksOfADvd = 2 * (kSectorMask / 2 + 1 - kFirstSector);

// MMC-6 6.22, format 00h: of a pressed disc of 120 mm; a second layer is read from the outside to
// the inside.
void put_physical_format(ParameterData& data, const Unit& unit) {
    constexpr unsigned kDvdRomVersion1 = 0x01;
    constexpr unsigned kAnyRate = 0x0f;
    constexpr unsigned kTwoLayers = 0x20;
    constexpr unsigned kOppositeTrackPath = 0x10;
    constexpr unsigned kEmbossed = 0x01;
    constexpr std::size_t kLength = 2048;
    const std::size_t begin = data.size();
    const std::uint64_t blocks = blocks_of(unit);
    const bool has_two = blocks > kMostBlocksOfALayer;
    const std::uint64_t of_first = ((blocks + 1) / 2 + kEccBlock - 1) / kEccBlock * kEccBlock;
    const std::uint64_t end_of_first = kFirstSector + of_first - 1;
    const unsigned layers = has_two ? kTwoLayers | kOppositeTrackPath : 0;
    data.u8(kDvdRomVersion1).u8(kAnyRate).u8(kEmbossed | layers).u8(0);
    data.be32(kFirstSector);
    data.be32(has_two ? (~end_of_first & kSectorMask) + (blocks - of_first) - 1
                      : kFirstSector + blocks - 1);
    data.be32(has_two ? end_of_first : 0);
    data.zeros(kLength - (data.size() - begin));
}

// MMC-6 table 4: minutes, seconds and frames of a 75th of a second, from 2 seconds before LBA 0.
void put_msf(ParameterData& data, std::uint64_t logical_block_address) {
    constexpr std::uint64_t kFrames = 75;
    constexpr std::uint64_t kSeconds = 60;
    constexpr std::uint64_t kLead = 2 * kFrames;
    constexpr std::uint64_t kMostMinutes = 255;
    const std::uint64_t frames = logical_block_address + kLead;
    const std::uint64_t minutes = frames / kFrames / kSeconds;
    if (minutes > kMostMinutes) {  // a DVD has no such address
        data.u8(0).u8(0xff).u8(kSeconds - 1).u8(kFrames - 1);
        return;
    }
    data.u8(0).u8(static_cast<unsigned>(minutes));
    data.u8(static_cast<unsigned>(frames / kFrames % kSeconds));
    data.u8(static_cast<unsigned>(frames % kFrames));
}

void put_track(ParameterData& data, unsigned number, std::uint64_t address, bool msf) {
    data.u8(0).u8(kDataTrack).u8(number).u8(0);
    if (msf) {
        put_msf(data, address);
    } else {
        data.be32(address);
    }
}

// A feature descriptor (MMC-6 5.2.2).
struct Feature {
    unsigned code;
    unsigned version;
    bool persistent;
    bool current;
};
void put_feature(ParameterData& data, Feature feature, std::span<const std::uint8_t> more) {
    data.be16(feature.code);
    data.u8(feature.version << 2U | (feature.persistent ? 0x02U : 0U) |
            (feature.current ? 0x01U : 0U));
    data.u8(static_cast<unsigned>(more.size())).bytes(more);
}

}  // namespace

// MMC-6 6.25. Formats 0000b (the table of contents) and 0001b (sessions).
Ending read_toc_pma_atip(Unit& unit, Command& command) {
    const Cdb cdb(command.cdb);
    const bool msf = cdb.bit(1, 1);
    const std::uint8_t format = cdb.bits(2, 3, 0);
    const unsigned from = cdb.byte(6);
    ParameterData data;
    data.be16(0).u8(kFirstTrack).u8(kFirstTrack);  // or sessions, of which there is one as well
    if (format == 0) {
        if (from > kFirstTrack && from != kLeadOut) {
            return invalid_field_in_cdb(6);
        }
        if (from <= kFirstTrack) {
            put_track(data, kFirstTrack, 0, msf);
        }
        put_track(data, kLeadOut, blocks_of(unit), msf);
    } else if (format == 1) {
        put_track(data, kFirstTrack, 0, msf);
    } else {
        return invalid_field_in_cdb(2, 3);
    }
    data.set(0, data.size() - 2, 2);
    deliver(command, data.view(), cdb.be16(7));
    return good();
}

// MMC-6 6.6. CD Read is not among the features: it promises all of READ CD, of which the unit has
// what the image of a disc holds.
Ending get_configuration(Unit& unit, Command& command) {
    enum class Which : std::uint8_t { kAll = 0, kCurrent = 1, kOne = 2 };
    const Cdb cdb(command.cdb);
    const std::uint8_t rt = cdb.bits(1, 1, 0);
    if (rt > 2) {
        return invalid_field_in_cdb(1, 1);
    }
    const auto which = static_cast<Which>(rt);
    const unsigned from = cdb.be16(2);
    const bool fits_a_cd = !is_dvd(unit);
    ParameterData data;
    data.be32(0).be16(0).be16(fits_a_cd ? kProfileCdRom : kProfileDvdRom);
    const auto put = [&](Feature feature, std::initializer_list<std::uint8_t> more) {
        const bool wanted = which == Which::kOne
                                ? feature.code == from
                                : feature.code >= from && (which == Which::kAll || feature.current);
        if (wanted) {
            put_feature(data, feature, {more.begin(), more.size()});
        }
    };
    constexpr std::uint8_t kCurrentP = 0x01;
    put({0x0000, 0, true, true},  // profiles, in descending order
        {0, kProfileDvdRom, fits_a_cd ? std::uint8_t{0} : kCurrentP, 0, 0, kProfileCdRom,
         fits_a_cd ? kCurrentP : std::uint8_t{0}, 0});
    put({0x0001, 2, true, true}, {0, 0, 0, 1, 0, 0, 0, 0});      // core: of the SCSI family
    put({0x0002, 1, true, true}, {0x02, 0, 0, 0});               // morphing: events are polled for
    put({0x0003, 2, true, true}, {0, 0, 0, 0});                  // removable: a caddy that stays
    put({0x0010, 0, false, true}, {0, 0, 0x08, 0, 0, 1, 0, 0});  // random readable: 2048 each
    put({0x001f, 2, false, !fits_a_cd}, {0, 0, 0, 0});           // DVD read
    put({0x0105, 1, true, true}, {0, 0, 0, 0});                  // time-out
    data.set(0, data.size() - 4, 4);
    deliver(command, data.view(), cdb.be16(7));
    return good();
}

// MMC-6 6.7. Media events only: the image has another size, so it may be another image.
Ending get_event_status_notification(Unit& unit, Command& command) {
    constexpr unsigned kMedia = 4;
    constexpr unsigned kNoEventAvailable = 0x80;
    constexpr unsigned kSupportedClasses = 1U << kMedia;
    constexpr unsigned kMediaPresent = 0x02;
    const Cdb cdb(command.cdb);
    if (!cdb.bit(1, 0)) {  // POLLED: nothing is told later
        return invalid_field_in_cdb(1, 0);
    }
    ParameterData data;
    if (cdb.bit(4, kMedia)) {
        data.be16(6).u8(kMedia).u8(kSupportedClasses);
        constexpr unsigned kNewMedia = 2;
        data.u8(std::exchange(unit.has_new_media, false) ? kNewMedia : 0U);
        data.u8(kMediaPresent).be16(0);
    } else {
        data.be16(2).u8(kNoEventAvailable).u8(kSupportedClasses);
    }
    deliver(command, data.view(), cdb.be16(7));
    return good();
}

// MMC-6 6.21. Standard disc information.
Ending read_disc_information(Unit& /*unit*/, Command& command) {
    constexpr unsigned kCompleteSessionOfACompleteDisc = 0x0e;
    constexpr unsigned kUnrestrictedUse = 0x20;
    constexpr std::size_t kLength = 34;
    const Cdb cdb(command.cdb);
    if (cdb.bits(1, 2, 0) != 0) {
        return invalid_field_in_cdb(1, 2);
    }
    ParameterData data;
    data.be16(kLength - 2).u8(kCompleteSessionOfACompleteDisc);
    data.u8(kFirstTrack).u8(1).u8(kFirstTrack).u8(kFirstTrack);  // one session, from 1 to 1
    data.u8(kUnrestrictedUse).u8(0).zeros(3);                    // of type CD-ROM
    data.zeros(4);                                               // no disc identification
    data.be32(0xffffffff).be32(0xffffffff);                      // nowhere to write another session
    data.zeros(kLength - data.size());
    deliver(command, data.view(), cdb.be16(7));
    return good();
}

// MMC-6 6.12. No changer, idle.
Ending mechanism_status(Unit& /*unit*/, Command& command) {
    ParameterData data;
    data.zeros(8);
    deliver(command, data.view(), Cdb(command.cdb).be16(8));
    return good();
}

// MMC-6 6.22. What the lead-in of a DVD tells: of its format, that it is not encrypted, and which
// of these there are.
Ending read_disc_structure(Unit& unit, Command& command) {
    constexpr std::uint8_t kPhysicalFormat = 0x00;
    constexpr std::uint8_t kCopyright = 0x01;
    constexpr std::uint8_t kStructureList = 0xff;
    constexpr unsigned kReadable = 0x40;
    const Cdb cdb(command.cdb);
    if (cdb.bits(1, 3, 0) != 0) {  // of a BD
        return invalid_field_in_cdb(1, 3);
    }
    if (!is_dvd(unit)) {
        return wrong_kind_of_medium();
    }
    if (cdb.byte(6) > (blocks_of(unit) > kMostBlocksOfALayer ? 1 : 0)) {
        return invalid_field_in_cdb(6);
    }
    ParameterData data;
    static_assert(ParameterData::kCapacity >= 2052);
    data.be16(0).be16(0);
    switch (cdb.byte(7)) {
        case kPhysicalFormat:
            if (blocks_of(unit) > kMostBlocksOfADvd) {
                return wrong_kind_of_medium();
            }
            put_physical_format(data, unit);
            break;
        case kCopyright:
            data.zeros(4);  // no protection, of no region
            break;
        case kStructureList:
            data.u8(kPhysicalFormat).u8(kReadable).be16(2052);
            data.u8(kCopyright).u8(kReadable).be16(8);
            break;
        default:
            return invalid_field_in_cdb(7);
    }
    data.set(0, data.size() - 2, 2);
    deliver(command, data.view(), cdb.be16(8));
    return good();
}

// MMC-6 6.19. The user data of mode 1 sectors; their headers, error correction and subchannels are
// not in the image of a disc.
Task<Ending> read_cd(Unit& unit, Queue& queue, Command& command) {
    constexpr std::uint8_t kAnyType = 0;
    constexpr std::uint8_t kMode1 = 2;
    constexpr std::uint8_t kLastType = 5;
    constexpr std::uint8_t kNothing = 0x00;
    constexpr std::uint8_t kUserData = 0x10;
    const Cdb cdb(command.cdb);
    const std::uint8_t type = cdb.bits(1, 4, 2);
    if (is_dvd(unit)) {
        co_return wrong_kind_of_medium();
    }
    if (type > kLastType) {
        co_return invalid_field_in_cdb(1, 4);
    }
    if (type != kAnyType && type != kMode1) {
        co_return check_condition(SenseKey::kIllegalRequest, asc::kIllegalModeForThisTrack);
    }
    if (cdb.byte(9) != kNothing && cdb.byte(9) != kUserData) {
        co_return invalid_field_in_cdb(9);
    }
    if (cdb.bits(10, 2, 0) != 0) {
        co_return invalid_field_in_cdb(10, 2);
    }
    BlockCdb block;
    block.logical_block_address = cdb.be32(2);
    block.number_of_logical_blocks = cdb.be24(6);
    block.length_at = 6;
    if (cdb.byte(9) == kNothing) {
        const auto refusal = check_block_cdb(unit, block, unit.limits.maximum_transfer_length);
        co_return refusal ? *refusal : good();
    }
    co_return co_await read_blocks_of(unit, queue, command, block);
}

}  // namespace lunkit::scsi

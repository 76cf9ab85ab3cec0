// SPDX-License-Identifier: Apache-2.0
#include "scsi/opcodes.hpp"

#include <cstddef>
#include <iterator>

#include "scsi/cdb.hpp"

namespace lunkit::scsi {
namespace {

namespace op = operation_code;
namespace sa = service_action;

using Usage = std::array<std::uint8_t, 32>;
using Traits = Opcode::Traits;

constexpr Traits kPlain{};
constexpr Traits kAlways{.ignores_attention = true, .during_format = true, .during_sanitize = true};
constexpr Traits kReports{.during_sanitize = true};
constexpr Traits kCapacity{.accesses_medium = true, .during_sanitize = true};
constexpr Traits kMedium{.accesses_medium = true};
constexpr Traits kWrites{.accesses_medium = true, .writes = true};
constexpr Traits kWritesAtomically{.accesses_medium = true, .writes = true, .needs_atomic = true};
constexpr Traits kRewrites{.accesses_medium = true, .writes = true, .rewrites_medium = true};
constexpr Traits kErases{
    .accesses_medium = true, .writes = true, .needs_discard = true, .rewrites_medium = true};
constexpr Traits kRepairs{.accesses_medium = true, .rewrites_medium = true};
constexpr Traits kUnmaps{.accesses_medium = true, .writes = true, .needs_discard = true};

// Seconds. What only looks at memory; what transfers data; what may go over much of the medium, and
// over all of it.
constexpr std::uint16_t kQuick = 10;
constexpr std::uint16_t kTransfers = 30;
constexpr std::uint16_t kSlow = 60;
constexpr std::uint16_t kWholeMedium = 36000;

using Answer = Ending (*)(Unit&, Command&);
using Run = Task<Ending> (*)(Unit&, Queue&, Command&);

constexpr std::uint8_t length_of(const Usage& usage) {
    constexpr std::array<std::uint8_t, 8> kByGroup{6, 10, 10, 32, 16, 12, 10, 10};
    return kByGroup[usage[0] >> 5U];
}
constexpr Opcode opcode(const Usage& usage, std::uint16_t timeout, Traits traits, Answer answer) {
    return {usage[0], {}, length_of(usage), usage, timeout, traits, answer, nullptr};
}
constexpr Opcode opcode(const Usage& usage, std::uint16_t timeout, Traits traits, Run run) {
    return {usage[0], {}, length_of(usage), usage, timeout, traits, nullptr, run};
}
/// The service action is in bits 4..0 of byte 1.
constexpr Opcode with_service_action(Opcode entry) {
    entry.service_action = static_cast<std::uint8_t>(entry.usage[1] & 0x1fU);
    return entry;
}
/// A block command of 32 bytes; `flags`: byte 10.
constexpr Opcode block_32(std::uint16_t action, std::uint8_t flags, std::uint16_t timeout,
                          Traits traits, Run run) {
    Usage usage{op::kVariableLengthCdb};
    usage[7] = 0xff;  // ADDITIONAL CDB LENGTH: has to be the right one
    put_be16(std::span(usage).subspan(8), action);
    usage[10] = flags;
    constexpr std::uint64_t kAllBits = ~std::uint64_t{0};
    put_be64(std::span(usage).subspan(12), kAllBits);
    put_be(std::span(usage).subspan(28), kAllBits, 4);
    Opcode entry = opcode(usage, timeout, traits, run);
    entry.service_action = action;
    return entry;
}
constexpr Opcode by_target(const Usage& usage) {
    return {usage[0], {}, length_of(usage), usage, kQuick, {.by_target = true}, nullptr, nullptr};
}
/// All device types have it; without one of these, disks and zoned disks do.
constexpr Opcode common(Opcode entry) {
    entry.traits.types = kAllTypes;
    return entry;
}
constexpr Opcode multimedia(Opcode entry) {
    entry.traits.types = kCdDvd;
    return entry;
}
/// Would write a zone in another order than its write pointer goes, or all of them.
constexpr Opcode not_zoned(Opcode entry) {
    entry.traits.types = kBlock;
    return entry;
}
constexpr Opcode zoned(Opcode entry) {
    entry.traits.types = kZoned;
    return entry;
}
constexpr Opcode zbc_out(std::uint8_t action, Run run) {
    return zoned(with_service_action(opcode({op::kZbcOut, action, 0xff, 0xff, 0xff, 0xff, 0xff,
                                             0xff, 0xff, 0xff, 0, 0, 0xff, 0xff, 0x01, 0},
                                            kSlow, kWrites, run)));
}

constexpr Opcode persistent_reserve_in(std::uint8_t action) {
    return common(with_service_action(
        by_target({op::kPersistentReserveIn, action, 0, 0, 0, 0, 0, 0xff, 0xff, 0})));
}
constexpr Opcode persistent_reserve_out(std::uint8_t action) {
    return common(with_service_action(
        by_target({op::kPersistentReserveOut, action, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, 0})));
}

// The bits that the block commands look at, beside address and length.
constexpr std::uint8_t kDpoFua = 0x18;
constexpr std::uint8_t kDpoBytchk = 0x16;

// The masks: byte 0 is the opcode, then CDB USAGE DATA byte by byte, with the control byte last.
constexpr Opcode kOpcodes[] = {
    common(opcode({op::kTestUnitReady}, kQuick, kMedium, test_unit_ready)),
    common(opcode({op::kRequestSense, 0x01, 0, 0, 0xff, 0}, kQuick, kAlways, request_sense)),
    not_zoned(opcode({op::kFormatUnit, 0xff, 0, 0, 0x03, 0}, kWholeMedium, kRewrites, format_unit)),
    opcode({op::kRead6, 0x1f, 0xff, 0xff, 0xff, 0}, kTransfers, kMedium, read_blocks),
    opcode({op::kWrite6, 0x1f, 0xff, 0xff, 0xff, 0}, kTransfers, kWrites, write_blocks),
    common(opcode({op::kInquiry, 0x01, 0xff, 0xff, 0xff, 0}, kQuick, kAlways, inquiry)),
    common(opcode({op::kModeSelect6, 0x11, 0, 0, 0xff, 0}, kTransfers, kPlain, mode_select)),
    common(by_target({op::kReserve6, 0, 0, 0, 0, 0})),
    common(by_target({op::kRelease6, 0, 0, 0, 0, 0})),
    common(opcode({op::kModeSense6, 0x08, 0xff, 0xff, 0xff, 0}, kQuick, kReports, mode_sense)),
    common(opcode({op::kStartStopUnit, 0x01, 0, 0, 0xf7, 0}, kSlow, kPlain, start_stop_unit)),
    common(opcode({op::kReceiveDiagnosticResults, 0x01, 0xff, 0xff, 0xff, 0}, kQuick, kPlain,
                  receive_diagnostic_results)),
    common(opcode({op::kSendDiagnostic, 0xf4, 0, 0xff, 0xff, 0}, kTransfers, kMedium,
                  send_diagnostic)),
    common(opcode({op::kPreventAllowMediumRemoval, 0, 0, 0, 0x03, 0}, kQuick, kPlain,
                  prevent_allow_medium_removal)),
    common(opcode({op::kReadCapacity10}, kQuick, kCapacity, read_capacity_10)),
    common(opcode({op::kRead10, kDpoFua, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff, 0}, kTransfers,
                  kMedium, read_blocks)),
    opcode({op::kWrite10, kDpoFua, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff, 0}, kTransfers, kWrites,
           write_blocks),
    opcode({op::kWriteAndVerify10, kDpoBytchk, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff, 0},
           kTransfers, kWrites, write_and_verify),
    common(opcode({op::kVerify10, kDpoBytchk, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff, 0}, kTransfers,
                  kMedium, verify)),
    opcode({op::kPreFetch10, 0x02, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff, 0}, kTransfers, kMedium,
           pre_fetch),
    common(opcode({op::kSynchronizeCache10, 0x02, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff, 0}, kSlow,
                  kMedium, synchronize_cache)),
    opcode({op::kReadDefectData10, 0, 0x1f, 0, 0, 0, 0, 0xff, 0xff, 0}, kQuick, kMedium,
           read_defect_data_10),
    common(opcode({op::kWriteBuffer, 0x1f, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0}, kQuick, kPlain,
                  write_buffer)),
    common(opcode({op::kReadBuffer10, 0x1f, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0}, kQuick, kPlain,
                  read_buffer_10)),
    opcode({op::kWriteSame10, 0x18, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff, 0}, kSlow, kWrites,
           write_same),
    not_zoned(opcode({op::kUnmap, 0x01, 0, 0, 0, 0, 0, 0xff, 0xff, 0}, kSlow, kUnmaps, unmap)),
    multimedia(opcode({op::kReadTocPmaAtip, 0x02, 0x0f, 0, 0, 0, 0xff, 0xff, 0xff, 0}, kQuick,
                      kMedium, read_toc_pma_atip)),
    multimedia(opcode({op::kGetConfiguration, 0x03, 0xff, 0xff, 0, 0, 0, 0xff, 0xff, 0}, kQuick,
                      kAlways, get_configuration)),
    not_zoned(with_service_action(
        opcode({op::kSanitize, 0xa0 | sa::kOverwrite, 0, 0, 0, 0, 0, 0xff, 0xff, 0}, kWholeMedium,
               kRewrites, sanitize_overwrite))),
    not_zoned(with_service_action(
        opcode({op::kSanitize, 0xa0 | sa::kBlockErase, 0, 0, 0, 0, 0, 0xff, 0xff, 0}, kWholeMedium,
               kErases, sanitize_block_erase))),
    not_zoned(with_service_action(
        opcode({op::kSanitize, sa::kExitFailureMode, 0, 0, 0, 0, 0, 0xff, 0xff, 0}, kQuick,
               kRepairs, sanitize_exit_failure_mode))),
    multimedia(opcode({op::kGetEventStatusNotification, 0x01, 0, 0, 0xff, 0, 0, 0xff, 0xff, 0},
                      kQuick, kAlways, get_event_status_notification)),
    opcode({op::kLogSelect, 0x03, 0xff, 0xff, 0, 0, 0, 0xff, 0xff, 0}, kQuick, kPlain, log_select),
    opcode({op::kLogSense, 0x01, 0xff, 0xff, 0, 0xff, 0xff, 0xff, 0xff, 0}, kQuick, kPlain,
           log_sense),
    multimedia(opcode({op::kReadDiscInformation, 0x07, 0, 0, 0, 0, 0, 0xff, 0xff, 0}, kQuick,
                      kMedium, read_disc_information)),
    common(opcode({op::kModeSelect10, 0x11, 0, 0, 0, 0, 0, 0xff, 0xff, 0}, kTransfers, kPlain,
                  mode_select)),
    common(by_target({op::kReserve10, 0, 0, 0, 0, 0, 0, 0, 0, 0})),
    common(by_target({op::kRelease10, 0, 0, 0, 0, 0, 0, 0, 0, 0})),
    common(opcode({op::kModeSense10, 0x18, 0xff, 0xff, 0, 0, 0, 0xff, 0xff, 0}, kQuick, kReports,
                  mode_sense)),
    persistent_reserve_in(0x00),   // READ KEYS
    persistent_reserve_in(0x01),   // READ RESERVATION
    persistent_reserve_in(0x02),   // REPORT CAPABILITIES
    persistent_reserve_in(0x03),   // READ FULL STATUS
    persistent_reserve_out(0x00),  // REGISTER
    persistent_reserve_out(0x01),  // RESERVE
    persistent_reserve_out(0x02),  // RELEASE
    persistent_reserve_out(0x03),  // CLEAR
    persistent_reserve_out(0x04),  // PREEMPT
    persistent_reserve_out(0x05),  // PREEMPT AND ABORT
    persistent_reserve_out(0x06),  // REGISTER AND IGNORE EXISTING KEY
    persistent_reserve_out(0x07),  // REGISTER AND MOVE
    // SBC-4 has these for units with type 2 protection only, where no others can carry the tags. A
    // unit without it executes them too, as the commands of 16 bytes that they otherwise are.
    block_32(sa::kRead32, kDpoFua, kTransfers, kMedium, read_blocks),
    block_32(sa::kVerify32, kDpoBytchk, kTransfers, kMedium, verify),
    block_32(sa::kWrite32, kDpoFua, kTransfers, kWrites, write_blocks),
    block_32(sa::kWriteAndVerify32, kDpoBytchk, kTransfers, kWrites, write_and_verify),
    block_32(sa::kWriteSame32, 0x19, kSlow, kWrites, write_same),
    not_zoned(with_service_action(opcode({op::kThirdPartyCopyOut, sa::kExtendedCopyLid1, 0, 0, 0, 0,
                                          0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0},
                                         kSlow, kWrites, extended_copy_lid1))),
    not_zoned(with_service_action(opcode({op::kThirdPartyCopyOut, sa::kExtendedCopyLid4, 0, 0, 0, 0,
                                          0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0},
                                         kSlow, kWrites, extended_copy_lid4))),
    not_zoned(with_service_action(opcode({op::kThirdPartyCopyOut, sa::kPopulateToken, 0, 0, 0, 0,
                                          0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0},
                                         kTransfers, kMedium, populate_token))),
    not_zoned(with_service_action(opcode({op::kThirdPartyCopyOut, sa::kWriteUsingToken, 0, 0, 0, 0,
                                          0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0},
                                         kSlow, kWrites, write_using_token))),
    not_zoned(with_service_action(opcode({op::kThirdPartyCopyIn, sa::kReceiveCopyStatusLid1, 0xff,
                                          0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0},
                                         kQuick, kPlain, receive_copy_status_lid1))),
    not_zoned(
        with_service_action(opcode({op::kThirdPartyCopyIn, sa::kReceiveCopyOperatingParameters, 0,
                                    0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0},
                                   kQuick, kPlain, receive_copy_operating_parameters))),
    not_zoned(with_service_action(opcode({op::kThirdPartyCopyIn, sa::kReceiveCopyFailureDetailsLid1,
                                          0xff, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0},
                                         kQuick, kPlain, receive_copy_failure_details_lid1))),
    not_zoned(
        with_service_action(opcode({op::kThirdPartyCopyIn, sa::kReceiveCopyStatusLid4, 0xff, 0xff,
                                    0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0},
                                   kQuick, kPlain, receive_copy_status_lid4))),
    not_zoned(
        with_service_action(opcode({op::kThirdPartyCopyIn, sa::kReceiveRodTokenInformation, 0xff,
                                    0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0},
                                   kQuick, kPlain, receive_rod_token_information))),
    opcode({op::kRead16, kDpoFua, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
            0xff, 0, 0},
           kTransfers, kMedium, read_blocks),
    not_zoned(opcode({op::kCompareAndWrite, kDpoFua, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                      0, 0, 0, 0xff, 0, 0},
                     kTransfers, kWrites, compare_and_write)),
    opcode({op::kWrite16, kDpoFua, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
            0xff, 0, 0},
           kTransfers, kWrites, write_blocks),
    not_zoned(opcode({op::kOrwrite16, kDpoFua, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                      0xff, 0xff, 0xff, 0, 0},
                     kTransfers, kWrites, orwrite)),
    opcode({op::kWriteAndVerify16, kDpoBytchk, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
            0xff, 0xff, 0xff, 0, 0},
           kTransfers, kWrites, write_and_verify),
    opcode({op::kVerify16, kDpoBytchk, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
            0xff, 0xff, 0, 0},
           kTransfers, kMedium, verify),
    opcode({op::kPreFetch16, 0x02, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
            0xff, 0, 0},
           kTransfers, kMedium, pre_fetch),
    opcode({op::kSynchronizeCache16, 0x02, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
            0xff, 0xff, 0xff, 0, 0},
           kSlow, kMedium, synchronize_cache),
    opcode({op::kWriteSame16, 0x19, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
            0xff, 0xff, 0, 0},
           kSlow, kWrites, write_same),
    zbc_out(sa::kCloseZone, close_zone),
    zbc_out(sa::kFinishZone, finish_zone),
    zbc_out(sa::kOpenZone, open_zone),
    zbc_out(sa::kResetWritePointer, reset_write_pointer),
    zoned(with_service_action(opcode({op::kZbcIn, sa::kReportZones, 0xff, 0xff, 0xff, 0xff, 0xff,
                                      0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbf, 0},
                                     kTransfers, kMedium, report_zones))),
    not_zoned(opcode({op::kWriteAtomic16, kDpoFua, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                      0, 0, 0xff, 0xff, 0, 0},
                     kTransfers, kWritesAtomically, write_atomic)),
    with_service_action(opcode({op::kServiceActionIn16, sa::kReadCapacity16, 0, 0, 0, 0, 0, 0, 0, 0,
                                0xff, 0xff, 0xff, 0xff, 0, 0},
                               kQuick, kCapacity, read_capacity_16)),
    with_service_action(opcode({op::kServiceActionIn16, sa::kGetLbaStatus16, 0xff, 0xff, 0xff, 0xff,
                                0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0},
                               kTransfers, kMedium, get_lba_status_16)),
    not_zoned(
        with_service_action(opcode({op::kServiceActionOut16, sa::kWriteScattered16, kDpoFua, 0,
                                    0xff, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0},
                                   kTransfers, kWrites, write_scattered))),
    common(opcode({op::kReportLuns, 0, 0xff, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0}, kQuick,
                  kAlways, report_luns)),
    common(with_service_action(opcode({op::kMaintenanceIn, 0xe0 | sa::kReportTargetPortGroups, 0, 0,
                                       0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0},
                                      kQuick, kPlain, report_target_port_groups))),
    common(with_service_action(opcode({op::kMaintenanceIn, sa::kReportSupportedOperationCodes, 0x87,
                                       0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0},
                                      kQuick, kReports, report_supported_operation_codes))),
    common(
        with_service_action(opcode({op::kMaintenanceIn, sa::kReportSupportedTaskManagementFunctions,
                                    0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0},
                                   kQuick, kReports, report_supported_task_management_functions))),
    common(opcode({op::kRead12, kDpoFua, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0},
                  kTransfers, kMedium, read_blocks)),
    opcode({op::kWrite12, kDpoFua, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0},
           kTransfers, kWrites, write_blocks),
    multimedia(opcode({op::kReadDiscStructure, 0x0f, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0},
                      kQuick, kMedium, read_disc_structure)),
    opcode(
        {op::kWriteAndVerify12, kDpoBytchk, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0},
        kTransfers, kWrites, write_and_verify),
    common(opcode({op::kVerify12, kDpoBytchk, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0},
                  kTransfers, kMedium, verify)),
    opcode({op::kReadDefectData12, 0x1f, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0}, kQuick, kMedium,
           read_defect_data_12),
    multimedia(opcode({op::kMechanismStatus, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0}, kQuick, kPlain,
                      mechanism_status)),
    multimedia(opcode({op::kReadCd, 0x1c, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0x07, 0},
                      kTransfers, kMedium, read_cd)),
};
constexpr std::size_t kOpcodeCount = std::size(kOpcodes);
static_assert(kOpcodeCount <= kMaxOpcodes);

constexpr bool is_in_order() {
    for (std::size_t i = 1; i < kOpcodeCount; ++i) {
        const Opcode& before = kOpcodes[i - 1];
        const Opcode& after = kOpcodes[i];
        const bool same = before.operation_code == after.operation_code;
        if (before.operation_code > after.operation_code ||
            (same && (!before.service_action || !after.service_action ||
                      *before.service_action >= *after.service_action))) {
            return false;
        }
    }
    return true;
}
static_assert(is_in_order());

// Where each operation code's entries begin, and how many they are.
struct Slot {
    std::uint8_t first = 0;
    std::uint8_t count = 0;
};
constexpr std::array<Slot, 256> make_index() {
    std::array<Slot, 256> index{};
    for (std::size_t i = 0; i < kOpcodeCount; ++i) {
        Slot& slot = index[kOpcodes[i].operation_code];
        if (slot.count == 0) {
            slot.first = static_cast<std::uint8_t>(i);
        }
        ++slot.count;
    }
    return index;
}
constexpr std::array<Slot, 256> kIndex = make_index();

bool is_of_its_type(const Opcode& opcode, const Unit& unit) {
    return opcode.traits.types.has(unit.info.type);
}

}  // namespace

std::span<const Opcode> all_opcodes() {
    return kOpcodes;
}

std::span<const Opcode> opcodes_of(std::uint8_t operation_code) {
    const Slot slot = kIndex[operation_code];
    return std::span(kOpcodes).subspan(slot.first, slot.count);
}

bool is_executed(const Opcode& opcode, const Unit& unit) {
    return !opcode.traits.by_target && is_of_its_type(opcode, unit) &&
           (!opcode.traits.needs_discard || unit.info.can_discard) &&
           (!opcode.traits.needs_atomic || unit.limits.maximum_atomic_transfer_length != 0);
}

bool is_reported(const Opcode& opcode, const Unit& unit) {
    return is_executed(opcode, unit) ||
           (opcode.traits.by_target && unit.options.target_answers_reservations);
}

}  // namespace lunkit::scsi

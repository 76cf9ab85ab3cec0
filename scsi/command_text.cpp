// SPDX-License-Identifier: Apache-2.0
#include "scsi/command_text.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <string_view>

#include "scsi/cdb.hpp"

namespace lunkit::scsi {

namespace {

namespace op = operation_code;
namespace sa = service_action;

/// Where a CDB has addresses and lengths.
enum class Fields : std::uint8_t {
    kNone,
    kBlocks,   ///< as decode_block_cdb() finds them
    kAddress,  ///< bytes 2 to 9
    kCompare,  ///< the same, and the number of blocks in byte 13
    kAtomic,   ///< the same, and the number of blocks in bytes 12 and 13
};

struct Named {
    std::uint8_t operation_code;
    std::optional<std::uint16_t> service_action;  ///< nothing: any
    const char* name;
    Fields fields;
};

using enum Fields;

// One with a service action comes before the one for any.
constexpr Named kNames[] = {
    {op::kTestUnitReady, {}, "TEST UNIT READY", kNone},
    {op::kRequestSense, {}, "REQUEST SENSE", kNone},
    {op::kFormatUnit, {}, "FORMAT UNIT", kNone},
    {op::kRead6, {}, "READ(6)", kBlocks},
    {op::kWrite6, {}, "WRITE(6)", kBlocks},
    {op::kInquiry, {}, "INQUIRY", kNone},
    {op::kModeSelect6, {}, "MODE SELECT(6)", kNone},
    {op::kReserve6, {}, "RESERVE(6)", kNone},
    {op::kRelease6, {}, "RELEASE(6)", kNone},
    {op::kModeSense6, {}, "MODE SENSE(6)", kNone},
    {op::kStartStopUnit, {}, "START STOP UNIT", kNone},
    {op::kReceiveDiagnosticResults, {}, "RECEIVE DIAGNOSTIC RESULTS", kNone},
    {op::kSendDiagnostic, {}, "SEND DIAGNOSTIC", kNone},
    {op::kPreventAllowMediumRemoval, {}, "PREVENT ALLOW MEDIUM REMOVAL", kNone},
    {op::kReadCapacity10, {}, "READ CAPACITY(10)", kNone},
    {op::kRead10, {}, "READ(10)", kBlocks},
    {op::kWrite10, {}, "WRITE(10)", kBlocks},
    {op::kWriteAndVerify10, {}, "WRITE AND VERIFY(10)", kBlocks},
    {op::kVerify10, {}, "VERIFY(10)", kBlocks},
    {op::kPreFetch10, {}, "PRE-FETCH(10)", kBlocks},
    {op::kSynchronizeCache10, {}, "SYNCHRONIZE CACHE(10)", kBlocks},
    {op::kReadDefectData10, {}, "READ DEFECT DATA(10)", kNone},
    {op::kWriteBuffer, {}, "WRITE BUFFER", kNone},
    {op::kReadBuffer10, {}, "READ BUFFER(10)", kNone},
    {op::kWriteSame10, {}, "WRITE SAME(10)", kBlocks},
    {op::kUnmap, {}, "UNMAP", kNone},
    {op::kReadTocPmaAtip, {}, "READ TOC/PMA/ATIP", kNone},
    {op::kGetConfiguration, {}, "GET CONFIGURATION", kNone},
    {op::kSanitize, sa::kOverwrite, "SANITIZE OVERWRITE", kNone},
    {op::kSanitize, sa::kBlockErase, "SANITIZE BLOCK ERASE", kNone},
    {op::kSanitize, sa::kExitFailureMode, "SANITIZE EXIT FAILURE MODE", kNone},
    {op::kSanitize, {}, "SANITIZE", kNone},
    {op::kGetEventStatusNotification, {}, "GET EVENT STATUS NOTIFICATION", kNone},
    {op::kLogSelect, {}, "LOG SELECT", kNone},
    {op::kLogSense, {}, "LOG SENSE", kNone},
    {op::kReadDiscInformation, {}, "READ DISC INFORMATION", kNone},
    {op::kModeSelect10, {}, "MODE SELECT(10)", kNone},
    {op::kReserve10, {}, "RESERVE(10)", kNone},
    {op::kRelease10, {}, "RELEASE(10)", kNone},
    {op::kModeSense10, {}, "MODE SENSE(10)", kNone},
    {op::kPersistentReserveIn, {}, "PERSISTENT RESERVE IN", kNone},
    {op::kPersistentReserveOut, {}, "PERSISTENT RESERVE OUT", kNone},
    {op::kVariableLengthCdb, sa::kRead32, "READ(32)", kBlocks},
    {op::kVariableLengthCdb, sa::kVerify32, "VERIFY(32)", kBlocks},
    {op::kVariableLengthCdb, sa::kWrite32, "WRITE(32)", kBlocks},
    {op::kVariableLengthCdb, sa::kWriteAndVerify32, "WRITE AND VERIFY(32)", kBlocks},
    {op::kVariableLengthCdb, sa::kWriteSame32, "WRITE SAME(32)", kBlocks},
    {op::kThirdPartyCopyOut, sa::kExtendedCopyLid1, "EXTENDED COPY(LID1)", kNone},
    {op::kThirdPartyCopyOut, sa::kExtendedCopyLid4, "EXTENDED COPY(LID4)", kNone},
    {op::kThirdPartyCopyOut, sa::kPopulateToken, "POPULATE TOKEN", kNone},
    {op::kThirdPartyCopyOut, sa::kWriteUsingToken, "WRITE USING TOKEN", kNone},
    {op::kThirdPartyCopyOut, {}, "THIRD-PARTY COPY OUT", kNone},
    {op::kThirdPartyCopyIn, sa::kReceiveCopyStatusLid1, "RECEIVE COPY STATUS(LID1)", kNone},
    {op::kThirdPartyCopyIn, sa::kReceiveCopyOperatingParameters,
     "RECEIVE COPY OPERATING PARAMETERS", kNone},
    {op::kThirdPartyCopyIn, sa::kReceiveCopyFailureDetailsLid1,
     "RECEIVE COPY FAILURE DETAILS(LID1)", kNone},
    {op::kThirdPartyCopyIn, sa::kReceiveCopyStatusLid4, "RECEIVE COPY STATUS(LID4)", kNone},
    {op::kThirdPartyCopyIn, sa::kReceiveRodTokenInformation, "RECEIVE ROD TOKEN INFORMATION",
     kNone},
    {op::kThirdPartyCopyIn, {}, "THIRD-PARTY COPY IN", kNone},
    {op::kRead16, {}, "READ(16)", kBlocks},
    {op::kCompareAndWrite, {}, "COMPARE AND WRITE", kCompare},
    {op::kWrite16, {}, "WRITE(16)", kBlocks},
    {op::kOrwrite16, {}, "ORWRITE(16)", kBlocks},
    {op::kWriteAndVerify16, {}, "WRITE AND VERIFY(16)", kBlocks},
    {op::kVerify16, {}, "VERIFY(16)", kBlocks},
    {op::kPreFetch16, {}, "PRE-FETCH(16)", kBlocks},
    {op::kSynchronizeCache16, {}, "SYNCHRONIZE CACHE(16)", kBlocks},
    {op::kWriteSame16, {}, "WRITE SAME(16)", kBlocks},
    {op::kZbcOut, sa::kCloseZone, "CLOSE ZONE", kAddress},
    {op::kZbcOut, sa::kFinishZone, "FINISH ZONE", kAddress},
    {op::kZbcOut, sa::kOpenZone, "OPEN ZONE", kAddress},
    {op::kZbcOut, sa::kResetWritePointer, "RESET WRITE POINTER", kAddress},
    {op::kZbcIn, sa::kReportZones, "REPORT ZONES", kAddress},
    {op::kWriteAtomic16, {}, "WRITE ATOMIC(16)", kAtomic},
    {op::kServiceActionIn16, sa::kReadCapacity16, "READ CAPACITY(16)", kNone},
    {op::kServiceActionIn16, sa::kGetLbaStatus16, "GET LBA STATUS(16)", kAddress},
    {op::kServiceActionOut16, sa::kWriteScattered16, "WRITE SCATTERED(16)", kNone},
    {op::kReportLuns, {}, "REPORT LUNS", kNone},
    {op::kMaintenanceIn, sa::kReportTargetPortGroups, "REPORT TARGET PORT GROUPS", kNone},
    {op::kMaintenanceIn, sa::kReportSupportedOperationCodes, "REPORT SUPPORTED OPERATION CODES",
     kNone},
    {op::kMaintenanceIn, sa::kReportSupportedTaskManagementFunctions,
     "REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS", kNone},
    {op::kRead12, {}, "READ(12)", kBlocks},
    {op::kWrite12, {}, "WRITE(12)", kBlocks},
    {op::kReadDiscStructure, {}, "READ DISC STRUCTURE", kNone},
    {op::kWriteAndVerify12, {}, "WRITE AND VERIFY(12)", kBlocks},
    {op::kVerify12, {}, "VERIFY(12)", kBlocks},
    {op::kReadDefectData12, {}, "READ DEFECT DATA(12)", kNone},
    {op::kMechanismStatus, {}, "MECHANISM STATUS", kNone},
    {op::kReadCd, {}, "READ CD", kNone},
};

void fill_fields(CommandText& text, Fields fields, const Cdb& cdb) {
    switch (fields) {
        case kNone:
            break;
        case kBlocks: {
            const BlockCdb block = decode_block_cdb(cdb);
            text.logical_block_address = block.logical_block_address;
            text.number_of_logical_blocks = block.number_of_logical_blocks;
            break;
        }
        case kAddress:
            text.logical_block_address = cdb.be64(2);
            break;
        case kCompare:
            text.logical_block_address = cdb.be64(2);
            text.number_of_logical_blocks = cdb.byte(13);
            break;
        case kAtomic:
            text.logical_block_address = cdb.be64(2);
            text.number_of_logical_blocks = cdb.be16(12);
            break;
    }
}

}  // namespace

CommandText describe_command(std::span<const std::uint8_t> cdb) {
    std::array<std::uint8_t, 32> whole{};
    std::ranges::copy(cdb.first(std::min(cdb.size(), whole.size())), whole.begin());
    const std::optional<std::uint16_t> action = service_action_of(whole);
    const auto* const found = std::ranges::find_if(kNames, [&](const Named& named) {
        return named.operation_code == whole[0] &&
               (!named.service_action || named.service_action == action);
    });
    CommandText text;
    if (found == std::end(kNames)) {
        constexpr std::string_view kDigits = "0123456789abcdef";
        text.name =
            std::string("opcode ") + kDigits[whole[0] >> 4U] + kDigits[whole[0] & 0xfU] + "h";
        return text;
    }
    text.name = found->name;
    fill_fields(text, found->fields, Cdb(whole));
    return text;
}

}  // namespace lunkit::scsi

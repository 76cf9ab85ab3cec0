// SPDX-License-Identifier: Apache-2.0
// Command descriptor blocks: reading their fields, under the standard's names.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "scsi/big_endian.hpp"

namespace lunkit::scsi {

/// SPC-5, SBC-4, MMC-6, ZBC-2: OPERATION CODE.
namespace operation_code {
inline constexpr std::uint8_t kTestUnitReady = 0x00;
inline constexpr std::uint8_t kRequestSense = 0x03;
inline constexpr std::uint8_t kFormatUnit = 0x04;
inline constexpr std::uint8_t kRead6 = 0x08;
inline constexpr std::uint8_t kWrite6 = 0x0a;
inline constexpr std::uint8_t kInquiry = 0x12;
inline constexpr std::uint8_t kModeSelect6 = 0x15;
inline constexpr std::uint8_t kReserve6 = 0x16;
inline constexpr std::uint8_t kRelease6 = 0x17;
inline constexpr std::uint8_t kModeSense6 = 0x1a;
inline constexpr std::uint8_t kStartStopUnit = 0x1b;
inline constexpr std::uint8_t kReceiveDiagnosticResults = 0x1c;
inline constexpr std::uint8_t kSendDiagnostic = 0x1d;
inline constexpr std::uint8_t kPreventAllowMediumRemoval = 0x1e;
inline constexpr std::uint8_t kReadCapacity10 = 0x25;
inline constexpr std::uint8_t kRead10 = 0x28;
inline constexpr std::uint8_t kWrite10 = 0x2a;
inline constexpr std::uint8_t kWriteAndVerify10 = 0x2e;
inline constexpr std::uint8_t kVerify10 = 0x2f;
inline constexpr std::uint8_t kPreFetch10 = 0x34;
inline constexpr std::uint8_t kSynchronizeCache10 = 0x35;
inline constexpr std::uint8_t kReadDefectData10 = 0x37;
inline constexpr std::uint8_t kWriteBuffer = 0x3b;
inline constexpr std::uint8_t kReadBuffer10 = 0x3c;
inline constexpr std::uint8_t kWriteSame10 = 0x41;
inline constexpr std::uint8_t kUnmap = 0x42;
inline constexpr std::uint8_t kReadTocPmaAtip = 0x43;
inline constexpr std::uint8_t kGetConfiguration = 0x46;
inline constexpr std::uint8_t kSanitize = 0x48;
inline constexpr std::uint8_t kGetEventStatusNotification = 0x4a;
inline constexpr std::uint8_t kLogSelect = 0x4c;
inline constexpr std::uint8_t kLogSense = 0x4d;
inline constexpr std::uint8_t kReadDiscInformation = 0x51;
inline constexpr std::uint8_t kModeSelect10 = 0x55;
inline constexpr std::uint8_t kReserve10 = 0x56;
inline constexpr std::uint8_t kRelease10 = 0x57;
inline constexpr std::uint8_t kModeSense10 = 0x5a;
inline constexpr std::uint8_t kPersistentReserveIn = 0x5e;
inline constexpr std::uint8_t kPersistentReserveOut = 0x5f;
inline constexpr std::uint8_t kVariableLengthCdb = 0x7f;
inline constexpr std::uint8_t kThirdPartyCopyOut = 0x83;
inline constexpr std::uint8_t kThirdPartyCopyIn = 0x84;
inline constexpr std::uint8_t kRead16 = 0x88;
inline constexpr std::uint8_t kCompareAndWrite = 0x89;
inline constexpr std::uint8_t kWrite16 = 0x8a;
inline constexpr std::uint8_t kOrwrite16 = 0x8b;
inline constexpr std::uint8_t kWriteAndVerify16 = 0x8e;
inline constexpr std::uint8_t kVerify16 = 0x8f;
inline constexpr std::uint8_t kPreFetch16 = 0x90;
inline constexpr std::uint8_t kSynchronizeCache16 = 0x91;
inline constexpr std::uint8_t kWriteSame16 = 0x93;
inline constexpr std::uint8_t kZbcOut = 0x94;
inline constexpr std::uint8_t kZbcIn = 0x95;
inline constexpr std::uint8_t kWriteAtomic16 = 0x9c;
inline constexpr std::uint8_t kServiceActionIn16 = 0x9e;
inline constexpr std::uint8_t kServiceActionOut16 = 0x9f;
inline constexpr std::uint8_t kReportLuns = 0xa0;
inline constexpr std::uint8_t kMaintenanceIn = 0xa3;
inline constexpr std::uint8_t kRead12 = 0xa8;
inline constexpr std::uint8_t kWrite12 = 0xaa;
inline constexpr std::uint8_t kReadDiscStructure = 0xad;
inline constexpr std::uint8_t kWriteAndVerify12 = 0xae;
inline constexpr std::uint8_t kVerify12 = 0xaf;
inline constexpr std::uint8_t kReadDefectData12 = 0xb7;
inline constexpr std::uint8_t kMechanismStatus = 0xbd;
inline constexpr std::uint8_t kReadCd = 0xbe;
}  // namespace operation_code

/// SERVICE ACTION of ZBC OUT and IN, SANITIZE, SERVICE ACTION IN(16) and OUT(16), MAINTENANCE IN,
/// the third-party copy commands and the variable-length CDBs.
namespace service_action {
inline constexpr std::uint8_t kCloseZone = 0x01;
inline constexpr std::uint8_t kFinishZone = 0x02;
inline constexpr std::uint8_t kOpenZone = 0x03;
inline constexpr std::uint8_t kResetWritePointer = 0x04;
inline constexpr std::uint8_t kReportZones = 0x00;
inline constexpr std::uint8_t kOverwrite = 0x01;
inline constexpr std::uint8_t kBlockErase = 0x02;
inline constexpr std::uint8_t kExitFailureMode = 0x1f;
inline constexpr std::uint8_t kReadCapacity16 = 0x10;
inline constexpr std::uint8_t kGetLbaStatus16 = 0x12;
inline constexpr std::uint8_t kWriteScattered16 = 0x12;
inline constexpr std::uint8_t kReportTargetPortGroups = 0x0a;
inline constexpr std::uint8_t kReportSupportedOperationCodes = 0x0c;
inline constexpr std::uint8_t kReportSupportedTaskManagementFunctions = 0x0d;
inline constexpr std::uint16_t kRead32 = 0x0009;
inline constexpr std::uint16_t kVerify32 = 0x000a;
inline constexpr std::uint16_t kWrite32 = 0x000b;
inline constexpr std::uint16_t kWriteAndVerify32 = 0x000c;
inline constexpr std::uint16_t kWriteSame32 = 0x000d;
inline constexpr std::uint8_t kExtendedCopyLid1 = 0x00;
inline constexpr std::uint8_t kExtendedCopyLid4 = 0x01;
inline constexpr std::uint8_t kPopulateToken = 0x10;
inline constexpr std::uint8_t kWriteUsingToken = 0x11;
inline constexpr std::uint8_t kReceiveCopyStatusLid1 = 0x00;
inline constexpr std::uint8_t kReceiveCopyOperatingParameters = 0x03;
inline constexpr std::uint8_t kReceiveCopyFailureDetailsLid1 = 0x04;
inline constexpr std::uint8_t kReceiveCopyStatusLid4 = 0x05;
inline constexpr std::uint8_t kReceiveRodTokenInformation = 0x07;
}  // namespace service_action

/// A view of a CDB whose length the dispatch has checked against its opcode's.
class Cdb {
  public:
    explicit Cdb(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}

    [[nodiscard]] std::uint8_t operation_code() const { return bytes_[0]; }
    [[nodiscard]] std::size_t size() const { return bytes_.size(); }
    [[nodiscard]] std::uint8_t byte(std::size_t at) const { return bytes_[at]; }
    [[nodiscard]] bool bit(std::size_t at, unsigned number) const {
        return ((bytes_[at] >> number) & 1U) != 0;
    }
    /// Bits high..low of one byte, as a number.
    [[nodiscard]] std::uint8_t bits(std::size_t at, unsigned high, unsigned low) const {
        return static_cast<std::uint8_t>((bytes_[at] >> low) & ((1U << (high - low + 1)) - 1));
    }
    [[nodiscard]] std::uint16_t be16(std::size_t at) const { return get_be16(bytes_.subspan(at)); }
    [[nodiscard]] std::uint32_t be24(std::size_t at) const { return get_be24(bytes_.subspan(at)); }
    [[nodiscard]] std::uint32_t be32(std::size_t at) const { return get_be32(bytes_.subspan(at)); }
    [[nodiscard]] std::uint64_t be64(std::size_t at) const { return get_be64(bytes_.subspan(at)); }

  private:
    std::span<const std::uint8_t> bytes_;
};

/// SERVICE ACTION where CDBs with one have it: bits 4..0 of byte 1, or bytes 8 and 9 of a
/// variable-length CDB (SPC-5 4.2.5.3). Nothing: the CDB ends before it.
[[nodiscard]] std::optional<std::uint16_t> service_action_of(std::span<const std::uint8_t> cdb);

/// What READ, WRITE, VERIFY, WRITE AND VERIFY, PRE-FETCH, SYNCHRONIZE CACHE and WRITE SAME have in
/// common, in each of their lengths (SBC-4 clause 5).
struct BlockCdb {
    std::uint64_t logical_block_address = 0;
    /// TRANSFER LENGTH, VERIFICATION LENGTH, NUMBER OF LOGICAL BLOCKS, ...
    std::uint32_t number_of_logical_blocks = 0;
    std::uint8_t protect = 0;  ///< RDPROTECT, WRPROTECT, VRPROTECT
    bool dpo = false;
    bool fua = false;
    std::uint8_t bytchk = 0;
    std::uint8_t length_at = 0;  ///< byte of the number of blocks, for a field pointer
    std::uint8_t flags_at = 1;   ///< byte of protect, dpo, fua and bytchk
};

/// By the opcode's group: 0 = 6 bytes, 1 and 2 = 10, 3 = 32 (7Fh), 4 = 16, 5 = 12.
[[nodiscard]] BlockCdb decode_block_cdb(const Cdb& cdb);

}  // namespace lunkit::scsi

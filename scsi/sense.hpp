// SPDX-License-Identifier: Apache-2.0
// Sense data: why a command did not end well, as SPC-5 4.5 encodes it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace lunkit::scsi {

/// SPC-5 4.5.6, table 49.
enum class SenseKey : std::uint8_t {
    kNoSense = 0x0,
    kNotReady = 0x2,
    kMediumError = 0x3,
    kHardwareError = 0x4,
    kIllegalRequest = 0x5,
    kUnitAttention = 0x6,
    kDataProtect = 0x7,
    kCopyAborted = 0xa,
    kAbortedCommand = 0xb,
    kMiscompare = 0xe,
};

/// ADDITIONAL SENSE CODE and ADDITIONAL SENSE CODE QUALIFIER.
struct AdditionalSense {
    std::uint8_t code = 0;
    std::uint8_t qualifier = 0;
    bool operator==(const AdditionalSense&) const = default;

    [[nodiscard]] std::uint16_t packed() const {
        return static_cast<std::uint16_t>(code << 8U | qualifier);
    }
    [[nodiscard]] static AdditionalSense unpack(std::uint16_t packed) {
        return {static_cast<std::uint8_t>(packed >> 8U), static_cast<std::uint8_t>(packed)};
    }
};

/// The names of SPC-5 annex F.2.
namespace asc {
inline constexpr AdditionalSense kNoAdditionalSenseInformation{0x00, 0x00};
inline constexpr AdditionalSense kOperationInProgress{0x00, 0x16};
inline constexpr AdditionalSense kNotReadyCauseNotReportable{0x04, 0x00};
inline constexpr AdditionalSense kInitializingCommandRequired{0x04, 0x02};
inline constexpr AdditionalSense kFormatInProgress{0x04, 0x04};
inline constexpr AdditionalSense kTargetPortInStandbyState{0x04, 0x0b};
inline constexpr AdditionalSense kSanitizeInProgress{0x04, 0x1b};
inline constexpr AdditionalSense kUnreachableCopyTarget{0x08, 0x04};
inline constexpr AdditionalSense kWriteError{0x0c, 0x00};
inline constexpr AdditionalSense kThirdPartyDeviceFailure{0x0d, 0x01};
inline constexpr AdditionalSense kCopyTargetDeviceNotReachable{0x0d, 0x02};
inline constexpr AdditionalSense kIncorrectCopyTargetDeviceType{0x0d, 0x03};
inline constexpr AdditionalSense kInvalidFieldInCommandInformationUnit{0x0e, 0x03};
inline constexpr AdditionalSense kUnrecoveredReadError{0x11, 0x00};
inline constexpr AdditionalSense kParameterListLengthError{0x1a, 0x00};
inline constexpr AdditionalSense kMiscompareDuringVerifyOperation{0x1d, 0x00};
inline constexpr AdditionalSense kInvalidCommandOperationCode{0x20, 0x00};
inline constexpr AdditionalSense kLogicalBlockAddressOutOfRange{0x21, 0x00};
inline constexpr AdditionalSense kUnalignedWriteCommand{0x21, 0x04};
inline constexpr AdditionalSense kWriteBoundaryViolation{0x21, 0x05};
inline constexpr AdditionalSense kAttemptToReadInvalidData{0x21, 0x06};
inline constexpr AdditionalSense kInvalidTokenOperationUnsupportedTokenType{0x23, 0x01};
inline constexpr AdditionalSense kInvalidTokenOperationTokenUnknown{0x23, 0x04};
inline constexpr AdditionalSense kInvalidTokenOperationTokenExpired{0x23, 0x07};
inline constexpr AdditionalSense kInvalidTokenOperationTokenCancelled{0x23, 0x08};
inline constexpr AdditionalSense kInvalidTokenOperationTokenDeleted{0x23, 0x09};
inline constexpr AdditionalSense kInvalidTokenOperationTokenLength{0x23, 0x0a};
inline constexpr AdditionalSense kInvalidFieldInCdb{0x24, 0x00};
inline constexpr AdditionalSense kInvalidFieldInParameterList{0x26, 0x00};
inline constexpr AdditionalSense kTooManyTargetDescriptors{0x26, 0x06};
inline constexpr AdditionalSense kUnsupportedTargetDescriptorTypeCode{0x26, 0x07};
inline constexpr AdditionalSense kTooManySegmentDescriptors{0x26, 0x08};
inline constexpr AdditionalSense kUnsupportedSegmentDescriptorTypeCode{0x26, 0x09};
inline constexpr AdditionalSense kInlineDataLengthExceeded{0x26, 0x0b};
inline constexpr AdditionalSense kInvalidOperationForCopySourceOrDestination{0x26, 0x0c};
inline constexpr AdditionalSense kInvalidFastFormat{0x26, 0x13};
inline constexpr AdditionalSense kWriteProtected{0x27, 0x00};
inline constexpr AdditionalSense kLogicalUnitSoftwareWriteProtected{0x27, 0x02};
inline constexpr AdditionalSense kSpaceAllocationFailedWriteProtect{0x27, 0x07};
inline constexpr AdditionalSense kNotReadyToReadyChange{0x28, 0x00};  // medium may have changed
inline constexpr AdditionalSense kModeParametersChanged{0x2a, 0x01};
inline constexpr AdditionalSense kCapacityDataHasChanged{0x2a, 0x09};
inline constexpr AdditionalSense kCommandSequenceError{0x2c, 0x00};
inline constexpr AdditionalSense kCannotReadMediumIncompatibleFormat{0x30, 0x02};
inline constexpr AdditionalSense kMediumFormatCorrupted{0x31, 0x00};
inline constexpr AdditionalSense kFormatCommandFailed{0x31, 0x01};
inline constexpr AdditionalSense kSanitizeCommandFailed{0x31, 0x03};
inline constexpr AdditionalSense kThinProvisioningSoftThresholdReached{0x38, 0x07};
inline constexpr AdditionalSense kSavingParametersNotSupported{0x39, 0x00};
inline constexpr AdditionalSense kLogicalUnitFailedSelfTest{0x3e, 0x03};
inline constexpr AdditionalSense kInternalTargetFailure{0x44, 0x00};
inline constexpr AdditionalSense kInsufficientResourcesToCreateRodToken{0x55, 0x0d};
inline constexpr AdditionalSense kInsufficientZoneResources{0x55, 0x0e};
inline constexpr AdditionalSense kIllegalModeForThisTrack{0x64, 0x00};
}  // namespace asc

/// Which field of CDB or parameter list is wrong (SPC-5 4.5.2.4.2, sense key specific data); with
/// COPY ABORTED which one of a segment descriptor (SPC-5 4.5.2.4.5, segment pointer).
struct FieldPointer {
    std::uint16_t byte = 0;
    std::optional<std::uint8_t> bit;  ///< the field's most significant bit
    bool in_cdb = true;
    bool in_segment = false;
};

/// How a request of a copy ended at its source or destination (SPC-4 5.17.7.4).
struct ForwardedSense {
    enum class By : std::uint8_t { kCopySource = 1, kCopyDestination = 2 };
    By by = By::kCopySource;
    std::uint8_t status = 0;
    SenseKey key = SenseKey::kNoSense;
    AdditionalSense additional;
    std::optional<std::uint64_t> information;
};

/// What sense data says, whatever its format.
struct Sense {
    SenseKey key = SenseKey::kNoSense;
    AdditionalSense additional;
    std::optional<std::uint64_t> information;  ///< INFORMATION; SBC-4 4.18 says of what
    std::optional<FieldPointer> field = {};
    std::optional<std::uint64_t> command_specific = {};  ///< COMMAND-SPECIFIC INFORMATION
    std::optional<ForwardedSense> forwarded = {};
    /// PROGRESS INDICATION in 65536ths (SPC-5 4.5.2.4.4), instead of a field pointer.
    std::optional<std::uint16_t> progress = {};
    bool deferred = false;  ///< of something before this command (SPC-5 4.5.7)
};

enum class SenseFormat : std::uint8_t { kFixed, kDescriptor };

inline constexpr std::size_t kMaxSenseLength = 64;  ///< of what encode_sense() makes

/// Writes sense data (response code 70h or 72h, deferred 71h or 73h) to `out`, which has room for
/// kMaxSenseLength bytes. Gives its length. Fixed format has four bytes each for INFORMATION and
/// COMMAND-SPECIFIC INFORMATION: what does not fit is left out (VALID = 0; zero).
std::size_t encode_sense(const Sense& sense, SenseFormat format, std::span<std::uint8_t> out);

}  // namespace lunkit::scsi

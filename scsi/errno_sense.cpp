// SPDX-License-Identifier: Apache-2.0
// Why these: Linux sd makes ENOSPC of 07/27/07 and does not retry it, ESXi pauses the virtual
// machine; 03/11 is not retried by sd and 03/0C up to five times; BUSY is retried by everybody.
#include "scsi/errno_sense.hpp"

#include <cerrno>
#include <span>

namespace lunkit::scsi {
namespace {

enum class When : std::uint8_t { kAlways, kReading, kWriting, kComparing };

// INFORMATION of the sense data.
enum class Tells : std::uint8_t { kNothing, kBadBlock, kDifferingByte };

struct Row {
    int code;
    When when;
    StatusCode status;
    SenseKey key;
    AdditionalSense additional;
    Tells tells;
};

constexpr Row sense_row(int code, When when, SenseKey key, AdditionalSense additional,
                        Tells tells = Tells::kNothing) {
    return {code, when, StatusCode::kCheckCondition, key, additional, tells};
}
constexpr Row status_row(int code, StatusCode status) {
    return {code, When::kAlways, status, SenseKey::kNoSense, {}, Tells::kNothing};
}

constexpr Row kInternalFailure =
    sense_row(0, When::kAlways, SenseKey::kHardwareError, asc::kInternalTargetFailure);
constexpr Row kReadFailure = sense_row(EIO, When::kReading, SenseKey::kMediumError,
                                       asc::kUnrecoveredReadError, Tells::kBadBlock);
constexpr Row kWriteFailure =
    sense_row(EIO, When::kWriting, SenseKey::kMediumError, asc::kWriteError, Tells::kBadBlock);

constexpr Row space_allocation_failed(int code) {
    return sense_row(code, When::kWriting, SenseKey::kDataProtect,
                     asc::kSpaceAllocationFailedWriteProtect);
}
constexpr Row write_protected(int code) {
    return sense_row(code, When::kAlways, SenseKey::kDataProtect, asc::kWriteProtected);
}
constexpr Row internal_failure(int code) {
    return sense_row(code, When::kAlways, SenseKey::kHardwareError, asc::kInternalTargetFailure);
}
constexpr Row unrecovered_read_error(int code) {
    return sense_row(code, When::kReading, SenseKey::kMediumError, asc::kUnrecoveredReadError,
                     Tells::kBadBlock);
}

// The first row that fits counts; without one, EIO's rows at the end.
constexpr Row kTable[] = {
    space_allocation_failed(ENOSPC),
    space_allocation_failed(EDQUOT),
    space_allocation_failed(EFBIG),
    sense_row(EILSEQ, When::kComparing, SenseKey::kMiscompare,
              asc::kMiscompareDuringVerifyOperation, Tells::kDifferingByte),
    unrecovered_read_error(EILSEQ),
    internal_failure(EILSEQ),
    unrecovered_read_error(EREMOTEIO),
    internal_failure(EREMOTEIO),
    write_protected(EROFS),
    write_protected(EACCES),
    write_protected(EPERM),
    status_row(ENOMEM, StatusCode::kBusy),
    status_row(EAGAIN, StatusCode::kBusy),
    // The unit has no ALUA transition in which BUSY or 02/04/0A would be true.
    internal_failure(ETIMEDOUT),
    internal_failure(ENOTCONN),
    internal_failure(EHOSTDOWN),
    sense_row(ESHUTDOWN, When::kAlways, SenseKey::kNotReady, asc::kTargetPortInStandbyState),
    sense_row(EINVAL, When::kAlways, SenseKey::kIllegalRequest, asc::kInvalidFieldInCdb),
    sense_row(ERANGE, When::kAlways, SenseKey::kIllegalRequest,
              asc::kLogicalBlockAddressOutOfRange),
    sense_row(EOPNOTSUPP, When::kAlways, SenseKey::kIllegalRequest,
              asc::kInvalidCommandOperationCode),
    status_row(EBADE, StatusCode::kReservationConflict),
};

// LUNKIT_ERROR_ZONE: the rules of ZBC-2.
constexpr Row kZoneTable[] = {
    sense_row(EINVAL, When::kAlways, SenseKey::kIllegalRequest, asc::kUnalignedWriteCommand),
    sense_row(EFBIG, When::kAlways, SenseKey::kIllegalRequest, asc::kWriteBoundaryViolation),
    sense_row(EXDEV, When::kAlways, SenseKey::kIllegalRequest, asc::kAttemptToReadInvalidData),
    sense_row(ETOOMANYREFS, When::kAlways, SenseKey::kDataProtect, asc::kInsufficientZoneResources),
    sense_row(EPERM, When::kAlways, SenseKey::kIllegalRequest, asc::kInvalidFieldInCdb),
};

bool fits(When when, Direction direction) {
    switch (when) {
        case When::kAlways:
            return true;
        case When::kReading:
            return direction == Direction::kRead;
        case When::kWriting:
            return direction != Direction::kRead;
        case When::kComparing:
            return direction == Direction::kCompare;
    }
    return false;
}

const Row& find(const Error& error, Direction direction) {
    const Row* found = direction == Direction::kRead ? &kReadFailure : &kWriteFailure;
    const bool is_rule = error.error_class == ErrorClass::kZone;
    for (const Row& row : is_rule ? std::span<const Row>(kZoneTable) : std::span(kTable)) {
        if (row.code == error.code && fits(row.when, direction)) {
            found = &row;
            break;
        }
    }
    // Damaged state of the handler, or no way to the storage: the medium has nothing to do with it.
    const bool blames_medium = found->tells == Tells::kBadBlock;
    const bool is_elsewhere =
        error.error_class == ErrorClass::kInternal || error.error_class == ErrorClass::kTransport;
    return blames_medium && is_elsewhere ? kInternalFailure : *found;
}

}  // namespace

Ending ending_of(const Error& error, const FailedOperation& operation) {
    const Row& row = find(error, operation.direction);
    Ending ending{row.status, {row.key, row.additional, {}, {}}};
    if (error.offset == LUNKIT_NO_OFFSET) {
        return ending;
    }
    if (row.tells == Tells::kBadBlock) {
        ending.sense.information =
            operation.logical_block_address + error.offset / operation.block_size;
    }
    if (row.tells == Tells::kDifferingByte) {
        ending.sense.information = error.offset;
    }
    return ending;
}

}  // namespace lunkit::scsi

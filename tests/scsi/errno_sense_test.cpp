// SPDX-License-Identifier: Apache-2.0
#include "scsi/errno_sense.hpp"

#include <gtest/gtest.h>

#include <cerrno>

namespace lunkit::scsi {
namespace {

constexpr Direction kRead = Direction::kRead;
constexpr Direction kWrite = Direction::kWrite;
constexpr Direction kCompare = Direction::kCompare;

struct Expectation {
    int code;
    Direction direction;
    SenseKey key;
    AdditionalSense additional;
};

TEST(ErrnoSense, GivesSenseDataByTheTable) {
    constexpr Expectation kExpected[] = {
        {ENOSPC, kWrite, SenseKey::kDataProtect, {0x27, 0x07}},
        {EDQUOT, kWrite, SenseKey::kDataProtect, {0x27, 0x07}},
        {EFBIG, kCompare, SenseKey::kDataProtect, {0x27, 0x07}},
        {EIO, kRead, SenseKey::kMediumError, {0x11, 0x00}},
        {EIO, kWrite, SenseKey::kMediumError, {0x0c, 0x00}},
        {EIO, kCompare, SenseKey::kMediumError, {0x0c, 0x00}},
        {EREMOTEIO, kRead, SenseKey::kMediumError, {0x11, 0x00}},
        {EREMOTEIO, kWrite, SenseKey::kHardwareError, {0x44, 0x00}},
        {EILSEQ, kRead, SenseKey::kMediumError, {0x11, 0x00}},
        {EILSEQ, kWrite, SenseKey::kHardwareError, {0x44, 0x00}},
        {EILSEQ, kCompare, SenseKey::kMiscompare, {0x1d, 0x00}},
        {EROFS, kWrite, SenseKey::kDataProtect, {0x27, 0x00}},
        {EACCES, kWrite, SenseKey::kDataProtect, {0x27, 0x00}},
        {EPERM, kWrite, SenseKey::kDataProtect, {0x27, 0x00}},
        {ETIMEDOUT, kRead, SenseKey::kHardwareError, {0x44, 0x00}},
        {ENOTCONN, kWrite, SenseKey::kHardwareError, {0x44, 0x00}},
        {EHOSTDOWN, kWrite, SenseKey::kHardwareError, {0x44, 0x00}},
        {ESHUTDOWN, kRead, SenseKey::kNotReady, {0x04, 0x0b}},
        {EINVAL, kRead, SenseKey::kIllegalRequest, {0x24, 0x00}},
        {ERANGE, kRead, SenseKey::kIllegalRequest, {0x21, 0x00}},
        {EOPNOTSUPP, kWrite, SenseKey::kIllegalRequest, {0x20, 0x00}},
        {ENXIO, kRead, SenseKey::kMediumError, {0x11, 0x00}},
        {ENXIO, kWrite, SenseKey::kMediumError, {0x0c, 0x00}},
    };
    for (const Expectation& expected : kExpected) {
        const Ending ending = ending_of(Error{expected.code}, {expected.direction, 0, 512});
        EXPECT_EQ(ending.status, StatusCode::kCheckCondition) << expected.code;
        EXPECT_EQ(ending.sense.key, expected.key) << expected.code;
        EXPECT_EQ(ending.sense.additional, expected.additional) << expected.code;
        EXPECT_FALSE(ending.sense.information) << expected.code;
    }
}

TEST(ErrnoSense, GivesStatusForWhatIsTriedAgain) {
    EXPECT_EQ(ending_of(Error{ENOMEM}, {kRead, 0, 512}).status, StatusCode::kBusy);
    EXPECT_EQ(ending_of(Error{EAGAIN}, {kWrite, 0, 512}).status, StatusCode::kBusy);
    EXPECT_EQ(ending_of(Error{EBADE}, {kWrite, 0, 512}).status, StatusCode::kReservationConflict);
}

TEST(ErrnoSense, CountsTheBadBlockFromTheCommandsFirst) {
    Error error{EIO};
    error.offset = 3 * 4096 + 17;
    EXPECT_EQ(ending_of(error, {kRead, 1000, 4096}).sense.information, 1003U);
    EXPECT_EQ(ending_of(error, {kWrite, 1000, 4096}).sense.information, 1003U);
}

TEST(ErrnoSense, TellsTheByteThatDiffers) {
    Error error{EILSEQ};
    error.offset = 515;
    EXPECT_EQ(ending_of(error, {kCompare, 1000, 512}).sense.information, 515U);
}

TEST(ErrnoSense, DoesNotBlameTheMediumForTheHandlerOrTheWay) {
    for (const ErrorClass elsewhere : {ErrorClass::kInternal, ErrorClass::kTransport}) {
        Error error{EIO};
        error.error_class = elsewhere;
        error.offset = 0;
        const Ending ending = ending_of(error, {kRead, 0, 512});
        EXPECT_EQ(ending.sense.key, SenseKey::kHardwareError);
        EXPECT_EQ(ending.sense.additional, asc::kInternalTargetFailure);
        EXPECT_FALSE(ending.sense.information);
    }
}

TEST(ErrnoSense, KeepsWhatIsNotAmbiguousWhateverTheClass) {
    Error error{ENOSPC};
    error.error_class = ErrorClass::kInternal;
    EXPECT_EQ(ending_of(error, {kWrite, 0, 512}).sense.key, SenseKey::kDataProtect);
}

}  // namespace
}  // namespace lunkit::scsi

// SPDX-License-Identifier: Apache-2.0
#include "scsi/sense.hpp"

#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace lunkit::scsi {
namespace {

std::vector<std::uint8_t> encode(const Sense& sense, SenseFormat format) {
    std::array<std::uint8_t, kMaxSenseLength> bytes;
    bytes.fill(0xee);
    const std::size_t length = encode_sense(sense, format, bytes);
    return {bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length)};
}

constexpr Sense kBadField{
    SenseKey::kIllegalRequest, asc::kInvalidFieldInCdb, {}, FieldPointer{7, std::uint8_t{5}, true}};
constexpr Sense kBadBlock{
    SenseKey::kMediumError, asc::kUnrecoveredReadError, std::uint64_t{0x12345678}, {}};

TEST(FixedSense, HoldsKeyAndAdditionalSense) {
    const std::vector<std::uint8_t> expected{0x70, 0, 0x05, 0,    0, 0, 0,    10, 0,
                                             0,    0, 0,    0x24, 0, 0, 0xcd, 0,  7};
    EXPECT_EQ(encode(kBadField, SenseFormat::kFixed), expected);
}

TEST(FixedSense, SetsValidWithInformation) {
    const std::vector<std::uint8_t> expected{0xf0, 0, 0x03, 0x12, 0x34, 0x56, 0x78, 10, 0,
                                             0,    0, 0,    0x11, 0,    0,    0,    0,  0};
    EXPECT_EQ(encode(kBadBlock, SenseFormat::kFixed), expected);
}

TEST(FixedSense, LeavesOutInformationThatNeedsMoreThanFourBytes) {
    Sense sense = kBadBlock;
    sense.information = std::uint64_t{1} << 32U;
    EXPECT_EQ(encode(sense, SenseFormat::kFixed).at(0), 0x70);
    EXPECT_EQ(encode(sense, SenseFormat::kFixed).at(6), 0);
}

TEST(FixedSense, MarksAFieldOfTheParameterListWithoutABit) {
    Sense sense = kBadField;
    sense.field = FieldPointer{0x0102, {}, false};
    const auto bytes = encode(sense, SenseFormat::kFixed);
    EXPECT_EQ(bytes.at(15), 0x80);
    EXPECT_EQ(bytes.at(16), 0x01);
    EXPECT_EQ(bytes.at(17), 0x02);
}

TEST(DescriptorSense, HasNoDescriptorWhereThereIsNothingToSay) {
    const Sense sense{SenseKey::kNotReady, asc::kInitializingCommandRequired, {}, {}};
    const std::vector<std::uint8_t> expected{0x72, 0x02, 0x04, 0x02, 0, 0, 0, 0};
    EXPECT_EQ(encode(sense, SenseFormat::kDescriptor), expected);
}

TEST(DescriptorSense, HoldsInformationOfEightBytes) {
    Sense sense = kBadBlock;
    sense.information = 0x0102030405060708;
    const std::vector<std::uint8_t> expected{0x72, 0x03, 0x11, 0, 0, 0, 0, 12, 0, 0x0a,
                                             0x80, 0,    1,    2, 3, 4, 5, 6,  7, 8};
    EXPECT_EQ(encode(sense, SenseFormat::kDescriptor), expected);
}

TEST(DescriptorSense, HoldsTheFieldPointer) {
    const std::vector<std::uint8_t> expected{0x72, 0x05, 0x24, 0, 0,    0, 0, 8,
                                             0x02, 0x06, 0,    0, 0xcd, 0, 7, 0};
    EXPECT_EQ(encode(kBadField, SenseFormat::kDescriptor), expected);
}

TEST(DescriptorSense, HoldsBothDescriptors) {
    Sense sense = kBadBlock;
    sense.field = FieldPointer{2, {}, true};
    const auto bytes = encode(sense, SenseFormat::kDescriptor);
    EXPECT_EQ(bytes.size(), 28U);
    EXPECT_EQ(bytes.at(7), 20);
    EXPECT_EQ(bytes.at(20), 0x02);
}

constexpr Sense kFailedSegment{SenseKey::kCopyAborted, asc::kCopyTargetDeviceNotReachable,
                               std::uint64_t{0x11}, FieldPointer{6, {}, false, true},
                               std::uint64_t{0x0203}};

TEST(FixedSense, TellsTheSegmentOfACopy) {
    const std::vector<std::uint8_t> expected{0xf0, 0, 0x0a, 0,    0,    0, 0x11, 10, 0,
                                             0,    2, 3,    0x0d, 0x02, 0, 0xa0, 0,  6};
    EXPECT_EQ(encode(kFailedSegment, SenseFormat::kFixed), expected);
}

TEST(DescriptorSense, TellsTheSegmentOfACopy) {
    const std::vector<std::uint8_t> expected{
        0x72, 0x0a, 0x0d, 0x02, 0,    0, 0, 32,                 // header
        0x00, 0x0a, 0x80, 0,    0,    0, 0, 0,  0, 0, 0, 0x11,  // information
        0x01, 0x0a, 0,    0,    0,    0, 0, 0,  0, 0, 2, 3,     // command specific
        0x02, 0x06, 0,    0,    0xa0, 0, 6, 0};                 // sense key specific
    EXPECT_EQ(encode(kFailedSegment, SenseFormat::kDescriptor), expected);
}

constexpr Sense kFailedDestination{
    SenseKey::kCopyAborted,
    asc::kThirdPartyDeviceFailure,
    {},
    {},
    std::uint64_t{3},
    ForwardedSense{ForwardedSense::By::kCopyDestination, 0x02, SenseKey::kDataProtect,
                   asc::kSpaceAllocationFailedWriteProtect, std::uint64_t{0x99}}};

TEST(FixedSense, ForwardsWhatTheDestinationOfACopySaid) {
    const std::vector<std::uint8_t> expected{
        0x70, 0, 0x0a, 0, 0, 0, 0,    29, 0, 18, 0, 3, 0x0d, 0x01, 0, 0, 0, 0,  //
        0x02,                                                                   // CHECK CONDITION
        0xf0, 0, 0x07, 0, 0, 0, 0x99, 10, 0, 0,  0, 0, 0x27, 0x07, 0, 0, 0, 0};
    EXPECT_EQ(encode(kFailedDestination, SenseFormat::kFixed), expected);
}

TEST(DescriptorSense, ForwardsWhatTheDestinationOfACopySaid) {
    const std::vector<std::uint8_t> expected{
        0x72, 0x0a, 0x0d, 0x01, 0, 0, 0, 36,              // header
        0x01, 0x0a, 0,    0,    0, 0, 0, 0,  0, 0, 0, 3,  // command specific
        0x0c, 22,   0x02, 0x02,                           // forwarded, CHECK CONDITION
        0x72, 0x07, 0x27, 0x07, 0, 0, 0, 12,              //
        0x00, 0x0a, 0x80, 0,    0, 0, 0, 0,  0, 0, 0, 0x99};
    EXPECT_EQ(encode(kFailedDestination, SenseFormat::kDescriptor), expected);
}

}  // namespace
}  // namespace lunkit::scsi

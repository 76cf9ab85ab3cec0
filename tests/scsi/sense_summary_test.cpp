// SPDX-License-Identifier: Apache-2.0
#include "scsi/sense_summary.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <span>

namespace lunkit::scsi {
namespace {

TEST(SenseSummary, IsTheSameOfBothFormats) {
    const Sense sense{
        .key = SenseKey::kMediumError, .additional = asc::kUnrecoveredReadError, .information = 7};
    for (const SenseFormat format : {SenseFormat::kFixed, SenseFormat::kDescriptor}) {
        std::array<std::uint8_t, kMaxSenseLength> bytes{};
        const std::size_t length = encode_sense(sense, format, bytes);
        const SenseSummary told = summarize_sense(std::span(bytes).first(length));
        EXPECT_EQ(told.key, 0x3);
        EXPECT_EQ(told.additional, asc::kUnrecoveredReadError);
    }
}

TEST(SenseSummary, WhatIsCutOffIsZero) {
    constexpr std::array<std::uint8_t, 3> kShort{0x70, 0, 0x05};
    EXPECT_EQ(summarize_sense(kShort).key, 0x5);
    EXPECT_EQ(summarize_sense(kShort).additional, AdditionalSense());
    EXPECT_EQ(summarize_sense({}).key, 0x0);
}

}  // namespace
}  // namespace lunkit::scsi

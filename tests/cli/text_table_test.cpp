// SPDX-License-Identifier: Apache-2.0
#include "cli/text_table.hpp"

#include <gtest/gtest.h>

namespace lunkit::cli {
namespace {

TEST(TextTable, ColumnsAreAsWideAsTheirWidestCell) {
    TextTable table({{"NAME"}, {"SIZE", TextTable::Align::kRight}, {"X"}});
    table.add({"a", "1 GiB", "y"});
    table.add({"longer", "7 B", ""});
    EXPECT_EQ(table.text(),
              "NAME     SIZE  X\n"
              "a       1 GiB  y\n"
              "longer    7 B\n");
}

TEST(TextTable, WidthCountsCharactersAndNotBytes) {
    TextTable table({{"N"}, {"X"}});
    table.add({"\u00e4\u00e4", "1"});
    table.add({"bb", "2"});
    EXPECT_EQ(table.text(), "N   X\n\u00e4\u00e4  1\nbb  2\n");
}

TEST(TextTable, ControlCharactersOfNamesDoNotReachTheTerminal) {
    TextTable table({{"N"}});
    table.add({"a\x1b[2J\nb"});
    EXPECT_EQ(table.text(), "N\na?[2J?b\n");
}

TEST(SizeText, UsesTheLargestUnitThatFits) {
    EXPECT_EQ(size_text(0), "0 B");
    EXPECT_EQ(size_text(1023), "1023 B");
    EXPECT_EQ(size_text(1024), "1 KiB");
    EXPECT_EQ(size_text(1536), "1.5 KiB");
    EXPECT_EQ(size_text(std::uint64_t{3} << 40), "3 TiB");
    EXPECT_EQ(size_text(~std::uint64_t{0}), "16.0 EiB");
}

TEST(DurationText, HasThreeDigitsAndAUnit) {
    EXPECT_EQ(duration_text(0), "0 ns");
    EXPECT_EQ(duration_text(870), "870 ns");
    EXPECT_EQ(duration_text(12'345), "12.3 us");
    EXPECT_EQ(duration_text(123'456'789), "123 ms");
    EXPECT_EQ(duration_text(17'000'000'000), "17.0 s");
}

}  // namespace
}  // namespace lunkit::cli

// SPDX-License-Identifier: Apache-2.0
#include "dm_log/log_arguments.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <string>

namespace lunkit::dm_log {
namespace {

using testing::HasSubstr;

std::string refusal(std::string_view text) {
    const auto parsed = parse_log_arguments(text);
    if (parsed) {
        return "";
    }
    EXPECT_EQ(parsed.error().code, EINVAL) << text;
    return parsed.error().what;
}

TEST(LogArguments, CoreLog) {
    const auto log = parse_log_arguments("8192 core 1024");
    ASSERT_TRUE(log);
    EXPECT_EQ(log->kind, LogKind::kCore);
    EXPECT_EQ(log->device_sectors, 8192U);
    EXPECT_EQ(log->region_size, 1024U);
    EXPECT_EQ(log->regions(), 8U);
    EXPECT_EQ(log->start, Start::kDefault);
    EXPECT_FALSE(log->block_on_error);
}

TEST(LogArguments, DiskLogWithEveryOption) {
    const auto log = parse_log_arguments("8193 disk /dev/log 1024 nosync block_on_error");
    ASSERT_TRUE(log);
    EXPECT_EQ(log->kind, LogKind::kDisk);
    EXPECT_EQ(log->path, "/dev/log");
    EXPECT_EQ(log->regions(), 9U);  // the last one is shorter
    EXPECT_EQ(log->start, Start::kNosync);
    EXPECT_TRUE(log->block_on_error);
    EXPECT_EQ(parse_log_arguments("8 core 2 sync")->start, Start::kSync);
}

TEST(LogArguments, RegionSizesThatTheKernelWouldMapWrongly) {
    for (const char* size :
         {"3", "1000", "1", "0", "-2", "16384", "x", "1024x", "18446744073709551616"}) {
        EXPECT_NE(refusal(std::string("8192 core ") + size), "") << size;
    }
    EXPECT_THAT(refusal("8192 core 1000"), HasSubstr("power of two"));
    EXPECT_EQ(refusal("8192 core 8192"), "");
}

TEST(LogArguments, WhatIsNotUnderstoodIsNamed) {
    EXPECT_THAT(refusal("8192 frobnicate 1024"), HasSubstr("'frobnicate' is no kind of log"));
    EXPECT_THAT(refusal("8192 clustered-core 1024"), HasSubstr("'clustered-core'"));
    EXPECT_THAT(refusal("8192 core 1024 quickly"), HasSubstr("'quickly'"));
    EXPECT_THAT(refusal("8192 core 1024 sync nosync"), HasSubstr("'nosync'"));
    EXPECT_THAT(refusal("8192 core 1024 sync sync"), HasSubstr("'sync'"));
    EXPECT_THAT(refusal("8192 disk log 1024"), HasSubstr("'log' is not an absolute path"));
    EXPECT_THAT(refusal("8192 disk /dev/log"), HasSubstr("region size is missing"));
    for (const char* text : {"", " ", "8192", "8192 core", "0 core 1024", "x core 1024"}) {
        EXPECT_NE(refusal(text), "") << text;
    }
    EXPECT_NE(refusal(std::string("8192 core 1024\0sync", 19)), "");
}

// The kernel passes them on with a NUL behind when it has lost its daemon; one byte more, and it
// would never get on.
TEST(LogArguments, TooLongToBeSentTwice) {
    std::string text = "8192 disk /";
    text.append(331 - text.size() - 5, 'x').append(" 1024");
    ASSERT_EQ(text.size(), 331U);
    EXPECT_EQ(refusal(text), "");
    EXPECT_THAT(refusal(text + " "), HasSubstr("too long"));
}

TEST(LogArguments, MoreRegionsThanAnybodyNeeds) {
    EXPECT_EQ(refusal("268435456 core 2"), "");
    EXPECT_THAT(refusal("268435458 core 2"), HasSubstr("take larger ones"));
    EXPECT_NE(refusal("18446744073709551615 core 2"), "");
}

}  // namespace
}  // namespace lunkit::dm_log

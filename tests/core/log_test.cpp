// SPDX-License-Identifier: Apache-2.0
#include "core/log.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lunkit::core {
namespace {

std::string kept;

void keep(LogLevel level, const LogSubject& subject, std::string_view message) {
    kept +=
        fmt::format("{} {} {} {}\n", static_cast<int>(level), subject.device, subject.tag, message);
}

class Log : public ::testing::Test {
  protected:
    void SetUp() override {
        kept.clear();
        set_log_sink(&keep);
    }
    void TearDown() override {
        set_log_sink(nullptr);
        set_log_levels({});
    }
};

TEST_F(Log, LineGoesToTheSinkWithItsSubject) {
    log(LogLevel::kWarning, {"user_0/disk1", 7}, "cannot read {} bytes", 512);
    EXPECT_EQ(kept, "4 user_0/disk1 7 cannot read 512 bytes\n");
}

TEST_F(Log, LinesBelowTheLevelAreDropped) {
    log(LogLevel::kDebug, {}, "detail");
    EXPECT_EQ(kept, "");
    set_log_level(LogLevel::kDebug);
    log(LogLevel::kDebug, {}, "detail");
    EXPECT_NE(kept, "");
    set_log_level(LogLevel::kError);
    EXPECT_FALSE(log_enabled(LogLevel::kWarning));
    EXPECT_TRUE(log_enabled(LogLevel::kError));
}

TEST_F(Log, DeviceMayHaveALevelOfItsOwn) {
    set_log_level("user_0/disk1", LogLevel::kDebug);
    set_log_level("user_0/disk2", LogLevel::kError);
    log(LogLevel::kDebug, {"user_0/disk1"}, "detail");
    log(LogLevel::kDebug, {"user_0/disk3"}, "detail");
    log(LogLevel::kDebug, {}, "detail");
    log(LogLevel::kWarning, {"user_0/disk2"}, "warning");
    EXPECT_EQ(kept, "7 user_0/disk1 0 detail\n");
    EXPECT_EQ(log_levels().devices.size(), 2U);
    set_log_level("user_0/disk2", std::nullopt);
    EXPECT_TRUE(log_enabled(LogLevel::kWarning, "user_0/disk2"));
    set_log_levels({.daemon = LogLevel::kWarning, .devices = {}});
    EXPECT_FALSE(log_enabled(LogLevel::kDebug, "user_0/disk1"));
    EXPECT_EQ(log_levels().daemon, LogLevel::kWarning);
}

TEST_F(Log, DefaultSinkNamesLevelDeviceAndTag) {
    set_log_sink(nullptr);
    ::testing::internal::CaptureStderr();
    log(LogLevel::kError, {"user_0/disk1", 7}, "write failed");
    log(LogLevel::kNotice, {}, "started");
    EXPECT_EQ(::testing::internal::GetCapturedStderr(),
              "lunkitd: error: user_0/disk1[7]: write failed\nlunkitd: notice: started\n");
}

TEST(LogLimit, KeepsBackWhatExceedsTheBurstAndCountsIt) {
    LogLimit limit(2);
    std::uint64_t suppressed = 99;
    EXPECT_TRUE(limit.admit_at(10, &suppressed));
    EXPECT_EQ(suppressed, 0U);
    EXPECT_TRUE(limit.admit_at(10, &suppressed));
    EXPECT_FALSE(limit.admit_at(10, &suppressed));
    EXPECT_FALSE(limit.admit_at(10, &suppressed));
    EXPECT_FALSE(limit.admit_at(10, &suppressed));
    EXPECT_TRUE(limit.admit_at(11, &suppressed));
    EXPECT_EQ(suppressed, 3U);
    EXPECT_TRUE(limit.admit_at(11, &suppressed));
    EXPECT_EQ(suppressed, 0U);
}

TEST(LogLimit, AdmitsByTheClock) {
    LogLimit limit(1);
    std::uint64_t suppressed = 0;
    EXPECT_TRUE(limit.admit(&suppressed));
}

}  // namespace
}  // namespace lunkit::core

// SPDX-License-Identifier: Apache-2.0
#include "core/make_queue.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/log.hpp"
#include "core/queue_set.hpp"

namespace lunkit::core {
namespace {

using namespace std::chrono_literals;

std::vector<std::string> lines;

void keep_line(LogLevel /*level*/, const LogSubject& /*subject*/, std::string_view message) {
    lines.emplace_back(message);
}

class MakeQueue : public ::testing::Test {
  protected:
    void SetUp() override {
        lines.clear();
        set_log_sink(&keep_line);
    }
    void TearDown() override { set_log_sink(nullptr); }

    static Result<std::unique_ptr<EngineQueue>> forbidden(WorkerPool& /*pool*/,
                                                          std::chrono::microseconds /*spin*/) {
        return failure(EPERM, "it is forbidden by kernel.io_uring_disabled=2");
    }
    WorkerPool pool_;
};

TEST_F(MakeQueue, AutoFallsBackToThreadsAndSaysWhyOnce) {
    const auto queue = make_queue(EngineChoice::kAuto, pool_, 0us, &forbidden);
    ASSERT_TRUE(queue);
    EXPECT_EQ((*queue)->engine_name(), "threads");
    ASSERT_EQ(lines.size(), 1U);
    EXPECT_NE(lines[0].find("kernel.io_uring_disabled=2"), std::string::npos) << lines[0];
}

TEST_F(MakeQueue, UringThatWasAskedForFailsWithTheReason) {
    const auto queue = make_queue(EngineChoice::kUring, pool_, 0us, &forbidden);
    ASSERT_FALSE(queue);
    EXPECT_EQ(queue.error().code, EPERM);
    EXPECT_NE(queue.error().what.find("kernel.io_uring_disabled=2"), std::string::npos);
    EXPECT_TRUE(lines.empty()) << "who gets the error logs it";
}

TEST_F(MakeQueue, ThreadsAreNotTriedWithUring) {
    const auto queue = make_queue(EngineChoice::kThreads, pool_, 0us,
                                  [](WorkerPool& pool, std::chrono::microseconds spin) {
                                      ADD_FAILURE();
                                      return forbidden(pool, spin);
                                  });
    ASSERT_TRUE(queue);
    EXPECT_EQ((*queue)->engine_name(), "threads");
}

TEST_F(MakeQueue, AutoTakesUringWhereItWorks) {
    const auto uring = make_queue(EngineChoice::kUring, pool_, 0us);
    const auto queue = make_queue(EngineChoice::kAuto, pool_, 0us);
    ASSERT_TRUE(queue);
    EXPECT_EQ((*queue)->engine_name(), uring ? "uring" : "threads");
    EXPECT_EQ(lines.size(), uring ? 0U : 1U);
}

}  // namespace
}  // namespace lunkit::core

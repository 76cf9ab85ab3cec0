// SPDX-License-Identifier: Apache-2.0
#include "ublk/trusted_thread.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/capability.h>

#include <fstream>
#include <future>
#include <string>
#include <vector>

#include "ublk/untrusted_thread.hpp"

namespace lunkit::ublk {
namespace {

/// Whether the calling thread has the right, by what the kernel says of it.
bool may_administrate() {
    std::ifstream status("/proc/thread-self/status");
    for (std::string line; std::getline(status, line);) {
        if (line.starts_with("CapEff:")) {
            return (std::stoull(line.substr(7), nullptr, 16) >> CAP_SYS_ADMIN & 1U) != 0;
        }
    }
    return false;
}

TEST(TrustedThread, RunsEverythingInItsOrderBeforeItEnds) {
    std::vector<int> ran;
    {
        auto thread = TrustedThread::start();
        ASSERT_TRUE(thread);
        for (int i = 0; i < 3; ++i) {
            (*thread)->post([&ran, i] { ran.push_back(i); });
        }
    }
    EXPECT_THAT(ran, testing::ElementsAre(0, 1, 2));
}

// A worker made by the queue's thread lacked it, and the kernel took no STOP_DEV from there.
TEST(TrustedThread, KeepsTheRightThatAQueueHasGivenUp) {
    if (!may_administrate()) {
        GTEST_SKIP() << "no CAP_SYS_ADMIN here";
    }
    auto thread = TrustedThread::start();
    ASSERT_TRUE(thread);
    std::promise<bool> trusted;
    bool queue_may = true;
    auto queue = core::Thread::start("queue", [&] {
        give_up_administration();
        queue_may = may_administrate();
        (*thread)->post([&trusted] { trusted.set_value(may_administrate()); });
    });
    ASSERT_TRUE(queue);
    queue->join();
    EXPECT_FALSE(queue_may);
    EXPECT_TRUE(trusted.get_future().get());
    EXPECT_TRUE(may_administrate());
}

}  // namespace
}  // namespace lunkit::ublk

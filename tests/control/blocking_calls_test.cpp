// SPDX-License-Identifier: Apache-2.0
#include "control/blocking_calls.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <latch>
#include <memory>
#include <string>
#include <vector>

#include "control/glib_handle.hpp"

namespace lunkit::control {
namespace {

using namespace std::chrono_literals;

/// Collects answers while it turns the loop.
class Answers {
  public:
    BlockingCalls::Done as(const std::string& name) {
        return [this, name](const Status& status) {
            codes.push_back(name + ":" + std::to_string(status ? 0 : status.error().code));
        };
    }
    void wait_for(std::size_t count) const {
        while (codes.size() < count) {
            g_main_context_iteration(nullptr, TRUE);
        }
    }
    std::vector<std::string> codes;
};

const BlockingCalls::Limit kLong{60s, "too late"};
const BlockingCalls::Limit kShort{10ms, "too late"};

TEST(BlockingCalls, ResultOfTheWorkReachesTheLoop) {
    BlockingCalls calls;
    Answers answers;
    calls.run("a", kLong, [] { return failure(ENOENT); }, answers.as("x"));
    EXPECT_TRUE(answers.codes.empty());
    answers.wait_for(1);
    EXPECT_EQ(answers.codes, std::vector<std::string>{"x:" + std::to_string(ENOENT)});
}

TEST(BlockingCalls, StuckLaneDoesNotHoldUpAnother) {
    auto release = std::make_shared<std::latch>(1);
    BlockingCalls calls(1);
    Answers answers;
    calls.run(
        "stuck", kLong,
        [release] {
            release->wait();
            return Status();
        },
        answers.as("s"));
    calls.run("free", kLong, [] { return Status(); }, answers.as("f"));
    answers.wait_for(1);
    EXPECT_EQ(answers.codes, std::vector<std::string>{"f:0"});
    release->count_down();
    answers.wait_for(2);
}

TEST(BlockingCalls, LateCallIsAnsweredOnceWithTimeout) {
    auto release = std::make_shared<std::latch>(1);
    BlockingCalls calls;
    Answers answers;
    calls.run(
        "a", kShort,
        [release] {
            release->wait();
            return Status();
        },
        answers.as("x"));
    answers.wait_for(1);
    EXPECT_EQ(calls.running(), 1U);
    release->count_down();
    calls.run("b", kLong, [] { return Status(); }, answers.as("y"));
    answers.wait_for(2);
    EXPECT_EQ(answers.codes, (std::vector<std::string>{"x:" + std::to_string(ETIMEDOUT), "y:0"}));
}

TEST(BlockingCalls, WaitingCallWhoseTimeIsUpIsNeverRun) {
    auto release = std::make_shared<std::latch>(1);
    auto was_run = std::make_shared<bool>(false);
    BlockingCalls calls(1);
    Answers answers;
    calls.run(
        "a", kLong,
        [release] {
            release->wait();
            return Status();
        },
        answers.as("first"));
    calls.run(
        "a", kShort,
        [was_run] {
            *was_run = true;
            return Status();
        },
        answers.as("late"));
    answers.wait_for(1);
    release->count_down();
    calls.run("a", kLong, [] { return Status(); }, answers.as("last"));
    answers.wait_for(3);
    EXPECT_FALSE(*was_run);
}

TEST(BlockingCalls, FullLaneRefusesAtOnce) {
    auto release = std::make_shared<std::latch>(1);
    BlockingCalls calls(1, 1);
    Answers answers;
    calls.run(
        "a", kLong,
        [release] {
            release->wait();
            return Status();
        },
        answers.as("1"));
    calls.run("a", kLong, [] { return Status(); }, answers.as("2"));
    calls.run("a", kLong, [] { return Status(); }, answers.as("3"));
    answers.wait_for(1);
    EXPECT_EQ(answers.codes, std::vector<std::string>{"3:" + std::to_string(EBUSY)});
    release->count_down();
    answers.wait_for(3);
}

TEST(BlockingCalls, DestructionAnswersWhatIsOpenAndWaitsForNobody) {
    auto release = std::make_shared<std::latch>(1);
    Answers answers;
    {
        BlockingCalls calls;
        calls.run(
            "a", kLong,
            [release] {
                release->wait();
                return Status();
            },
            answers.as("x"));
    }
    EXPECT_EQ(answers.codes, std::vector<std::string>{"x:" + std::to_string(ECANCELED)});
    release->count_down();
}

}  // namespace
}  // namespace lunkit::control

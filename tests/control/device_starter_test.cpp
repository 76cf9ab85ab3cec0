// SPDX-License-Identifier: Apache-2.0
#include "control/device_starter.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/log.hpp"
#include "lunkit/unique_fd.hpp"
#include "support/child_process.hpp"

namespace lunkit::control {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::SizeIs;

DeclaredDevice device(std::uint32_t number, const std::string& config = "ram/a") {
    return {.file = "f", .front_end = "ublk", .wanted = {.config = config, .number = number}};
}

/// The daemon: answers when the test says so.
class DeviceStarterTest : public testing::Test {
  protected:
    DeviceStarter starter(std::chrono::milliseconds patience = 60s) {
        return DeviceStarter(
            [this](const std::string&, const core::NewDevice& wanted, core::Service::Added done) {
                asked_.push_back(*wanted.number);
                answers_[*wanted.number] = std::move(done);
            },
            patience);
    }
    void answer(std::uint32_t number, int error = 0) {
        auto done = std::move(answers_.at(number));
        done(error == 0 ? Result<std::string>("/dev/x") : failure(error, "why not"));
    }
    std::vector<std::uint32_t> asked_;
    std::map<std::uint32_t, core::Service::Added> answers_;
};

TEST_F(DeviceStarterTest, EachComesAfterTheOneBefore) {
    DeviceStarter starter = this->starter();
    starter.start({device(2), device(1), device(3)});
    EXPECT_THAT(asked_, ElementsAre(2));
    answer(2);
    EXPECT_THAT(asked_, ElementsAre(2, 1));
    answer(1, ENOENT);  // the others come all the same
    EXPECT_THAT(asked_, ElementsAre(2, 1, 3));
}

TEST_F(DeviceStarterTest, ReloadAsksForWhatIsNewOrHasFailed) {
    DeviceStarter starter = this->starter();
    starter.start({device(1), device(2), device(3)});
    answer(1);
    answer(2, ENOENT);
    answer(3, EALREADY);
    asked_.clear();
    starter.start({device(1), device(2), device(3), device(4)});
    answer(2);
    EXPECT_THAT(asked_, ElementsAre(2, 4));
}

TEST_F(DeviceStarterTest, ReloadKeepsInMindThatANodeIsAnotherNow) {
    const test::TemporaryFolder folder;
    DeclaredDevice awaiting = device(1);
    awaiting.awaited_node = folder / "node";
    const auto make_node = [&] {
        return UniqueFd(::open(awaiting.awaited_node.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
    };
    const UniqueFd first = make_node();  // held, so that its inode has one owner
    DeviceStarter starter = this->starter();
    starter.start({awaiting});
    std::filesystem::remove(awaiting.awaited_node);
    (void)make_node();
    starter.start({awaiting});
    EXPECT_THAT(asked_, ElementsAre(1));
    answer(1);
    EXPECT_THAT(asked_, ElementsAre(1, 1));
}

TEST_F(DeviceStarterTest, OneThatWasRemovedComesBackWhenItsDeclarationChanges) {
    DeviceStarter starter = this->starter();
    starter.start({device(1)});
    answer(1);
    starter.start({device(1)});
    EXPECT_THAT(asked_, ElementsAre(1));
    starter.start({device(1, "ram/b")});
    answer(1);
    EXPECT_THAT(asked_, ElementsAre(1, 1));
    starter.start({});
    starter.start({device(1, "ram/b")});
    EXPECT_THAT(asked_, ElementsAre(1, 1, 1));
}

TEST_F(DeviceStarterTest, OneThatTakesLongIsNotAskedForTwiceAndNotWaitedForByOthers) {
    DeviceStarter starter = this->starter(10ms);
    starter.start({device(1), device(2)});
    while (asked_.size() < 2) {
        g_main_context_iteration(nullptr, TRUE);
    }
    answer(2);
    starter.start({device(1), device(2), device(3)});
    EXPECT_THAT(asked_, ElementsAre(1, 2, 3));
    answer(1);
    answer(3);
    starter.start({device(1), device(2), device(3)});
    EXPECT_THAT(asked_, ElementsAre(1, 2, 3));
}

TEST_F(DeviceStarterTest, OneWithANodeComesWhenThatAppearsAndEachTimeAnew) {
    const test::TemporaryFolder folder;
    DeclaredDevice awaiting = device(1);
    awaiting.awaited_node = folder / "folder/node";
    DeviceStarter starter = this->starter();
    starter.start({awaiting, device(2)});
    answer(2);
    EXPECT_THAT(asked_, ElementsAre(2));
    for (int round = 0; round < 2; ++round) {
        asked_.clear();
        std::filesystem::create_directory(folder / "folder");
        std::filesystem::create_directory(awaiting.awaited_node);
        while (asked_.empty()) {
            g_main_context_iteration(nullptr, TRUE);
        }
        answer(1);
        starter.start({awaiting, device(2)});
        EXPECT_THAT(asked_, ElementsAre(1));
        std::filesystem::remove_all(folder / "folder");
        while (g_main_context_iteration(nullptr, FALSE) != FALSE) {
        }
    }
}

TEST_F(DeviceStarterTest, OneWhosePredecessorIsStillGoingIsAskedForAgain) {
    const test::TemporaryFolder folder;
    DeclaredDevice awaiting = device(1);
    awaiting.awaited_node = folder.path();
    DeviceStarter starter = this->starter();
    starter.start({awaiting, device(2)});
    answer(1, EAGAIN);
    EXPECT_THAT(asked_, ElementsAre(1, 2));
    answer(2, EAGAIN);  // without a node that is an error as any other
    while (asked_.size() < 3) {
        g_main_context_iteration(nullptr, TRUE);
    }
    answer(1);
    EXPECT_THAT(asked_, ElementsAre(1, 2, 1));
}

std::vector<std::string> notices;  // NOLINT: what the sink has no other way to
void keep_notices(core::LogLevel level, const core::LogSubject& /*subject*/,
                  std::string_view message) {
    if (level == core::LogLevel::kNotice) {
        notices.emplace_back(message);
    }
}

// After a reload the log had no word of why the device was not there.
TEST_F(DeviceStarterTest, OneWhosePredecessorIsStillGoingIsToldOfOncePerReload) {
    const test::TemporaryFolder folder;
    DeclaredDevice awaiting = device(1);
    awaiting.awaited_node = folder.path();
    DeviceStarter starter = this->starter();
    notices.clear();
    core::set_log_sink(keep_notices);
    starter.start({awaiting});
    answer(1, EAGAIN);
    while (asked_.size() < 2) {
        g_main_context_iteration(nullptr, TRUE);
    }
    answer(1, EAGAIN);
    EXPECT_THAT(notices, SizeIs(1));
    starter.start({awaiting});
    answer(1, EAGAIN);
    EXPECT_THAT(notices, SizeIs(2));
    core::set_log_sink(nullptr);
    starter.stop();
}

TEST_F(DeviceStarterTest, OneWhoseNodeIsThereHasItsTurn) {
    const test::TemporaryFolder folder;
    DeclaredDevice awaiting = device(2);
    awaiting.awaited_node = folder.path();
    DeviceStarter starter = this->starter();
    starter.start({device(1), awaiting, device(3)});
    answer(1);
    answer(2);
    EXPECT_THAT(asked_, ElementsAre(1, 2, 3));
}

TEST_F(DeviceStarterTest, NothingIsAskedForOnceItStops) {
    DeviceStarter starter = this->starter();
    starter.start({device(1), device(2)});
    starter.stop();
    answer(1);
    EXPECT_THAT(asked_, ElementsAre(1));
}

}  // namespace
}  // namespace lunkit::control

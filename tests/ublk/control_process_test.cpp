// SPDX-License-Identifier: Apache-2.0
#include "ublk/control_process.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <functional>
#include <future>
#include <string>
#include <utility>

#include "ublk/control_device.hpp"

namespace lunkit::ublk {
namespace {

using testing::HasSubstr;

constexpr std::uint32_t kEnds = 7;   // the process
constexpr std::uint32_t kWaits = 8;  // for ever
constexpr std::uint32_t kFails = 9;
constexpr std::uint32_t kTellsPid = 10;
constexpr std::uint32_t kRefusesThread = 11;  // to the command after it
constexpr std::uint32_t kDaemonDies = 12;     // as far as the process can see

/// Of the process.
std::atomic<bool> refuses_thread{false};
std::atomic<bool> daemon_is_alive{true};

/// What the process of the tests does: the device 3 has as many queues as the process has number.
Result<int> fake_command(std::uint32_t op, std::span<const std::byte> payload) {
    if (op == kEnds) {
        ::_exit(1);
    }
    if (op == kWaits) {
        ::pause();
    }
    if (op == kFails) {
        return failure(ENOMEM, "no ring");
    }
    if (op == kTellsPid) {
        return ::getpid();
    }
    if (op == kRefusesThread) {
        refuses_thread = true;
        return 0;
    }
    if (op == kDaemonDies) {
        daemon_is_alive = false;
        return 0;
    }
    abi::ControlCommand command{};
    std::memcpy(&command, payload.data(), sizeof command);
    if (command.dev_id != 3) {
        return -ENODEV;
    }
    if (command.len == sizeof(abi::DeviceInfo)) {
        abi::DeviceInfo info{};
        std::memcpy(&info, reinterpret_cast<const void*>(command.addr), sizeof info);
        info.owner_uid = static_cast<std::uint32_t>(::getpid());
        info.queue_depth = static_cast<std::uint16_t>(info.queue_depth + 1);
        std::memcpy(reinterpret_cast<void*>(command.addr), &info, sizeof info);
    }
    return 0;
}

class ControlProcessTest : public testing::Test {
  protected:
    ControlProcess process_ = *ControlProcess::start(
        {.command = fake_command,
         .check_unused = [](const std::string& node) -> Status {
             return node == "/dev/ublkb3" ? Status() : failure(EBUSY, node + " is mounted");
         },
         .write_back = [](const std::string& node) -> Status {
             return failure(ENOSPC, std::string(2000, 'x') + node);
         },
         .limit_silence = [](const std::string&) { return Status(); },
         .is_alive = [test = ::getpid()](
                         pid_t process) { return process == test && daemon_is_alive.load(); },
         .start_thread = [](std::function<void()> body) -> Status {
             if (refuses_thread.exchange(false)) {
                 return failure(EAGAIN, "no thread");
             }
             return ControlProcess::Calls::of_kernel().start_thread(std::move(body));
         }});
    ControlDevice control_{[this](std::uint32_t op, std::span<const std::byte> payload) {
        return process_.command(op, payload);
    }};
    Result<int> command(std::uint32_t op) {
        const abi::ControlCommand command{};
        return process_.command(op, std::as_bytes(std::span(&command, 1)));
    }
};

TEST_F(ControlProcessTest, AnotherProcessCarriesCommandsOutWithTheirBuffers) {
    abi::DeviceInfo wanted{};
    wanted.dev_id = 3;
    wanted.queue_depth = 63;
    const auto info = control_.add(wanted);
    ASSERT_TRUE(info);
    EXPECT_EQ(info->queue_depth, 64);
    EXPECT_NE(info->owner_uid, static_cast<std::uint32_t>(::getpid()));
    EXPECT_TRUE(control_.stop(3));
    EXPECT_EQ(control_.stop(4).error().code, ENODEV);
}

TEST_F(ControlProcessTest, ErrorsComeWithWhatTheySay) {
    const auto failed = command(kFails);
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code, ENOMEM);
    EXPECT_EQ(failed.error().what, "no ring");
    EXPECT_TRUE(process_.check_unused("/dev/ublkb3"));
    EXPECT_EQ(process_.check_unused("/dev/ublkb4").error().what, "/dev/ublkb4 is mounted");
    EXPECT_TRUE(process_.limit_silence("/dev/ublkb4"));
    EXPECT_EQ(process_.write_back("/dev/ublkb4").error().code, ENOSPC);
    EXPECT_EQ(process_.check_unused(std::string(1000, '/')).error().code, ENAMETOOLONG);
}

TEST_F(ControlProcessTest, CommandThatWaitsHoldsUpNoOther) {
    auto waits = std::async(std::launch::async, [this] { return command(kWaits); });
    EXPECT_TRUE(control_.stop(3));
    EXPECT_FALSE(command(kEnds));
    EXPECT_EQ(waits.get().error().code, EPIPE);
}

// It ended, and with it every later command.
TEST_F(ControlProcessTest, CommandForWhichThereIsNoThreadFailsAlone) {
    ASSERT_TRUE(command(kRefusesThread));
    const auto refused = command(kTellsPid);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, EAGAIN);
    EXPECT_EQ(refused.error().what, "no thread");
    EXPECT_TRUE(command(kTellsPid));
}

// The same: without room for the socket that the reply goes to, the request comes truncated.
TEST_F(ControlProcessTest, RequestThatComesTruncatedFailsAlone) {
    const auto pid = command(kTellsPid);
    ASSERT_TRUE(pid);
    rlimit files{};
    ASSERT_EQ(::prlimit(*pid, RLIMIT_NOFILE, nullptr, &files), 0);
    const rlimit none{.rlim_cur = 0, .rlim_max = files.rlim_max};
    ASSERT_EQ(::prlimit(*pid, RLIMIT_NOFILE, &none, nullptr), 0);
    EXPECT_EQ(command(kTellsPid).error().code, EPIPE);
    ASSERT_EQ(::prlimit(*pid, RLIMIT_NOFILE, &files, nullptr), 0);
    EXPECT_EQ(command(kTellsPid).value_or(0), *pid);
}

TEST_F(ControlProcessTest, ProcessThatHasEndedIsSaid) {
    EXPECT_EQ(command(kEnds).error().code, EPIPE);
    const auto later = command(0);
    ASSERT_FALSE(later);
    EXPECT_THAT(later.error().what, HasSubstr("control process of ublk"));
}

// It would show a device that nobody serves.
TEST_F(ControlProcessTest, WhatADeadDaemonAskedForIsNotMadeNorStarted) {
    EXPECT_TRUE(control_.start(3, ::getpid()));
    EXPECT_TRUE(control_.end_recovery(3, ::getpid()));
    ASSERT_EQ(command(kDaemonDies).value(), 0);
    EXPECT_EQ(control_.start(3, ::getpid()).error().code, ECANCELED);
    EXPECT_EQ(control_.end_recovery(3, ::getpid()).error().code, ECANCELED);
    EXPECT_EQ(control_.add({}).error().code, ECANCELED);
    EXPECT_TRUE(control_.stop(3)) << "what it left can go";
}

TEST(ProcessIsAlive, UntilItIsKilled) {
    const auto is_alive = ControlProcess::Calls::of_kernel().is_alive;
    EXPECT_TRUE(is_alive(::getpid()));
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        ::pause();
        ::_exit(0);
    }
    EXPECT_TRUE(is_alive(child));
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    siginfo_t ended{};
    ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED | WNOWAIT), 0);
    EXPECT_FALSE(is_alive(child)) << "nobody has waited for it yet";
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);
    EXPECT_FALSE(is_alive(child)) << "there is no such process";
}

}  // namespace
}  // namespace lunkit::ublk

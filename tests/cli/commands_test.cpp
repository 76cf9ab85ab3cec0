// SPDX-License-Identifier: Apache-2.0
// The tool as a script sees it: a process with output and an exit code, against a daemon on a bus
// of its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/stat.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cli/daemon_client.hpp"
#include "cli/exit_code.hpp"
#include "support/child_process.hpp"
#include "support/engine_rig.hpp"
#include "support/private_bus.hpp"

namespace lunkit::cli {
namespace {

using nlohmann::json;
using test::ChildProcess;
using test::PrivateBus;
using test::TemporaryFolder;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using namespace std::chrono_literals;

struct Ran {
    int code;
    std::string text;
};

Ran run_tool(std::vector<std::string> arguments, const std::string& environment) {
    arguments.insert(arguments.begin(), LUNKIT);
    ChildProcess tool(std::move(arguments), {environment});
    const int code = tool.wait_exit();
    return {code, tool.printed()};
}

class CommandsTest : public testing::Test {
  protected:
    Ran run(std::vector<std::string> arguments) const {
        return run_tool(std::move(arguments), bus_.variable());
    }
    PrivateBus bus_;
};

class CommandsWithDaemonTest : public CommandsTest {
  protected:
    void SetUp() override {
        std::ofstream(folder_ / "lunkitd.conf") << "[daemon]\nrun_dir=" << folder_.path() << "\n";
        daemon_ = std::make_unique<ChildProcess>(
            std::vector<std::string>{FAKE_LUNKITD, "--foreground", "--config",
                                     folder_ / "lunkitd.conf"},
            environment());
        ASSERT_TRUE(daemon_->wait_notify("READY=1")) << daemon_->printed();
    }
    void TearDown() override {
        if (!daemon_) {
            return;  // the test has killed it
        }
        daemon_->signal(SIGTERM);
        EXPECT_EQ(0, daemon_->wait_exit()) << daemon_->printed();
    }
    [[nodiscard]] virtual std::vector<std::string> environment() const { return {bus_.variable()}; }
    [[nodiscard]] json run_json(std::vector<std::string> arguments) const {
        arguments.emplace_back("--json");
        const Ran ran = run(std::move(arguments));
        EXPECT_EQ(kExitOk, ran.code) << ran.text;
        return json::parse(ran.text, nullptr, false);
    }

    TemporaryFolder folder_;
    std::unique_ptr<ChildProcess> daemon_;
};

TEST_F(CommandsTest, WithoutDaemonEveryCommandSaysHowToStartIt) {
    for (const std::vector<std::string>& command : {std::vector<std::string>{"list"},
                                                    {"show", "x"},
                                                    {"handlers"},
                                                    {"check", "ram/x"},
                                                    {"stats"},
                                                    {"reload"},
                                                    {"log-level"},
                                                    {"trace", "x"},
                                                    {"ublk", "add", "ram/x"},
                                                    {"ublk", "del", "0"},
                                                    {"ublk", "list"},
                                                    {"dm-user", "attach", "t", "ram/x"},
                                                    {"dm-user", "detach", "t"},
                                                    {"dm-user", "list"},
                                                    {"dm-log", "list"},
                                                    {"dm-log", "show", "m"},
                                                    {"dm-log", "dump", "m"}}) {
        const Ran ran = run(command);
        EXPECT_EQ(kExitFailure, ran.code) << command.front();
        EXPECT_EQ(ran.text,
                  "lunkit: lunkitd is not running; start it with: systemctl start lunkitd\n");
    }
}

TEST_F(CommandsTest, WithoutDaemonVersionStillAnswers) {
    const Ran ran = run({"version"});
    EXPECT_EQ(kExitOk, ran.code);
    EXPECT_EQ(ran.text, "lunkit " LUNKIT_VERSION "\nlunkitd not running\n");
}

TEST_F(CommandsTest, WithoutDaemonTheDoctorSaysSo) {
    const Ran ran = run({"doctor"});
    EXPECT_EQ(kExitFailure, ran.code);
    EXPECT_THAT(ran.text, HasSubstr("TROUBLE  lunkitd does not answer: lunkitd is not running"));
    EXPECT_TRUE(json::parse(run({"doctor", "--json"}).text).is_array());
}

TEST_F(CommandsTest, WithoutBusItSaysSo) {
    bus_.stop();
    const Ran ran = run({"list"});
    EXPECT_EQ(kExitFailure, ran.code);
    EXPECT_THAT(ran.text, HasSubstr("cannot reach the system bus"));
}

TEST_F(CommandsTest, StorageIsLookedAtWithoutDaemonAndBus) {
    bus_.stop();
    const test::BuildFolder handlers;
    const std::string copy = handlers / "handler_ram.so";
    std::filesystem::copy_file(HANDLER_RAM, copy);
    ASSERT_EQ(0, ::chmod(copy.c_str(), 0755));
    const Ran none = run({"info", "--handler-dir", handlers.path(), "ram/x"});
    EXPECT_EQ(kExitFailure, none.code);
    EXPECT_EQ(none.text, "lunkit: handler 'ram' has nothing to tell about its storage\n");
    const Ran unknown = run({"verify", "--handler-dir", handlers.path(), "tape/x"});
    EXPECT_EQ(kExitFailure, unknown.code);
    EXPECT_THAT(unknown.text, HasSubstr("no handler 'tape'"));
}

// 3 is "no such device".
TEST_F(CommandsTest, MissingFolderOrHandlerIsAFailure) {
    const test::BuildFolder empty;
    for (const std::vector<std::string>& command :
         {std::vector<std::string>{"migrate", "--handler-dir", "/nowhere"},
          {"info", "--handler-dir", "/nowhere", "ram/x"},
          {"handler", "test", "ram/x", "--overwrite", "--handler-dir", "/nowhere"},
          {"handler", "test", "ram/x", "--overwrite", "--handler-dir", empty.path()}}) {
        EXPECT_EQ(kExitFailure, run(command).code) << testing::PrintToString(command);
    }
}

TEST_F(CommandsTest, WrongUsageIsTwo) {
    for (const std::vector<std::string>& command :
         {std::vector<std::string>{},
          {"lst"},
          {"show"},
          {"list", "--jsn"},
          {"check"},
          {"ublk"},
          {"ublk", "add"},
          {"ublk", "add", "ram/x", "--size", "big"},
          {"ublk", "add", "ram/x", "--size=-1"},
          {"ublk", "add", "ram/x", "--size=0"},
          {"ublk", "add", "ram/x", "--size=8388608T"},
          {"ublk", "add", "ram/x", "--number=-1"},
          {"ublk", "add", "ram/x", "--number=4294967296"},
          {"ublk", "add", "ram/x", "--number=0x10"},
          {"ublk", "add", "ram/x", "--queues=4097"},
          {"ublk", "resize", "0", "-1"},
          {"dm-user", "attach", "t", "ram/x", "--start=-1"},
          {"handler", "test", "ram/x", "--overwrite", "--seed=-1"},
          {"handler", "test", "ram/x", "--overwrite", "--size=-1"},
          {"top", "--count=-1"},
          {"ublk", "add", "ram/x", "--block-size=513"},
          {"ublk", "del"},
          {"dm-user"},
          {"dm-user", "attach"},
          {"dm-user", "attach", "t"},
          {"dm-user", "attach", "t", "ram/x", "--channels=0"},
          {"dm-user", "attach", "t", "ram/x", "--start=x"},
          {"dm-user", "detach"},
          {"dm-log"},
          {"dm-log", "add"},
          {"info"},
          {"verify", "--repair", "all", "qcow//a"},
          {"stats", "a", "b"},
          {"log-level", "a", "loud"},
          {"log-level", "a", "debug", "b"},
          {"trace"},
          {"trace", "a", "--count", "0"},
          {"trace", "a", "--only", "red"},
          {"trace", "a", "--only", "0x128"},
          {"trace", "a", "--only", "0x1ffffffff"},
          {"trace", "a", "--only", "0x"},
          {"trace", "a", "--write", "x", "--json"},
          {"stats", "--http"}}) {
        EXPECT_EQ(kExitUsage, run(command).code) << testing::PrintToString(command);
    }
}

TEST_F(CommandsTest, HelpIsEverywhere) {
    for (const std::vector<std::string>& command : {std::vector<std::string>{"--help"},
                                                    {"list", "--help"},
                                                    {"show", "--help"},
                                                    {"handlers", "--help"},
                                                    {"check", "--help"},
                                                    {"info", "--help"},
                                                    {"verify", "--help"},
                                                    {"stats", "--help"},
                                                    {"reload", "--help"},
                                                    {"log-level", "--help"},
                                                    {"trace", "--help"},
                                                    {"doctor", "--help"},
                                                    {"top", "--help"},
                                                    {"migrate", "--help"},
                                                    {"ublk", "--help"},
                                                    {"ublk", "add", "--help"},
                                                    {"dm-user", "attach", "--help"},
                                                    {"dm-log", "list", "--help"},
                                                    {"version", "--help"}}) {
        const Ran ran = run(command);
        EXPECT_EQ(kExitOk, ran.code) << command.front();
        EXPECT_THAT(ran.text, HasSubstr("--help"));
    }
}

TEST_F(CommandsWithDaemonTest, ListShowsTheDevices) {
    const Ran ran = run({"list"});
    EXPECT_EQ(kExitOk, ran.code);
    EXPECT_THAT(ran.text,
                AllOf(HasSubstr("user_0/disk1  running  1 GiB    512  rw,cache  /dev/uio0"),
                      HasSubstr("user_1/disk2  failed")));
    const json devices = run_json({"list"});
    ASSERT_EQ(5U, devices.size());
    EXPECT_EQ(devices[0].at("size"), 1073741824);
    EXPECT_EQ(devices[0].at("write_cache"), true);
}

TEST_F(CommandsWithDaemonTest, UblkResizeTakesUnitsAndSaysWhyNot) {
    EXPECT_EQ(run({"ublk", "resize", "0", "1G", "--recreate"}).code, kExitOk);
    EXPECT_EQ(run_json({"ublk", "resize", "0", "4096", "--recreate"}).at("size"), 4096);
    const Ran refused = run({"ublk", "resize", "0", "1M"});
    EXPECT_EQ(refused.code, kExitFailure);
    EXPECT_EQ(refused.text, "lunkit: 1048576 bytes take --recreate\n");
    EXPECT_EQ(run({"ublk", "resize", "none", "1M"}).code, kExitNotFound);
    EXPECT_EQ(run({"ublk", "resize", "0", "big"}).code, kExitUsage);
}

TEST_F(CommandsWithDaemonTest, UblkAddPrintsTheNode) {
    const Ran plain = run({"ublk", "add", "ram/x"});
    EXPECT_EQ(plain.code, kExitOk);
    EXPECT_EQ(plain.text, "/dev/0-0-512-rw-1\n");
    EXPECT_EQ(run({"ublk", "add", "ram/x", "--size", "64M", "--number=2", "--block-size=4096",
                   "--read-only", "--queues=3"})
                  .text,
              "/dev/2-67108864-4096-ro-3\n");
    EXPECT_EQ(run_json({"ublk", "add", "ram/x"}).at("node"), "/dev/0-0-512-rw-1");
    // Decimal, as in devices.d: a 0 in front makes no octal number of it.
    EXPECT_EQ(run({"ublk", "add", "ram/x", "--number=08"}).text, "/dev/8-0-512-rw-1\n");
    EXPECT_EQ(run({"ublk", "add", "ram/x", "--number=010", "--size=010K"}).text,
              "/dev/10-10240-512-rw-1\n");
    const Ran missing = run({"ublk", "add", "file//missing"});
    EXPECT_EQ(missing.code, kExitFailure);  // 3 would say that a device is missing
    EXPECT_EQ(missing.text, "lunkit: /missing: No such file or directory\n");
}

// The tool gave up after 30 s whatever it had asked for, as if the daemon were dead.
TEST_F(CommandsWithDaemonTest, DeviceThatTakesLongIsSaidToGoOn) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): no other thread looks at it
    ASSERT_EQ(0, ::setenv("DBUS_SYSTEM_BUS_ADDRESS", bus_.address().c_str(), 1));
    const Patience patience;
    EXPECT_GE(patience.device, std::chrono::minutes(1));
    const auto daemon = DaemonClient::connect({.answer = patience.answer, .device = 50ms});
    ASSERT_TRUE(daemon);
    DaemonClient::NewDevice wanted;
    wanted.config = "file//slow";
    const auto answer = daemon->add("ublk", wanted);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, ETIMEDOUT);
    EXPECT_THAT(answer.error().what, HasSubstr("goes on with it"));
    EXPECT_TRUE(daemon->devices());
}

TEST_F(CommandsWithDaemonTest, TimeOutNamesTheListThatTellsMore) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): no other thread looks at it
    ASSERT_EQ(0, ::setenv("DBUS_SYSTEM_BUS_ADDRESS", bus_.address().c_str(), 1));
    const auto daemon = DaemonClient::connect({.device = 50ms});
    ASSERT_TRUE(daemon);
    DaemonClient::NewDevice wanted;
    wanted.config = "file//slow";
    EXPECT_THAT(daemon->add("ublk", wanted).error().what, HasSubstr("lunkit ublk list"));
    wanted.name = "t";
    EXPECT_THAT(daemon->add("dm-user", wanted).error().what, HasSubstr("lunkit dm-user list"));
}

TEST_F(CommandsWithDaemonTest, WhatIsNoUtf8IsRefusedBeforeItIsSent) {
    for (const std::vector<std::string>& command : {std::vector<std::string>{"check", "ram/\xff"},
                                                    {"ublk", "add", "ram/\xff"},
                                                    {"ublk", "del", "\xff"},
                                                    {"ublk", "resize", "\xff", "1M"},
                                                    {"dm-user", "attach", "\xff", "ram/x"},
                                                    {"dm-user", "detach", "\xff"},
                                                    {"dm-log", "dump", "\xff"}}) {
        const Ran ran = run(command);
        EXPECT_EQ(kExitFailure, ran.code) << testing::PrintToString(command);
        EXPECT_THAT(ran.text, AllOf(HasSubstr("lunkit: "), HasSubstr("is not valid UTF-8\n"),
                                    Not(HasSubstr("CRITICAL"))));
    }
}

// Names inside an image are anybody's: they must not drive the terminal.
TEST_F(CommandsWithDaemonTest, ErrorTextsAreShownWithoutControlCharacters) {
    EXPECT_EQ(run({"ublk", "add", "file//hostile"}).text,
              "lunkit: backing file '?[2J?2J' is not there\n");
}

TEST_F(CommandsWithDaemonTest, DaemonThatDiesMeanwhileIsSaidToHaveEnded) {
    ChildProcess tool({LUNKIT, "ublk", "add", "file//slow"}, {bus_.variable()});
    ASSERT_TRUE(daemon_->wait_output("takes its time"));
    daemon_->signal(SIGKILL);
    EXPECT_EQ(kExitFailure, tool.wait_exit());
    EXPECT_EQ(tool.printed(), "lunkit: lunkitd ended before it answered\n");
    daemon_.reset();
}

TEST_F(CommandsWithDaemonTest, UblkDelOfWhatIsNotThereSucceeds) {
    EXPECT_EQ(run({"ublk", "del", "0"}).text, "");
    const Ran none = run({"ublk", "del", "none"});
    EXPECT_EQ(none.code, kExitOk);
    EXPECT_EQ(none.text, "there is no ublk device 'none'\n");
    EXPECT_EQ(run_json({"ublk", "del", "none"}).at("removed"), false);
    EXPECT_EQ(run({"ublk", "del", "mounted"}).code, kExitFailure);
    EXPECT_EQ(run({"ublk", "del", "mounted", "--force"}).code, kExitOk);
}

TEST_F(CommandsWithDaemonTest, UblkListLeavesOtherDevicesOut) {
    EXPECT_EQ(run({"ublk", "list"}).text, "no devices\n");
}

TEST_F(CommandsWithDaemonTest, DmUserAttachPrintsTheNode) {
    EXPECT_EQ(run({"dm-user", "attach", "t", "ram/x"}).text, "/dev/dm-user/t-0-0-0-rw\n");
    EXPECT_EQ(run_json({"dm-user", "attach", "a/t", "ram/x", "--size=1M", "--start=2048",
                        "--channels=8", "--read-only"})
                  .at("node"),
              "/dev/dm-user/a/t-1048576-2048-8-ro");
    EXPECT_EQ(run({"dm-user", "attach", "t", "file//missing"}).code, kExitFailure);
}

TEST_F(CommandsWithDaemonTest, DmUserDetachOfWhatIsNotThereSucceeds) {
    EXPECT_EQ(run({"dm-user", "detach", "t"}).text, "");
    EXPECT_EQ(run_json({"dm-user", "detach", "t"}).at("detached"), true);
    const Ran none = run({"dm-user", "detach", "none"});
    EXPECT_EQ(none.code, kExitOk);
    EXPECT_EQ(none.text, "there is no dm-user device 'none'\n");
    EXPECT_EQ(run_json({"dm-user", "detach", "none"}).at("detached"), false);
}

TEST_F(CommandsWithDaemonTest, DmUserListShowsTargetsOnly) {
    const Ran ran = run({"dm-user", "list"});
    EXPECT_THAT(ran.text, HasSubstr("a/target  running"));
    EXPECT_THAT(ran.text, Not(HasSubstr("user_0/disk1")));
    EXPECT_EQ(run_json({"dm-user", "list"}).size(), 1U);
}

TEST_F(CommandsWithDaemonTest, DmLogListShowsDirtyLogsOnly) {
    const Ran ran = run({"dm-log", "list"});
    EXPECT_EQ(ran.code, kExitOk);
    EXPECT_THAT(ran.text, HasSubstr("mirror-1  running  8 MiB  512 KiB       16        9     10  "
                                    "core 1024 sync"));
    EXPECT_THAT(ran.text, Not(HasSubstr("user_0/disk1")));
    const json logs = run_json({"dm-log", "list"});
    ASSERT_EQ(logs.size(), 1U);
    EXPECT_EQ(logs[0].at("regions_in_sync"), 9);
    EXPECT_THAT(run({"show", "mirror-1"}).text, HasSubstr("16 of 512 KiB, 9 in sync, 10 dirty"));
}

TEST_F(CommandsWithDaemonTest, DmLogShowAndDumpAreOfOneLog) {
    EXPECT_THAT(run({"dm-log", "show", "mirror-1"}).text, HasSubstr("9 in sync, 10 dirty"));
    EXPECT_EQ(run_json({"dm-log", "show", "mirror-1"}).at("regions"), 16);
    EXPECT_EQ(run({"dm-log", "show", "disk1"}).code, kExitNotFound);
    EXPECT_EQ(run({"dm-log", "dump", "mirror-1"}).text,
              "FIRST  LAST  COUNT  STATE\n"
              "    0     5      6  clean\n"
              "    6     8      3  dirty\n"
              "    9    15      7  not in sync\n");
    const json runs = run_json({"dm-log", "dump", "mirror-1"});
    ASSERT_EQ(runs.size(), 3U);
    EXPECT_EQ(runs[1], json({{"first", 6}, {"count", 3}, {"clean", false}, {"in_sync", true}}));
    const Ran missing = run({"dm-log", "dump", "none"});
    EXPECT_EQ(missing.code, kExitNotFound);
    EXPECT_EQ(missing.text, "lunkit: there is no dirty log 'none'\n");
}

TEST_F(CommandsWithDaemonTest, ShowTakesTheFullNameOrItsLastPart) {
    EXPECT_EQ(run_json({"show", "user_1/disk2"}).at("error"),
              "/gone.img: No such file or directory");
    EXPECT_EQ(run_json({"show", "disk1"}).at("name"), "user_0/disk1");
}

TEST_F(CommandsWithDaemonTest, UnknownOrAmbiguousDeviceIsThree) {
    const Ran unknown = run({"show", "disk9"});
    EXPECT_EQ(kExitNotFound, unknown.code);
    EXPECT_EQ(unknown.text, "lunkit: no device 'disk9'\n");
    const Ran ambiguous = run({"stats", "disk2"});
    EXPECT_EQ(kExitNotFound, ambiguous.code);
    EXPECT_EQ(ambiguous.text, "lunkit: 'disk2' may be any of: user_1/disk2 user_2/disk2\n");
}

TEST_F(CommandsWithDaemonTest, HandlersAreListed) {
    EXPECT_THAT(run({"handlers"}).text, HasSubstr("file/<path>[;direct=on|off]"));
    EXPECT_EQ(run_json({"handlers"})[1].at("name"), "ram");
}

TEST_F(CommandsWithDaemonTest, CheckTellsByExitCodeAndMessage) {
    EXPECT_EQ(run({"check", "file//here"}).text, "file//here: valid\n");
    const Ran bad = run({"check", "file//missing"});
    EXPECT_EQ(kExitFailure, bad.code);
    EXPECT_EQ(bad.text, "lunkit: file//missing: /missing: No such file or directory\n");
    const Ran bad_json = run({"check", "--json", "file//missing"});
    EXPECT_EQ(kExitFailure, bad_json.code);
    EXPECT_EQ(json::parse(bad_json.text).at("valid"), false);
}

TEST_F(CommandsWithDaemonTest, StatsCountAllDevicesOrOne) {
    EXPECT_EQ(5U, run_json({"stats"}).size());
    const json one = run_json({"stats", "disk1"});
    ASSERT_EQ(1U, one.size());
    EXPECT_EQ(one[0].at("read_bytes"), 49152);
    EXPECT_EQ(one.at(0).at("read_latency").at("p99_ns"), 4'100'000);
    EXPECT_EQ(one.at(0).at("read_latency").at("within").size(), 21U);
    EXPECT_EQ(one.at(0).at("error_counts").at("03/11/00"), 1);
    EXPECT_THAT(
        run({"stats"}).text,
        AllOf(HasSubstr("48 KiB"),
              HasSubstr("user_0/disk1  read         12  80.0 us  150 us  4.1 ms  4.1 ms  4.2 ms"),
              HasSubstr("user_0/disk1  03/11/00 MEDIUM ERROR      1")));
    EXPECT_THAT(run({"show", "disk1"}).text, HasSubstr("1 (03/11/00 MEDIUM ERROR 1)"));
}

TEST_F(CommandsWithDaemonTest, LogLevelIsOfTheDaemonOrOfADeviceUntilAReload) {
    EXPECT_EQ(run({"log-level"}).text, "info\n");
    EXPECT_EQ(run({"log-level", "debug"}).text, "");
    EXPECT_EQ(run({"log-level", "disk1", "error"}).code, kExitOk);
    EXPECT_EQ(run({"log-level"}).text, "debug\nuser_0/disk1: error\n");
    EXPECT_EQ(run({"log-level", "disk1"}).text, "error\n");
    EXPECT_EQ(run({"log-level", "a/target"}).text, "debug\n");
    EXPECT_EQ(run_json({"log-level"}),
              json({{"level", "debug"}, {"devices", {{"user_0/disk1", "error"}}}}));
    EXPECT_EQ(run({"log-level", "disk1", "default"}).text, "");
    EXPECT_EQ(run({"log-level", "disk1"}).text, "debug\n");
    EXPECT_EQ(run({"log-level", "disk9", "debug"}).code, kExitNotFound);
    EXPECT_EQ(run({"log-level", "disk1", "error"}).code, kExitOk);
    EXPECT_EQ(run({"reload"}).code, kExitOk);
    EXPECT_EQ(run({"log-level"}).text, "info\n");
    EXPECT_EQ(run({"log-level", "debug"}).code, kExitOk);
    EXPECT_EQ(run({"log-level", "default"}).code, kExitOk);
    EXPECT_EQ(run({"log-level"}).text, "info\n");
}

TEST_F(CommandsWithDaemonTest, TraceDecodesCommandsUntilTheDeviceGoes) {
    const Ran ran = run({"trace", "a/target"});
    EXPECT_EQ(ran.code, kExitFailure);
    EXPECT_THAT(
        ran.text,
        AllOf(HasSubstr("READ(10)               lba       2048 blocks      8   12.3 us  GOOD\n"),
              HasSubstr("INQUIRY                lba          - blocks      -      0 ns  05/24/00 "
                        "ILLEGAL REQUEST\n"),
              HasSubstr("WRITE                  lba          2 blocks      1      0 ns  GOOD\n"),
              HasSubstr("lunkit: the device has gone, or lunkitd has ended\n")));
}

TEST_F(CommandsWithDaemonTest, TraceEndsAtItsCountAndShowsWhatIsAskedFor) {
    const Ran one = run({"trace", "a/target", "--count", "1", "--json"});
    EXPECT_EQ(one.code, kExitOk) << one.text;
    const json command = json::parse(one.text, nullptr, false);
    EXPECT_EQ(command.at("time"), "1700000000.000000001");
    EXPECT_EQ(command.at("command"), "READ(10)");
    EXPECT_EQ(command.at("cdb"), "28000000080000000800");
    EXPECT_EQ(command.at("lba"), 2048);
    EXPECT_EQ(command.at("took_ns"), 12345);
    EXPECT_EQ(command.at("result"), "GOOD");
    EXPECT_THAT(run({"trace", "a/target", "--only", "write,error", "--count", "2"}).text,
                AllOf(HasSubstr("INQUIRY"), HasSubstr("WRITE"), Not(HasSubstr("READ"))));
    EXPECT_THAT(run({"trace", "a/target", "--only", "0x12", "--count", "1"}).text,
                AllOf(HasSubstr("INQUIRY"), Not(HasSubstr("WRITE"))));
    const Ran unknown = run({"trace", "mirror-1"});
    EXPECT_EQ(unknown.code, kExitNotFound) << unknown.text;
}

/// Of the blocks of a capture.
std::vector<unsigned> types_of(const std::string& bytes) {
    std::vector<unsigned> types;
    for (std::size_t at = 0; at + 8 <= bytes.size();) {
        const auto* const block = reinterpret_cast<const unsigned char*>(bytes.data() + at);
        types.push_back(block[0]);
        at += block[4] + 256U * block[5];
    }
    return types;
}

TEST_F(CommandsWithDaemonTest, TraceWritesACapture) {
    const std::string file = folder_ / "capture";
    const Ran ran = run({"trace", "a/target", "--only", "0x28,write", "--write", file});
    EXPECT_EQ(ran.code, kExitFailure);
    EXPECT_EQ(ran.text,
              "lunkit: this is no SCSI device: its requests are written as the SCSI commands that "
              "ask for the same\n"
              "lunkit: the device has gone, or lunkitd has ended\n");
    struct stat status{};
    ASSERT_EQ(::stat(file.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0600U);
    std::ifstream in(file);
    const std::string bytes((std::istreambuf_iterator<char>(in)), {});
    // Section, interface, two commands of two packets each, statistics.
    EXPECT_THAT(types_of(bytes), ElementsAre(0x0a, 1, 6, 6, 6, 6, 5));
    EXPECT_EQ(run({"trace", "a/target", "--count", "1", "--write", "-"}).code, kExitOk);
    const Ran nowhere = run({"trace", "a/target", "--write", folder_ / "none/capture"});
    EXPECT_EQ(nowhere.code, kExitFailure);
    EXPECT_THAT(nowhere.text, HasSubstr("none/capture: No such file or directory"));
}

/// The traced device stays.
class CommandsWithLastingDeviceTest : public CommandsWithDaemonTest {
  protected:
    [[nodiscard]] std::vector<std::string> environment() const override {
        return {bus_.variable(), "FAKE_TRACE=lasts"};
    }
};

TEST_F(CommandsWithLastingDeviceTest, CaptureThatIsEndedBySignalIsWhole) {
    const std::string file = folder_ / "capture";
    ChildProcess tool({LUNKIT, "trace", "a/target", "--write", file}, {bus_.variable()});
    const auto contents = [&file] {
        std::ifstream in(file);
        return std::string((std::istreambuf_iterator<char>(in)), {});
    };
    const auto patience = std::chrono::steady_clock::now() + 20s;
    while (contents().size() < 1000 && std::chrono::steady_clock::now() < patience) {
        std::this_thread::sleep_for(1ms);
    }
    tool.signal(SIGINT);
    EXPECT_EQ(tool.wait_exit(), kExitOk);
    EXPECT_THAT(types_of(contents()), ElementsAre(0x0a, 1, 6, 6, 6, 6, 6, 6, 5));
}

/// One device has a name that D-Bus takes only with another letter in it.
class CommandsWithOddNameTest : public CommandsWithDaemonTest {
  protected:
    [[nodiscard]] std::vector<std::string> environment() const override {
        return {bus_.variable(), "FAKE_TARGET=a/d\xfcsk"};
    }
};

TEST_F(CommandsWithOddNameTest, DeviceIsNamedAsItIsShown) {
    const std::string shown = "a/d\uFFFDsk";
    EXPECT_EQ(run({"show", shown}).code, kExitOk);
    const Ran traced = run({"trace", shown, "--count", "1"});
    EXPECT_EQ(traced.code, kExitOk) << traced.text;
    EXPECT_EQ(run({"log-level", shown, "error"}).code, kExitOk);
    EXPECT_EQ(run({"log-level"}).text, "info\n" + shown + ": error\n");
}

TEST_F(CommandsWithDaemonTest, ReloadNamesWhatNeedsARestart) {
    std::ofstream(folder_ / "lunkitd.conf", std::ios::app) << "[queues]\nqueues=2\n";
    const Ran ran = run({"reload"});
    EXPECT_EQ(kExitOk, ran.code);
    EXPECT_THAT(ran.text, HasSubstr("needs a restart: [queues] queues: '0' -> '2'"));
}

TEST_F(CommandsWithDaemonTest, ReloadOfABrokenFileNamesItsLines) {
    std::ofstream(folder_ / "lunkitd.conf", std::ios::app) << "x\ny\n";
    const Ran ran = run({"reload"});
    EXPECT_EQ(kExitFailure, ran.code);
    EXPECT_THAT(ran.text,
                AllOf(HasSubstr("lunkitd.conf:3: 'x'"), HasSubstr("lunkitd.conf:4: 'y'")));
}

TEST_F(CommandsWithDaemonTest, VersionNamesBoth) {
    EXPECT_EQ(run_json({"version"}),
              (json{{"lunkit", LUNKIT_VERSION}, {"lunkitd", LUNKIT_VERSION}}));
}

}  // namespace
}  // namespace lunkit::cli

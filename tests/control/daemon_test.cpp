// SPDX-License-Identifier: Apache-2.0
// The daemon from outside: a process, its bus, its signals and its exit codes.
#include <fmt/format.h>
#include <gio/gio.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "control/bus_names.hpp"
#include "control/glib_handle.hpp"
#include "control/options.hpp"
#include "support/child_process.hpp"
#include "support/private_bus.hpp"

namespace lunkit::control {
namespace {

using test::ChildProcess;
using test::PrivateBus;
using test::TemporaryFolder;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

// NOLINTNEXTLINE(clang-analyzer-optin.core.EnumCastOutOfRange): GLib's flags are an enum
constexpr auto kBusClient = static_cast<GDBusConnectionFlags>(
    G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT | G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION);

/// targetcli's, lunkit's or anybody's view of the daemon: replies printed as GVariant text.
class Client {
  public:
    explicit Client(const PrivateBus& bus)
        : connection_(g_dbus_connection_new_for_address_sync(bus.address().c_str(), kBusClient,
                                                             nullptr, nullptr, nullptr)) {}

    [[nodiscard]] std::string call(const std::string& path, const std::string& interface,
                                   const std::string& method,
                                   const std::string& arguments = "()") const {
        ErrorSlot error;
        const VariantPtr reply(g_dbus_connection_call_sync(
            connection_.get(), kBusName, path.c_str(), interface.c_str(), method.c_str(),
            g_variant_new_parsed(arguments.c_str()), nullptr, G_DBUS_CALL_FLAGS_NO_AUTO_START,
            20'000, nullptr, error.out()));
        return reply ? printed(reply.get()) : "error: " + error.message();
    }
    [[nodiscard]] std::string check(const std::string& config) const {
        const std::string handler = config.substr(0, config.find('/'));
        return call(std::string(kTcmuPath) + "/" + handler, kBusName, "CheckConfig",
                    "('" + config + "',)");
    }
    [[nodiscard]] std::string manage(const std::string& method,
                                     const std::string& arguments = "()") const {
        return call(kManagerPath, "org.lunkit.Manager1", method, arguments);
    }
    /// Begins a CheckConfig and does not wait for its answer.
    void begin_check(const std::string& config, std::string& answer) const {
        const std::string path = std::string(kTcmuPath) + "/" + config.substr(0, config.find('/'));
        g_dbus_connection_call(
            connection_.get(), kBusName, path.c_str(), kBusName, "CheckConfig",
            g_variant_new("(s)", config.c_str()), nullptr, G_DBUS_CALL_FLAGS_NONE, 20'000, nullptr,
            run_finish, finish_with([&answer](GObject* source, GAsyncResult* result) {
                const VariantPtr reply(g_dbus_connection_call_finish(
                    reinterpret_cast<GDBusConnection*>(source), result, nullptr));
                answer = reply ? printed(reply.get()) : "error";
            }));
    }
    [[nodiscard]] std::uint32_t own_name(const std::string& name = kBusName) const {
        const VariantPtr reply(g_dbus_connection_call_sync(
            connection_.get(), "org.freedesktop.DBus", "/org/freedesktop/DBus",
            "org.freedesktop.DBus", "RequestName", g_variant_new("(su)", name.c_str(), 0),
            G_VARIANT_TYPE("(u)"), G_DBUS_CALL_FLAGS_NONE, -1, nullptr, nullptr));
        guint32 code = 0;
        g_variant_get(reply.get(), "(u)", &code);
        return code;
    }

    // As a program that serves a subtype by itself.
    static constexpr const char* kManager = "org.kernel.TCMUService1.HandlerManager1";
    [[nodiscard]] std::string register_handler(const std::string& subtype,
                                               const std::string& desc = "<a tape>") const {
        return call("/org/kernel/TCMUService1/HandlerManager1", kManager, "RegisterHandler",
                    "('" + subtype + "', '" + desc + "')");
    }
    [[nodiscard]] std::string own_and_register(const std::string& subtype) const {
        return own_name(std::string(kManager) + "." + subtype) == 1 ? register_handler(subtype)
                                                                    : "the name is taken";
    }
    /// Answers each CheckConfig that comes, on GLib's own thread.
    void answer_checks() const {
        const auto filter = [](GDBusConnection* connection, GDBusMessage* message,
                               gboolean incoming, gpointer) -> GDBusMessage* {
            const gchar* const member = g_dbus_message_get_member(message);
            if (incoming == FALSE || member == nullptr || std::string("CheckConfig") != member) {
                return message;
            }
            const gchar* config = nullptr;
            g_variant_get(g_dbus_message_get_body(message), "(&s)", &config);
            const std::string said =
                fmt::format("{} at {}", config, g_dbus_message_get_path(message));
            const ObjectPtr<GDBusMessage> reply(g_dbus_message_new_method_reply(message));
            g_dbus_message_set_body(reply.get(),
                                    g_variant_new("(bs)", said.contains("good"), said.c_str()));
            g_dbus_connection_send_message(connection, reply.get(), G_DBUS_SEND_MESSAGE_FLAGS_NONE,
                                           nullptr, nullptr);
            g_object_unref(message);
            return nullptr;
        };
        g_dbus_connection_add_filter(connection_.get(), filter, nullptr, nullptr);
    }

    void give_name_up() const { g_dbus_connection_close_sync(connection_.get(), nullptr, nullptr); }

  private:
    static std::string printed(GVariant* variant) {
        const CharPtr text(g_variant_print(variant, FALSE));
        return text.get();
    }
    ObjectPtr<GDBusConnection> connection_;
};

class DaemonTest : public testing::Test {
  protected:
    void configure(const std::string& text) const {
        std::ofstream(folder_ / "lunkitd.conf", std::ios::trunc)
            << "[daemon]\nrun_dir=" << folder_.path() << "\n"
            << text;
    }
    void declare(const std::string& name, const std::string& text) const {
        std::filesystem::create_directory(folder_ / "devices.d");
        std::ofstream(folder_ / ("devices.d/" + name), std::ios::trunc) << text;
    }
    std::unique_ptr<ChildProcess> spawn(std::vector<std::string> environment = {}) const {
        if (!std::ifstream(folder_ / "lunkitd.conf")) {
            configure("");
        }
        environment.push_back(bus_.variable());
        return std::make_unique<ChildProcess>(
            std::vector<std::string>{FAKE_LUNKITD, "--foreground", "--config",
                                     folder_ / "lunkitd.conf"},
            std::move(environment));
    }
    std::unique_ptr<ChildProcess> start(std::vector<std::string> environment = {}) const {
        auto daemon = spawn(std::move(environment));
        EXPECT_TRUE(daemon->wait_notify("READY=1")) << daemon->printed();
        return daemon;
    }
    static void stop(ChildProcess& daemon) {
        daemon.signal(SIGTERM);
        EXPECT_EQ(kExitOk, daemon.wait_exit()) << daemon.printed();
    }

    TemporaryFolder folder_;
    PrivateBus bus_;
};

TEST_F(DaemonTest, ObjectManagerHasOneObjectForEachHandlerAndNothingElse) {
    const auto daemon = start();
    const std::string objects =
        Client(bus_).call(kTcmuPath, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects");
    const auto object = [](const std::string& name, const std::string& help) {
        return fmt::format(
            "'/org/kernel/TCMUService1/{}': {{'org.kernel.TCMUService1': {{'ConfigDesc': "
            "<'{}'>}}}}",
            name, help);
    };
    const std::string file = object("file", "<path>[;direct=on|off]");
    const std::string ram = object("ram", "<name>");
    const std::string stuck = object("stuck", "");
    EXPECT_THAT(objects, AllOf(HasSubstr(file), HasSubstr(ram), HasSubstr(stuck)));
    // "({", two times ", ", and "},)" are all else that there is.
    EXPECT_EQ(objects.size(), file.size() + ram.size() + stuck.size() + 2 + 2 * 2 + 3);
    EXPECT_TRUE(daemon->wait_output("'da-sh' is not shown to targetcli"));
    stop(*daemon);
}

TEST_F(DaemonTest, CheckConfigSaysWhatIsWrong) {
    const auto daemon = start();
    const Client client(bus_);
    EXPECT_EQ(client.check("file//here"), "(true, '')");
    EXPECT_EQ(client.check("file//missing"), "(false, '/missing: No such file or directory')");
    EXPECT_EQ(client.check("file//x,y"),
              "(false, \"a ',' ends the value in the kernel's control file; use another name\")");
    EXPECT_EQ(client.call("/org/kernel/TCMUService1/file", kBusName, "CheckConfig", "('ram/x',)"),
              "(false, \"'ram/x' does not begin with 'file/'\")");
    stop(*daemon);
}

TEST_F(DaemonTest, MessageThatIsNotUtf8StillArrives) {
    const auto daemon = start();
    EXPECT_EQ(Client(bus_).check("file//x;bad=1"), "(false, \"unknown key 'bad'\uFFFD\")");
    stop(*daemon);
}

TEST_F(DaemonTest, StuckCheckDelaysNoOtherAnswer) {
    const auto daemon = start();
    const Client client(bus_);
    std::string stuck;
    for (int i = 0; i < 10; ++i) {
        client.begin_check("stuck/x", stuck);
    }
    EXPECT_EQ(client.check("file//here"), "(true, '')");
    EXPECT_THAT(client.manage("ListDevices"), HasSubstr("disk1"));
    EXPECT_EQ(stuck, "");
    // It does not hold up the end either.
    stop(*daemon);
}

TEST_F(DaemonTest, StuckCheckIsAnsweredWhenItsTimeIsUp) {
    const auto daemon = start({"FAKE_CHECK_LIMIT_MS=20"});
    EXPECT_EQ(Client(bus_).check("stuck/x"),
              "(false, \"check timed out: handler 'stuck' has not answered within 20 ms; its "
              "storage may hang\")");
    stop(*daemon);
}

TEST_F(DaemonTest, StrangersLearnNothingAboutFilesAndManageNothing) {
    const auto daemon = start({fmt::format("FAKE_TRUSTED_UID={}", ::geteuid() + 1)});
    const Client client(bus_);
    EXPECT_EQ(client.check("file//missing"), "(true, '')");
    EXPECT_THAT(client.manage("ListDevices"), HasSubstr("only root may manage lunkitd"));
    EXPECT_THAT(client.manage("ListHandlers"), HasSubstr("only root may manage lunkitd"));
    EXPECT_THAT(client.own_and_register("tape"), HasSubstr("only root may register a handler"));
    EXPECT_THAT(client.manage("CheckConfig", "('ram/x',)"),
                HasSubstr("only root may manage lunkitd"));
    EXPECT_THAT(client.manage("Reload"), HasSubstr("only root may manage lunkitd"));
    EXPECT_THAT(client.manage("AddDevice", "('ublk', 'ram/x', @a{sv} {})"),
                HasSubstr("only root may manage lunkitd"));
    EXPECT_THAT(client.manage("RemoveDevice", "('ublk', 'x', false)"),
                HasSubstr("only root may manage lunkitd"));
    stop(*daemon);
}

TEST_F(DaemonTest, DevicesAreMadeWithTheOptionsThatAreKnown) {
    const auto daemon = start();
    const Client client(bus_);
    const auto add = [&](const std::string& front_end, const std::string& options) {
        return client.manage("AddDevice",
                             "('" + front_end + "', 'ram/x', @a{sv} {" + options + "})");
    };
    EXPECT_EQ(add("ublk", ""), "('/dev/0-0-512-rw-1',)");
    EXPECT_EQ(add("ublk",
                  "'number': <uint32 3>, 'size': <uint64 4096>, 'block_size': "
                  "<uint32 4096>, 'read_only': <true>, 'queues': <uint32 2>"),
              "('/dev/3-4096-4096-ro-2',)");
    EXPECT_THAT(add("ublk", "'size': <'big'>"), HasSubstr("'size' is no option"));
    EXPECT_THAT(add("ublk", "'size': <uint64 9223372036854775808>"),
                HasSubstr("9223372036854775808 bytes are more than a device can have"));
    EXPECT_THAT(client.manage("ResizeDevice", "('ublk', 'x', uint64 9223372036854775808, true)"),
                HasSubstr("9223372036854775808 bytes are more than a device can have"));
    EXPECT_THAT(add("ublk", "'colour': <'red'>"), HasSubstr("'colour' is no option"));
    EXPECT_EQ(add("dm-user",
                  "'name': <'t'>, 'start': <uint64 8>, 'channels': <uint32 2>, 'size': "
                  "<uint64 4096>"),
              "('/dev/dm-user/t-4096-8-2-rw',)");
    EXPECT_THAT(add("dm-user", "'number': <uint32 3>"), HasSubstr("'number' is no option"));
    EXPECT_THAT(add("ublk", "'name': <'t'>"), HasSubstr("'name' is no option"));
    EXPECT_THAT(add("tape", ""), HasSubstr("does not serve 'tape'"));
    EXPECT_EQ(client.manage("RemoveDevice", "('ublk', 'x', false)"), "()");
    EXPECT_THAT(client.manage("RemoveDevice", "('tape', 'x', false)"),
                HasSubstr("does not serve 'tape'"));
    stop(*daemon);
}

TEST_F(DaemonTest, ChangeMediumIsRefusedWithAReason) {
    const auto daemon = start();
    const Client client(bus_);
    const auto change = [&](const std::string& config) {
        return client.call("/org/kernel/TCMUService1/file", kBusName, "ChangeMedium",
                           "('disk1', uint64 4096, '" + config + "')");
    };
    EXPECT_THAT(change("file//here"), HasSubstr(fmt::format("({}, 'changing", EOPNOTSUPP)));
    EXPECT_EQ(change("file//missing"),
              fmt::format("({}, '/missing: No such file or directory')", ENOENT));
    stop(*daemon);
}

std::string managed_objects(const Client& client) {
    return client.call(kTcmuPath, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects");
}

TEST_F(DaemonTest, HandlerOfAnotherProgramIsShownAndAskedUntilItLeaves) {
    const auto daemon = start();
    const Client client(bus_);
    auto program = std::make_unique<Client>(bus_);
    program->answer_checks();
    EXPECT_EQ(program->own_and_register("tape"), "(true, 'registered')");
    EXPECT_THAT(managed_objects(client),
                AllOf(HasSubstr("'/org/kernel/TCMUService1/tape': {'org.kernel.TCMUService1': "
                                "{'ConfigDesc': <'<a tape>'>}}"),
                      Not(HasSubstr("HandlerManager1"))));
    EXPECT_EQ(client.check("tape/good"), "(true, '')");
    EXPECT_EQ(client.check("tape/bad"),
              "(false, 'tape/bad at /org/kernel/TCMUService1/HandlerManager1/tape')");
    EXPECT_THAT(client.check("tape/x,y"), HasSubstr("a ',' ends the value"));
    EXPECT_EQ(client.check("file//here"), "(true, '')");
    program->give_name_up();
    EXPECT_TRUE(daemon->wait_output("handler 'tape' is gone: nobody owns "));
    EXPECT_THAT(managed_objects(client), Not(HasSubstr("tape")));
    program = std::make_unique<Client>(bus_);
    EXPECT_EQ(program->own_and_register("tape"), "(true, 'registered')");
    stop(*daemon);
}

TEST_F(DaemonTest, HandlerThatDoesNotAnswerIsSaidNotTo) {
    const auto daemon = start({"FAKE_CHECK_LIMIT_MS=20"});
    const Client program(bus_);
    EXPECT_EQ(program.own_and_register("tape"), "(true, 'registered')");
    EXPECT_THAT(Client(bus_).check("tape/x"),
                HasSubstr("(false, \"the program that serves 'tape' does not say: "));
    stop(*daemon);
}

TEST_F(DaemonTest, HandlerIsRegisteredOnlyByWhoServesItAndUnderANameOfItsOwn) {
    const auto daemon = start();
    const Client program(bus_);
    const Client another(bus_);
    EXPECT_EQ(program.register_handler("tape"),
              "(false, 'nobody owns org.kernel.TCMUService1.HandlerManager1.tape')");
    EXPECT_EQ(program.own_and_register("tape"), "(true, 'registered')");
    EXPECT_EQ(program.register_handler("tape"), "(false, \"'tape' is registered already\")");
    ASSERT_EQ(1U, another.own_name(std::string(Client::kManager) + ".disc"));
    EXPECT_THAT(program.register_handler("disc"), HasSubstr("(false, 'another program owns "));
    EXPECT_EQ(program.register_handler("file"), "(false, \"lunkitd itself serves 'file'\")");
    for (const std::string name : {"", "a/b", "a-b", "9", "a.b", "HandlerManager1"}) {
        EXPECT_THAT(program.register_handler(name), HasSubstr("is no subtype")) << name;
    }
    EXPECT_THAT(program.register_handler(std::string(65, 'a')), HasSubstr("is no subtype"));
    EXPECT_THAT(program.register_handler("long", std::string(4097, 'a')), HasSubstr("4097 bytes"));
    stop(*daemon);
}

TEST_F(DaemonTest, HandlersOfOtherProgramsAreLimited) {
    const auto daemon = start();
    const Client program(bus_);
    for (int i = 0; i < 64; ++i) {
        ASSERT_EQ(program.own_and_register(fmt::format("tape{}", i)), "(true, 'registered')");
    }
    EXPECT_THAT(program.own_and_register("tape64"), HasSubstr("(false, '64 handlers are"));
    stop(*daemon);
}

TEST_F(DaemonTest, TargetclisOwnCallsWork) {
    if (ChildProcess({"/usr/bin/python3", "-c", "from gi.repository import Gio"}).wait_exit() !=
        0) {
        GTEST_SKIP() << "python3-gi is not installed";
    }
    const auto daemon = start();
    ChildProcess targetcli({"/usr/bin/python3", TARGETCLI_CLIENT, "file"}, {bus_.variable()});
    EXPECT_EQ(0, targetcli.wait_exit());
    EXPECT_EQ(targetcli.printed(),
              "backstore user:file '<path>[;direct=on|off]'\n"
              "check (False, '/missing: No such file or directory')\n"
              "change (95, 'changing the medium of a device is not supported; delete the device "
              "and create another')\n"
              "backstore user:ram '<name>'\n"
              "backstore user:stuck ''\n");
    stop(*daemon);
}

TEST_F(DaemonTest, ManagementListsDevicesAndHandlers) {
    const auto daemon = start();
    const Client client(bus_);
    const std::string devices = client.manage("ListDevices");
    EXPECT_THAT(devices, HasSubstr("'name': <'user_0/disk1'>"));
    EXPECT_THAT(devices, HasSubstr("'state': <'running'>"));
    EXPECT_THAT(devices, HasSubstr("'size': <uint64 1073741824>"));
    EXPECT_THAT(devices, HasSubstr("'state': <'failed'>"));
    EXPECT_THAT(client.manage("ListHandlers"), HasSubstr("'path': <'/h/handler_da-sh.so'>"));
    EXPECT_EQ(client.manage("CheckConfig", "('ram/x',)"), "(true, '')");
    EXPECT_EQ(client.call(kManagerPath, "org.freedesktop.DBus.Properties", "Get",
                          "('org.lunkit.Manager1', 'Version')"),
              "(<'" LUNKIT_VERSION "'>,)");
    stop(*daemon);
}

TEST_F(DaemonTest, ReloadAppliesWhatMayChangeAndNamesTheRest) {
    const auto daemon = start();
    configure("log_level=debug\n[queues]\nqueues=9\n");
    EXPECT_EQ(Client(bus_).manage("Reload"), "([\"[queues] queues: '0' -> '9'\"],)");
    EXPECT_TRUE(daemon->wait_output("fake: goes on with new settings"));
    EXPECT_TRUE(daemon->wait_output("reload: [daemon] log_level: 'info' -> 'debug'"));
    stop(*daemon);
}

TEST_F(DaemonTest, ReloadOfABrokenFileKeepsTheOldSettingsAndSaysWhere) {
    const auto daemon = start();
    configure("log_level=debug\nbroken\n");
    EXPECT_THAT(Client(bus_).manage("Reload"), HasSubstr("lunkitd.conf:4: 'broken' is neither"));
    EXPECT_TRUE(daemon->wait_output("reload: nothing was changed"));
    configure("");
    EXPECT_EQ(Client(bus_).manage("Reload"), "([],)");
    EXPECT_TRUE(daemon->wait_output("reload: no setting has changed"));
    stop(*daemon);
}

// Two were read side by side, and the one that took longer won with what it had read before.
TEST_F(DaemonTest, OfTwoReloadsTheLaterOneCounts) {
    const auto daemon = start();
    const Client client(bus_);
    configure("log_level=debug\nallowed_dirs=/slow\n");
    const auto reload = [&client] { return client.manage("Reload"); };
    std::future<std::string> first = std::async(std::launch::async, reload);
    EXPECT_TRUE(daemon->wait_output("fake: looks for /slow"));
    configure("log_level=error\n");
    std::future<std::string> second = std::async(std::launch::async, reload);
    EXPECT_NE(second.wait_for(std::chrono::milliseconds(50)), std::future_status::ready);
    std::ofstream(folder_ / "go") << "on";
    EXPECT_THAT(first.get(), HasSubstr("'' -> '/slow'"));
    EXPECT_EQ(second.get(), "([],)");
    EXPECT_EQ(client.manage("ListLogLevels"), "('error', {})");
    stop(*daemon);
}

TEST_F(DaemonTest, ReloadSaysWhatNoDaemonCouldStartWith) {
    const auto daemon = start();
    configure("log_level=debug\nhandler_dir=/nowhere\n");
    EXPECT_THAT(Client(bus_).manage("Reload"), HasSubstr("/nowhere: No such file or directory"));
    EXPECT_TRUE(daemon->wait_output("reload: nothing was changed"));
    configure("log_level=debug\nallowed_dirs=/nowhere\n");
    EXPECT_EQ(Client(bus_).manage("Reload"), "([\"[daemon] allowed_dirs: '' -> '/nowhere'\"],)");
    EXPECT_TRUE(daemon->wait_output("warning: allowed_dirs: /nowhere is not there"));
    stop(*daemon);
}

TEST_F(DaemonTest, DeclaredDevicesComeWithTheDaemonAndNewOnesWithAReload) {
    declare("10.conf", "[ublk]\nconfig=file//missing\nnumber=1\n");
    declare("20.conf", "[ublk]\nconfig=ram/a\nnumber=x\n");
    declare("30.conf", "[ublk]\nconfig=ram/a\nnumber=3\nsize=1M\nread_only=yes\n");
    const auto daemon = start();
    EXPECT_TRUE(daemon->wait_output("20.conf:3: number: 'x' is not a number"));
    EXPECT_TRUE(daemon->wait_output("10.conf: /missing: No such file"));
    EXPECT_TRUE(daemon->wait_output("30.conf: /dev/3-1048576-512-ro-1"));
    declare("40.conf", "[ublk]\nconfig=ram/b\nnumber=4\n");
    EXPECT_THAT(Client(bus_).manage("Reload"), HasSubstr("20.conf:3: number"));
    EXPECT_TRUE(daemon->wait_output("reload: nothing was changed"));
    declare("20.conf", "");
    EXPECT_EQ(Client(bus_).manage("Reload"), "([],)");
    EXPECT_TRUE(daemon->wait_output("40.conf: /dev/4-0-512-rw-1"));
    const std::string log = daemon->printed();
    EXPECT_EQ(log.find("/dev/3-"), log.rfind("/dev/3-"));
    stop(*daemon);
}

TEST_F(DaemonTest, HangupReloadsAndTellsSystemd) {
    const auto daemon = start();
    configure("log_level=debug\n");
    daemon->signal(SIGHUP);
    EXPECT_TRUE(daemon->wait_notify("RELOADING=1"));
    EXPECT_TRUE(daemon->wait_output("log_level: 'info' -> 'debug'"));
    stop(*daemon);
    EXPECT_THAT(daemon->notified(), HasSubstr("RELOADING=1"));
}

TEST_F(DaemonTest, SystemdHearsOfReadyWatchdogAndStop) {
    const auto daemon = start({"WATCHDOG_USEC=20000"});
    EXPECT_TRUE(daemon->wait_notify("STATUS=serving 3 devices, 2 failed"));
    EXPECT_TRUE(daemon->wait_notify("WATCHDOG=1"));
    daemon->signal(SIGINT);
    EXPECT_TRUE(daemon->wait_notify("STOPPING=1"));
    EXPECT_EQ(kExitOk, daemon->wait_exit());
}

TEST_F(DaemonTest, WhatOthersMayNeedStopsAfterThem) {
    const auto daemon = start({"FAKE_LAST=yes"});
    stop(*daemon);
    const std::string log = daemon->printed();
    EXPECT_THAT(log, HasSubstr("fake: dm-log stops"));
    EXPECT_LT(log.find("fake: ublk stops"), log.find("fake: dm-log stops"));
    configure("[tcmu]\ndrain_timeout_ms=0\n");
    const auto stuck = start({"FAKE_LAST=yes", "FAKE_STOP=never", "FAKE_STOP_GRACE_MS=10"});
    stuck->signal(SIGTERM);
    EXPECT_EQ(kExitFailure, stuck->wait_exit());
    EXPECT_THAT(stuck->printed(), Not(HasSubstr("fake: dm-log stops")));
}

TEST_F(DaemonTest, StopIsBounded) {
    configure("[tcmu]\ndrain_timeout_ms=0\n");
    const auto daemon = start({"FAKE_STOP=never", "FAKE_STOP_GRACE_MS=10"});
    daemon->signal(SIGTERM);
    EXPECT_EQ(kExitFailure, daemon->wait_exit());
    EXPECT_THAT(daemon->printed(), HasSubstr("have not stopped in time"));
}

// What becomes of the rest differs from front end to front end: BUSY is a word of SCSI.
TEST_F(DaemonTest, StopThatLeavesSomethingRunningIsAFailure) {
    const auto daemon = start({"FAKE_STOP=unclean"});
    daemon->signal(SIGTERM);
    EXPECT_EQ(kExitFailure, daemon->wait_exit());
    EXPECT_THAT(daemon->printed(), HasSubstr("something still runs"));
    EXPECT_THAT(daemon->printed(), Not(HasSubstr("BUSY")));
}

TEST_F(DaemonTest, DaemonThatStopsSaysSoToWhoWantsADevice) {
    configure("[tcmu]\ndrain_timeout_ms=0\n");
    const auto daemon = start({"FAKE_STOP=never", "FAKE_STOP_GRACE_MS=2000"});
    const Client client(bus_);
    daemon->signal(SIGTERM);
    EXPECT_TRUE(daemon->wait_notify("STOPPING=1"));
    EXPECT_THAT(client.manage("AddDevice", "('ublk', 'ram/x', @a{sv} {})"),
                HasSubstr("the daemon stops"));
    EXPECT_THAT(client.manage("RemoveDevice", "('ublk', 'x', false)"),
                HasSubstr("the daemon stops"));
    EXPECT_EQ(kExitFailure, daemon->wait_exit());
}

TEST_F(DaemonTest, KernelWithoutAnyFrontEndIsSaidSoToSystemd) {
    const auto daemon = spawn({"FAKE_START=fails"});
    EXPECT_EQ(kExitUnavailable, daemon->wait_exit());
    EXPECT_THAT(daemon->printed(), HasSubstr("ublk: this kernel has no TCMU"));
    EXPECT_THAT(daemon->printed(), HasSubstr("no front end could be started"));
}

TEST_F(DaemonTest, FrontEndThatMayComeAtTheNextTryIsAFailure) {
    const auto daemon = spawn({"FAKE_START=stumbles"});
    EXPECT_EQ(kExitFailure, daemon->wait_exit());
    EXPECT_THAT(daemon->printed(), HasSubstr("dm-log: out of memory, giving up"));
}

TEST_F(DaemonTest, FrontEndWhosePartOfTheKernelComesLaterServesThen) {
    const auto daemon = start({"FAKE_START=later"});
    EXPECT_TRUE(daemon->wait_output("info: dm-user: this kernel has no dm-user yet"));
    EXPECT_THAT(
        Client(bus_).manage("AddDevice",
                            "('dm-user', 'ram/x', {'name': <'disk'>, 'channels': <uint32 2>})"),
        HasSubstr("/dev/dm-user/disk-0-0-2-rw"));
    stop(*daemon);
    EXPECT_THAT(daemon->printed(), HasSubstr("fake: dm-user stops"));
}

TEST_F(DaemonTest, SecondInstanceIsRefused) {
    const auto first = start();
    const auto second = spawn();
    EXPECT_EQ(kExitFailure, second->wait_exit());
    EXPECT_THAT(second->printed(),
                HasSubstr(fmt::format("another lunkitd (process {}) is running", first->pid())));
    stop(*first);
}

TEST_F(DaemonTest, AnotherOwnerOfTheNameIsRefusedByItsName) {
    const Client tcmu_runner(bus_);
    ASSERT_EQ(1U, tcmu_runner.own_name());
    const auto daemon = spawn({"FAKE_BUS_RETRY_MS=10"});
    EXPECT_EQ(kExitUnavailable, daemon->wait_exit());
    EXPECT_THAT(daemon->printed(),
                HasSubstr(fmt::format("process {} (control_daemon_) already serves TCMU: it owns "
                                      "org.kernel.TCMUService1",
                                      ::getpid())));
}

// The bus may hear of a predecessor's end later than systemd does.
TEST_F(DaemonTest, OwnerOfTheNameThatGoesIsWaitedFor) {
    auto predecessor = std::make_unique<Client>(bus_);
    ASSERT_EQ(1U, predecessor->own_name());
    const auto daemon = spawn({"FAKE_BUS_RETRY_MS=500"});
    EXPECT_TRUE(
        daemon->wait_output("already serves TCMU: it owns org.kernel.TCMUService1; "
                            "looking once more"));
    predecessor->give_name_up();
    EXPECT_TRUE(daemon->wait_notify("READY=1")) << daemon->printed();
    stop(*daemon);
}

TEST_F(DaemonTest, WithoutABusItServesAndTakesTheNameWhenOneComes) {
    bus_.stop();
    const auto daemon = start({"FAKE_BUS_RETRY_MS=10"});
    EXPECT_TRUE(daemon->wait_output("targetcli and lunkit do not find the daemon"));
    bus_.start();
    EXPECT_TRUE(daemon->wait_output("is ours again"));
    EXPECT_EQ(Client(bus_).check("file//here"), "(true, '')");
    stop(*daemon);
}

TEST_F(DaemonTest, BusThatRestartsIsFoundAgain) {
    const auto daemon = start({"FAKE_BUS_RETRY_MS=10"});
    for (int round = 0; round < 2; ++round) {
        bus_.stop();
        EXPECT_TRUE(daemon->wait_output("the connection was lost; serving goes on"));
        bus_.start();
        EXPECT_TRUE(daemon->wait_output("is ours again"));
        EXPECT_EQ(Client(bus_).check("file//here"), "(true, '')");
    }
    stop(*daemon);
}

}  // namespace
}  // namespace lunkit::control

// SPDX-License-Identifier: Apache-2.0
// What doctor finds on machines made of a few files.
#include "cli/doctor.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "support/child_process.hpp"

namespace lunkit::cli {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::Field;
using testing::HasSubstr;
using testing::Not;
using Kind = Finding::Kind;

auto trouble(const std::string& what, const std::string& cure) {
    return Contains(AllOf(Field(&Finding::kind, Kind::kTrouble),
                          Field(&Finding::what, HasSubstr(what)),
                          Field(&Finding::cure, HasSubstr(cure))));
}
auto note(const std::string& what) {
    return Contains(
        AllOf(Field(&Finding::kind, Kind::kNote), Field(&Finding::what, HasSubstr(what))));
}

/// A machine on which all is well, with one device that is served.
class DoctorTest : public testing::Test {
  protected:
    DoctorTest() {
        patient.root = folder.path();
        patient.find_module = [](const std::string&) { return Status(); };
        patient.own_version = "1.0";
        patient.daemon =
            Patient::Daemon{.version = "1.0", .devices = {"user_0/disk"}, .handlers = {"ram"}};
        put("/proc/sys/kernel/osrelease", "6.12.1");
        put("/proc/sys/kernel/io_uring_disabled", "0");
        put("/proc/1/comm", "systemd");
        put("/proc/1/wchan", "ep_poll");
        put("/sys/module/target_core_user/parameters/block_netlink", "unblocked");
        put("/sys/kernel/config/target/core/user_0/disk/enable", "1");
        put("/sys/kernel/config/target/core/user_0/disk/action/block_dev", "unblocked");
        put("/sys/kernel/config/target/core/fileio_0/other/enable", "1");
        put("/usr/share/dbus-1/system.d/org.lunkit.conf", "<busconfig/>");
        put("/usr/share/dbus-1/system-services/org.kernel.TCMUService1.service",
            "[D-BUS Service]\nExec=/usr/sbin/lunkitd\n");
        put("/sys/class/uio/uio0/name", "tcm-user/0/disk/ram/x");
        put("/run/lunkit/tcmu/uio0.inflight", "");
    }
    void put(const std::string& path, const std::string& text) {
        const std::filesystem::path file(patient.root + path);
        std::filesystem::create_directories(file.parent_path());
        std::ofstream(file) << text << '\n';
    }
    void remove(const std::string& path) { std::filesystem::remove_all(patient.root + path); }
    [[nodiscard]] std::vector<Finding> found() const { return examine(patient); }

    test::TemporaryFolder folder;
    Patient patient;
};

TEST_F(DoctorTest, WhereAllIsWellNothingIsToBeCured) {
    for (const Finding& finding : found()) {
        EXPECT_EQ(finding.kind, Kind::kFine) << finding.what;
        EXPECT_EQ(finding.cure, "");
    }
    EXPECT_FALSE(has_trouble(found()));
}

TEST_F(DoctorTest, KernelWithoutTheModule) {
    patient.find_module = [](const std::string&) -> Status {
        return failure(ENOENT, "there is no such module");
    };
    EXPECT_THAT(found(),
                trouble("kernel 6.12.1 has no module target_core_user", "CONFIG_TCM_USER2"));
    EXPECT_THAT(found(), note("no ublk"));
    EXPECT_TRUE(has_trouble(found()));
}

TEST_F(DoctorTest, ModuleThatIsNotLoadedIsNoTrouble) {
    remove("/sys/module/target_core_user");
    EXPECT_THAT(found(), note("target_core_user is not loaded"));
    EXPECT_FALSE(has_trouble(found()));
}

TEST_F(DoctorTest, NoConfigfs) {
    remove("/sys/kernel/config/target");
    EXPECT_THAT(found(), trouble("no configfs", "mount -t configfs"));
}

TEST_F(DoctorTest, NoDaemonOrOneOfAnotherVersion) {
    patient.daemon->version = "0.9";
    EXPECT_THAT(found(), trouble("lunkitd is of version 0.9", "restart lunkitd"));
    patient.daemon = failure(ETIMEDOUT, "no answer in time");
    EXPECT_THAT(found(), trouble("lunkitd does not answer: no answer", "restart lunkitd"));
    patient.daemon = failure(EACCES, "only root");
    EXPECT_THAT(found(), trouble("only root", "as root"));
    patient.daemon = failure(ENOTCONN, "it does not run");
    EXPECT_THAT(found(), trouble("lunkitd does not answer", "start lunkitd"));
    EXPECT_THAT(found(), Not(trouble("does not serve", ""))) << "there is nobody to serve it";
}

TEST_F(DoctorTest, AnotherRunner) {
    put("/proc/815/comm", "tcmu-runner");
    EXPECT_THAT(found(), trouble("tcmu-runner runs (process 815)", "disable --now tcmu-runner"));
}

TEST_F(DoctorTest, FilesForDbus) {
    remove("/usr/share/dbus-1/system.d/org.lunkit.conf");
    EXPECT_THAT(found(), trouble("D-Bus has no policy", "org.lunkit.conf"));
    put("/etc/dbus-1/system.d/org.lunkit.conf", "<busconfig/>");
    EXPECT_FALSE(has_trouble(found()));
    put("/usr/share/dbus-1/system-services/org.kernel.TCMUService1.service",
        "[D-BUS Service]\nExec=/usr/bin/tcmu-runner\n");
    EXPECT_THAT(found(), trouble("another program is started", "TCMUService1.service"));
    remove("/usr/share/dbus-1/system-services");
    EXPECT_THAT(found(), note("targetcli does not start lunkitd"));
}

TEST_F(DoctorTest, BlockedNetlinkAndDevice) {
    put("/sys/module/target_core_user/parameters/block_netlink", "blocked");
    put("/sys/kernel/config/target/core/user_0/disk/action/block_dev", "blocked");
    EXPECT_THAT(found(), trouble("block_netlink", "echo 0"));
    EXPECT_THAT(found(), trouble("user_0/disk is blocked", "echo 0"));
}

TEST_F(DoctorTest, DeviceThatIsNotServed) {
    put("/sys/kernel/config/target/core/user_1/lost/enable", "1");
    put("/sys/kernel/config/target/core/user_1/lost/info", "Status: x Config: ram/x Size: 1");
    put("/sys/kernel/config/target/core/user_1/off/enable", "0");
    put("/sys/kernel/config/target/core/user_1/others/enable", "1");
    put("/sys/kernel/config/target/core/user_1/others/info", "Status: x Config: rbd/x Size: 1");
    EXPECT_THAT(found(), trouble("user_1/lost is there, and lunkitd does not serve it", "log"));
    EXPECT_THAT(found(), note("user_1/others is for a handler 'rbd'"));
    EXPECT_THAT(found(), Not(trouble("user_1/off", "")));
    put("/proc/42/wchan", "tcmu_wait_genl_cmd_reply");
    EXPECT_THAT(found(), Not(trouble("user_1/lost", ""))) << "configfs may hold us, too";
    EXPECT_THAT(found(), Not(trouble("fileio", "")));
}

TEST_F(DoctorTest, StuckProcess) {
    put("/proc/42/comm", "targetcli\x1b[2J");
    put("/proc/42/wchan", "tcmu_wait_genl_cmd_reply");
    EXPECT_THAT(found(), trouble("process 42 (targetcli?[2J) waits in the kernel "
                                 "(tcmu_wait_genl_cmd_reply)",
                                 "reset_netlink"));
    patient.daemon = failure(ENOTCONN, "it does not run");
    EXPECT_THAT(found(), trouble("process 42", "systemctl start lunkitd"));
}

TEST_F(DoctorTest, WhatADeviceLeftBehind) {
    put("/run/lunkit/tcmu/uio7.inflight", "");
    EXPECT_THAT(found(), note("uio7.inflight is of a device that is no more"));
    EXPECT_THAT(found(), Not(note("uio0.inflight")));
}

TEST_F(DoctorTest, IoUringForbidden) {
    put("/proc/sys/kernel/io_uring_disabled", "2");
    EXPECT_THAT(found(), note("io_uring is disabled"));
}

TEST_F(DoctorTest, ReportNamesTheCureBelowTheTrouble) {
    const std::vector<Finding> findings{{Kind::kFine, "good", ""},
                                        {Kind::kTrouble, "bad", "do this"}};
    EXPECT_EQ(findings_report(findings),
              "ok       good\n"
              "TROUBLE  bad\n"
              "         -> do this\n");
    EXPECT_EQ(findings_json(findings)[1],
              nlohmann::json({{"kind", "trouble"}, {"what", "bad"}, {"cure", "do this"}}));
}

TEST_F(DoctorTest, ReportHasNoControlCharacters) {
    EXPECT_EQ(findings_report({{Kind::kTrouble, "bad\x1b[2J", "rm 'a\x1b[2J'"}}),
              "TROUBLE  bad?[2J\n"
              "         -> rm 'a?[2J'\n");
}

}  // namespace
}  // namespace lunkit::cli

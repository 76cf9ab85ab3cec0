// SPDX-License-Identifier: Apache-2.0
#include "cli/migrate.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <fstream>
#include <string>

#include "support/child_process.hpp"

namespace lunkit::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class MigrateTest : public testing::Test {
  protected:
    MigrateTest() {
        predecessor_.tcmu_conf = folder_ / "tcmu.conf";
        predecessor_.saveconfigs = {folder_ / "none.json", folder_ / "saveconfig.json"};
        predecessor_.has_handler = [](const std::string& config) {
            return config.starts_with("file/");
        };
        predecessor_.check = [](const std::string& config) -> Status {
            if (config == "file//busy") {
                return failure(EBUSY, "/busy is in use by another process");
            }
            return config == "file//gone" ? failure(ENOENT, "/gone: No such file or directory")
                                          : Status();
        };
    }
    void write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }
    [[nodiscard]] std::string report() const { return findings_report(compare(predecessor_)); }

    test::TemporaryFolder folder_;
    Predecessor predecessor_;
};

TEST_F(MigrateTest, MachineWithoutAnythingIsFine) {
    EXPECT_EQ(report(), "ok       no " + predecessor_.tcmu_conf +
                            ": there were no settings\n"
                            "ok       no targets are saved\n");
}

TEST_F(MigrateTest, SettingsAreNamedAsLunkitHasThem) {
    write(predecessor_.tcmu_conf,
          "# log_level = 5\n\n  log_level = 4  # noisy\nlog_dir_path = \"/srv/log\"\nodd = 1\n"
          "nonsense\n");
    EXPECT_THAT(report(), AllOf(HasSubstr("log_level 4\n         -> in lunkitd.conf, group "
                                          "[daemon]: log_level=debug\n"),
                                HasSubstr("log files are kept in /srv/log\n"),
                                HasSubstr("note     " + predecessor_.tcmu_conf +
                                          ": 'odd' has no counterpart\n"),
                                HasSubstr("'nonsense' is no setting\n")));
    EXPECT_FALSE(has_trouble(compare(predecessor_)));
    write(predecessor_.tcmu_conf, "log_level = 3\n");
    EXPECT_THAT(report(), HasSubstr("ok       " + predecessor_.tcmu_conf + ": log_level 3"));
    write(predecessor_.tcmu_conf, "log_level = lots\n");
    EXPECT_THAT(report(), HasSubstr("'lots' is no level"));
    write(predecessor_.tcmu_conf, "# log_level = 3\n");
    EXPECT_THAT(report(), HasSubstr("changes nothing"));
}

TEST_F(MigrateTest, EachDeviceIsJudged) {
    write(predecessor_.saveconfigs[1], R"({"storage_objects": [
        {"plugin": "user", "name": "a", "config": "file//srv/a"},
        {"plugin": "user", "name": "b", "config": "file//gone"},
        {"plugin": "user", "name": "c", "config": "rbd/pool/c"},
        {"plugin": "user", "name": "d", "config": "qcow//d"},
        {"plugin": "user", "name": "e"},
        {"plugin": "user", "name": "g", "config": "file//busy"},
        {"plugin": "block", "name": "f", "dev": "/dev/sdb"}, 7]})");
    EXPECT_THAT(
        report(),
        AllOf(HasSubstr("ok       user:a (file//srv/a) is restored unchanged\n"),
              HasSubstr("ok       user:g (file//busy) is in use"),
              HasSubstr("TROUBLE  user:b (file//gone): /gone: No such file or directory\n"),
              HasSubstr("TROUBLE  user:c (rbd/pool/c): there is no handler 'rbd' here\n"),
              HasSubstr("no handler 'qcow' here\n         -> install lunkit-handlers-qcow\n"),
              HasSubstr("6 of 8 storage objects are in user space")));
    EXPECT_TRUE(has_trouble(compare(predecessor_)));
}

TEST_F(MigrateTest, FileThatIsNoneOfTargetclisIsTrouble) {
    for (const char* text : {"", "{", "[]", "{}", R"({"storage_objects": 7})"}) {
        write(predecessor_.saveconfigs[1], text);
        EXPECT_THAT(report(), HasSubstr("is not what targetcli has saved")) << text;
    }
}

}  // namespace
}  // namespace lunkit::cli

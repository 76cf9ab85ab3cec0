// SPDX-License-Identifier: Apache-2.0
#include "cli/reports.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace lunkit::cli {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::SizeIs;

json devices() {
    return json::parse(R"([
        {"front_end": "tcmu", "name": "user_0/a", "state": "running", "size": 1048576,
         "block_size": 4096, "config": "ram/a", "node": "/dev/uio0", "write_cache": true},
        {"front_end": "tcmu", "name": "user_1/b", "state": "failed", "error": "gone",
         "read_only": true},
        {"front_end": "tcmu", "name": "user_2/b", "state": "running"}])");
}

TEST(FactsReport, OneLineEachAndNothingThatMovesTheCursor) {
    const Facts facts = {{"virtual_size", std::uint64_t{4096}},
                         {"dirty", true},
                         {"backing_file", "a\x1b[2Jb"},
                         {"snapshot_ids", std::vector<std::string>{"1", "2"}}};
    EXPECT_EQ(facts_report(facts),
              "virtual size: 4096\n"
              "dirty:        yes\n"
              "backing file: a?[2Jb\n"
              "snapshot ids: 1, 2\n");
    EXPECT_EQ(facts_json(facts), json::parse(R"({"virtual_size": 4096, "dirty": true,
        "backing_file": "a\u001b[2Jb", "snapshot_ids": ["1", "2"]})"));
}

TEST(DevicesReport, OneLineEach) {
    EXPECT_EQ(devices_report(devices()),
              "NAME      STATE     SIZE  BLOCK  ACCESS    NODE       CONFIG\n"
              "user_0/a  running  1 MiB   4096  rw,cache  /dev/uio0  ram/a\n"
              "user_1/b  failed     0 B      0  ro\n"
              "user_2/b  running    0 B      0  rw\n");
}

TEST(DevicesReport, SaysWhenThereAreNone) {
    EXPECT_EQ(devices_report(json::array()), "no devices\n");
}

TEST(DeviceReport, ShowsTheErrorOfAFailedDevice) {
    EXPECT_THAT(device_report(devices()[1]), HasSubstr("error:          gone\n"));
    EXPECT_THAT(device_report(devices()[0]), HasSubstr("size:           1 MiB (1048576 bytes)\n"));
}

TEST(Reports, ValueOfAnUnexpectedTypeIsNoReasonToFail) {
    const json odd = json::parse(R"([{"name": 7, "size": "big", "read_only": 1}])");
    EXPECT_THAT(devices_report(odd), HasSubstr("0 B"));
}

TEST(FindDevices, FullNameWinsOverLastPart) {
    json all = devices();
    all.push_back({{"name", "b"}});
    EXPECT_THAT(find_devices(all, "b"), SizeIs(1));
}

TEST(FindDevices, LastPartIsEnough) {
    EXPECT_THAT(find_devices(devices(), "a"), SizeIs(1));
    EXPECT_THAT(find_devices(devices(), "b"), SizeIs(2));
    EXPECT_THAT(find_devices(devices(), "_0/a"), SizeIs(0));
}

TEST(CountersOf, HasEveryCounterAndNoPath) {
    const json counters = counters_of(devices()[0]);
    EXPECT_EQ(counters.at("name"), "user_0/a");
    EXPECT_EQ(counters.at("read_commands"), 0);
    EXPECT_FALSE(counters.contains("config"));
    EXPECT_FALSE(counters.contains("node"));
}

}  // namespace
}  // namespace lunkit::cli

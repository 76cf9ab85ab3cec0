// SPDX-License-Identifier: Apache-2.0
#include "cli/openmetrics.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>

namespace lunkit::cli {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

json devices() {
    return json::parse(R"([
        {"front_end": "tcmu", "name": "user_0/a", "state": "running", "size": 1048576,
         "read_commands": 12, "read_bytes": 49152, "write_commands": 3, "in_flight": 2,
         "errors": 1},
        {"front_end": "dm-log", "name": "m", "state": "failed", "other_commands": 5, "regions": 16,
         "regions_in_sync": 9}])");
}

TEST(OpenMetrics, CountersAreTotalsByDeviceAndOperation) {
    EXPECT_THAT(
        openmetrics(devices()),
        AllOf(HasSubstr("# TYPE lunkit_commands counter\n# HELP lunkit_commands "),
              HasSubstr("\nlunkit_commands_total{front_end=\"tcmu\",device=\"user_0/a\","
                        "operation=\"read\"} 12\n"),
              HasSubstr("# TYPE lunkit_transferred_bytes counter\n"
                        "# UNIT lunkit_transferred_bytes bytes\n"),
              HasSubstr("lunkit_transferred_bytes_total{front_end=\"tcmu\",device=\"user_0/a\","
                        "operation=\"read\"} 49152\n"),
              HasSubstr("lunkit_in_flight_commands{front_end=\"tcmu\",device=\"user_0/a\"} 2\n"),
              HasSubstr("lunkit_errors_total{front_end=\"tcmu\",device=\"user_0/a\"} 1\n")));
}

TEST(OpenMetrics, DirtyLogsHaveRegionsAndNoData) {
    const std::string text = openmetrics(devices());
    EXPECT_THAT(text, HasSubstr("lunkit_regions_in_sync{front_end=\"dm-log\",device=\"m\"} 9\n"));
    EXPECT_THAT(text, Not(HasSubstr("lunkit_regions{front_end=\"tcmu\"")));
    EXPECT_THAT(text, Not(HasSubstr("lunkit_transferred_bytes_total{front_end=\"dm-log\"")));
}

TEST(OpenMetrics, EachStateIsASample) {
    EXPECT_THAT(openmetrics(devices()),
                AllOf(HasSubstr("lunkit_state{front_end=\"tcmu\",device=\"user_0/a\","
                                "state=\"running\"} 1\n"),
                      HasSubstr("lunkit_state{front_end=\"tcmu\",device=\"user_0/a\","
                                "state=\"failed\"} 0\n"),
                      HasSubstr("lunkit_state{front_end=\"dm-log\",device=\"m\","
                                "state=\"failed\"} 1\n")));
}

bool is_sample_of(const std::string& line, const std::string& family) {
    const std::string name = line.substr(0, line.find('{'));
    const std::set<std::string> known = {family, family + "_total", family + "_bucket",
                                         family + "_count", family + "_sum"};
    return known.contains(name);
}

// The format forbids samples of one family in two places.
TEST(OpenMetrics, FamiliesStandTogetherAndTheEndIsMarked) {
    json all = devices();
    all[0]["write_latency"] = {{"count", 0U}, {"sum_ns", 0U}, {"within", {0U}}};
    all[0]["error_counts"] = {{"BUSY", 1U}};
    std::istringstream in(openmetrics(all));
    std::set<std::string> described;
    std::string family;
    std::string last;
    for (std::string line; std::getline(in, line); last = line) {
        if (line.starts_with("# TYPE ")) {
            family = line.substr(7, line.find(' ', 7) - 7);
            EXPECT_TRUE(described.insert(family).second) << line;
        } else if (!line.starts_with("#")) {
            EXPECT_TRUE(is_sample_of(line, family)) << line;
        }
    }
    EXPECT_EQ(last, "# EOF");
}

TEST(OpenMetrics, NamesAreEscaped) {
    const json odd = json::parse(R"([{"front_end": "tcmu", "name": "a\"b\\c\nd"}])");
    EXPECT_THAT(openmetrics(odd), HasSubstr(R"(device="a\"b\\c\nd"})"));
}

TEST(OpenMetrics, NoDevicesIsAnAnswerToo) {
    EXPECT_THAT(openmetrics(json::array()), testing::EndsWith("# EOF\n"));
    EXPECT_EQ(openmetrics(json::parse(R"([{"front_end": "ublk", "name": ""}])")),
              openmetrics(json::array()));
}

TEST(OpenMetrics, LatencyIsAHistogramInSeconds) {
    json all = devices();
    all[0]["read_latency"] = {{"count", 3U}, {"sum_ns", 60'000U}, {"within", {1U, 2U}}};
    const std::string labels = "{front_end=\"tcmu\",device=\"user_0/a\",operation=\"read\"";
    EXPECT_THAT(
        openmetrics(all),
        AllOf(
            HasSubstr("# TYPE lunkit_command_latency_seconds histogram\n"
                      "# UNIT lunkit_command_latency_seconds seconds\n"),
            HasSubstr("lunkit_command_latency_seconds_bucket" + labels + ",le=\"1.6384e-05\"} 1\n"),
            HasSubstr("lunkit_command_latency_seconds_bucket" + labels + ",le=\"3.2768e-05\"} 2\n"),
            HasSubstr("lunkit_command_latency_seconds_bucket" + labels + ",le=\"+Inf\"} 3\n"),
            HasSubstr("lunkit_command_latency_seconds_count" + labels + "} 3\n"),
            HasSubstr("lunkit_command_latency_seconds_sum" + labels + "} 0.000060000\n")));
}

TEST(OpenMetrics, ErrorsAreToldByKind) {
    json all = devices();
    all[0]["error_counts"] = {{"03/11/00", 1U}};
    EXPECT_THAT(openmetrics(all),
                HasSubstr("lunkit_errors_by_kind_total{front_end=\"tcmu\",device=\"user_0/a\","
                          "kind=\"03/11/00\"} 1\n"));
}

}  // namespace
}  // namespace lunkit::cli

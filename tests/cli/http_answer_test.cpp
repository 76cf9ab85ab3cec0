// SPDX-License-Identifier: Apache-2.0
#include "cli/http_answer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <string>

#include "lunkit/unique_fd.hpp"

namespace lunkit::cli {
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;
using namespace std::chrono_literals;

/// What is answered to `request`, which a client has sent and then waits.
std::string answer(const std::string& request,
                   const Outcome& metrics = {kExitOk, "lunkit_up 1\n# EOF\n", {}}) {
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe(ends.data()), 0);
    const UniqueFd from(ends[0]);
    const UniqueFd to(ends[1]);
    EXPECT_EQ(::write(to.get(), request.data(), request.size()),
              static_cast<ssize_t>(request.size()));
    const Outcome outcome = answer_http(from.get(), 50ms, [&metrics] { return metrics; });
    EXPECT_EQ(outcome.code, kExitOk);
    return outcome.out;
}

TEST(HttpAnswer, MetricsAreGivenAsOpenMetrics) {
    EXPECT_THAT(
        answer("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"),
        AllOf(StartsWith("HTTP/1.1 200 OK\r\n"),
              HasSubstr("\r\nContent-Type: application/openmetrics-text; version=1.0.0; "
                        "charset=utf-8\r\n"),
              HasSubstr("\r\nContent-Length: 18\r\n"), EndsWith("\r\n\r\nlunkit_up 1\n# EOF\n")));
    EXPECT_THAT(answer("GET /metrics?name=x HTTP/1.0\n\n"), StartsWith("HTTP/1.1 200 OK\r\n"));
}

TEST(HttpAnswer, HeadHasNoBody) {
    EXPECT_THAT(answer("HEAD /metrics HTTP/1.1\r\n\r\n"),
                AllOf(StartsWith("HTTP/1.1 200 OK\r\n"), HasSubstr("\r\nContent-Length: 18\r\n"),
                      EndsWith("\r\n\r\n")));
}

TEST(HttpAnswer, DaemonThatDoesNotAnswerIsSaidSo) {
    EXPECT_THAT(
        answer("GET /metrics HTTP/1.1\r\n\r\n", {kExitFailure, {}, "lunkit: not running\n"}),
        AllOf(StartsWith("HTTP/1.1 503 Service Unavailable\r\n"),
              EndsWith("\r\n\r\nlunkit: not running\n")));
}

TEST(HttpAnswer, NothingElseIsServed) {
    EXPECT_THAT(answer("GET / HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 404 "));
    EXPECT_THAT(answer("POST /metrics HTTP/1.1\r\n\r\n"),
                AllOf(StartsWith("HTTP/1.1 405 "), HasSubstr("\r\nAllow: GET, HEAD\r\n")));
    EXPECT_THAT(answer("SSH-2.0-x\r\n\r\n"), StartsWith("HTTP/1.1 400 "));
    EXPECT_THAT(answer("GET /metrics HTTP/1.1\r\n" + std::string(8192, 'a')),
                StartsWith("HTTP/1.1 400 "));
    EXPECT_EQ(answer(""), "");
}

TEST(HttpAnswer, ClientThatStopsInTheMiddleIsNotWaitedForLong) {
    EXPECT_THAT(answer("GET /metrics HTTP/1.1\r\nHost"), StartsWith("HTTP/1.1 200 OK\r\n"));
}

}  // namespace
}  // namespace lunkit::cli

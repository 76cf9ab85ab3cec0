// SPDX-License-Identifier: Apache-2.0
// lunkit handler test, on handlers that come with lunkit.
#include "cli/handler_test.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "cli/exit_code.hpp"
#include "support/child_process.hpp"
#include "support/engine_rig.hpp"

namespace lunkit::cli {
namespace {

using test::ChildProcess;
using test::TemporaryFolder;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

struct Ran {
    int code;
    std::string text;
};

Ran run_test(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {LUNKIT, "handler", "test"});
    ChildProcess tool(std::move(arguments), {});
    const int code = tool.wait_exit();
    return {code, tool.printed()};
}

TEST(HandlerTest, FileKeepsItsPromises) {
    const TemporaryFolder folder;
    const Ran ran = run_test(
        {"file/" + (folder / "disk"), "--overwrite", "--plugin", HANDLER_FILE, "--size", "16M"});
    EXPECT_EQ(ran.code, kExitOk) << ran.text;
    EXPECT_THAT(ran.text, AllOf(HasSubstr("TAP version 13\n1..21\n"),
                                HasSubstr("ok 20 keeps its contents when it is served read only\n"),
                                Not(HasSubstr("not ok"))));
}

TEST(HandlerTest, NullKeepsNothing) {
    const Ran ran = run_test({"null/", "--overwrite", "--plugin", HANDLER_NULL, "--size", "16M"});
    EXPECT_EQ(ran.code, kExitFailure) << ran.text;
    EXPECT_THAT(ran.text, AllOf(HasSubstr("not ok 5 keeps what is written\n# byte 0 is 0x00"),
                                HasSubstr("\nok 3 opens\n")));
}

TEST(HandlerTest, ADeviceOfOneBlockIsNotGoneOnWith) {
    const TemporaryFolder folder;
    const Ran ran = run_test(
        {"file/" + (folder / "disk"), "--overwrite", "--plugin", HANDLER_FILE, "--size", "512"});
    EXPECT_EQ(ran.code, kExitFailure) << ran.text;
    EXPECT_THAT(ran.text, HasSubstr("1..4\n"));
    EXPECT_THAT(ran.text, HasSubstr("not ok 4 tells what it is\n# its size is 512 bytes"));
}

TEST(HandlerTest, NothingIsOverwrittenUnasked) {
    const TemporaryFolder folder;
    const Ran ran = run_test({"file/" + (folder / "disk"), "--plugin", HANDLER_FILE});
    EXPECT_EQ(ran.code, kExitUsage);
    EXPECT_THAT(ran.text, HasSubstr("--overwrite is required"));
}

TEST(HandlerTest, AnUnknownHandlerIsNamed) {
    const Ran ran = run_test({"tape/x", "--overwrite", "--plugin", HANDLER_FILE});
    EXPECT_EQ(ran.code, kExitFailure);
    EXPECT_THAT(ran.text, HasSubstr("tape/x: there is no such handler"));
}

TEST(HandlerTest, ReportsAreForPeopleAndScripts) {
    using Kind = CheckResult::Kind;
    const std::vector<CheckResult> results = {{"opens", Kind::kPassed, ""},
                                              {"discards", Kind::kLeftOut, "it does not"},
                                              {"reads", Kind::kFailed, "byte 3 is wrong"}};
    EXPECT_FALSE(all_passed(results));
    EXPECT_EQ(checks_report(results),
              "TAP version 13\n1..3\nok 1 opens\nok 2 discards # SKIP it does not\n"
              "not ok 3 reads\n# byte 3 is wrong\n");
    EXPECT_EQ(checks_json(results).at(1).dump(),
              R"({"name":"discards","result":"left out","why":"it does not"})");
    EXPECT_EQ(checks_report({{"opens", Kind::kFailed, "no 'a\x1b[2J'"}}),
              "TAP version 13\n1..1\nnot ok 1 opens\n# no 'a?[2J'\n");
}

}  // namespace
}  // namespace lunkit::cli

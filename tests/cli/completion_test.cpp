// SPDX-License-Identifier: Apache-2.0
// The completion scripts as the shells run them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "support/child_process.hpp"
#include "support/private_bus.hpp"

namespace lunkit::cli {
namespace {

using test::ChildProcess;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

std::string run(const std::string& shell, const std::string& script,
                const std::string& variable = "X=") {
    ChildProcess child({shell, "-c", script}, {variable, "PATH=/usr/bin:/bin"});
    EXPECT_EQ(child.wait_exit(), 0) << child.printed();
    return child.printed();
}

/// What bash offers behind `words`; `lunkit` is the tool that was built.
std::string offered(const std::string& words, int position, const std::string& variable = "X=") {
    return run("/bin/bash",
               "lunkit() { " LUNKIT " \"$@\"; }; source <(lunkit completion bash); COMP_WORDS=(" +
                   words + "); COMP_CWORD=" + std::to_string(position) +
                   "; _lunkit; echo \"[${COMPREPLY[*]}]\"",
               variable);
}

TEST(Completion, BashOffersCommandsAndTheirOptions) {
    EXPECT_EQ(offered("lunkit st", 1), "[stats]\n");
    EXPECT_EQ(offered("lunkit ublk ''", 2), "[add del resize list --help]\n");
    EXPECT_EQ(offered("lunkit ublk add --re", 3), "[--read-only]\n");
    EXPECT_EQ(offered("lunkit stats --op", 2), "[--openmetrics]\n");
    EXPECT_EQ(offered("lunkit dm-log l", 2), "[list]\n");
    EXPECT_EQ(offered("lunkit dm-log ''", 2), "[list show dump --help]\n");
    EXPECT_EQ(offered("lunkit dm-user a", 2), "[attach]\n");
    EXPECT_EQ(offered("lunkit frobnicate --no", 2), "[]\n");
}

TEST(Completion, BashOffersTheDevicesThatAreServed) {
    const test::PrivateBus bus;
    const test::TemporaryFolder folder;
    std::ofstream(folder / "lunkitd.conf") << "[daemon]\nrun_dir=" << folder.path() << "\n";
    ChildProcess daemon({FAKE_LUNKITD, "--foreground", "--config", folder / "lunkitd.conf"},
                        {bus.variable()});
    ASSERT_TRUE(daemon.wait_notify("READY=1")) << daemon.printed();
    EXPECT_EQ(offered("lunkit show user_0", 2, bus.variable()), "[user_0/disk1]\n");
    EXPECT_EQ(offered("lunkit ublk del user", 3, bus.variable()), "[]\n");
    daemon.signal(SIGTERM);
    EXPECT_EQ(daemon.wait_exit(), 0);
    EXPECT_EQ(offered("lunkit show user_0", 2, bus.variable()), "[]\n");
}

// Names of devices come from others.
TEST(Completion, NamesAreNotRun) {
    const std::string words =
        run("/bin/bash",
            "source <(" LUNKIT
            " completion bash); lunkit() { printf 'NAME\\n$(echo-ed)\\n'; }; "
            "COMP_WORDS=(lunkit show ''); COMP_CWORD=2; _lunkit; echo \"${COMPREPLY[*]}\"");
    EXPECT_THAT(words, HasSubstr("$(echo-ed)"));
}

TEST(Completion, EachShellHasACommandForEach) {
    const std::string zsh = run("/bin/sh", LUNKIT " completion zsh");
    EXPECT_THAT(zsh, AllOf(HasSubstr("#compdef lunkit\n"), HasSubstr("    ublk/del)\n"),
                           Not(HasSubstr(" path="))));  // that is PATH to zsh
    const std::string fish = run("/bin/sh", LUNKIT " completion fish");
    EXPECT_THAT(fish, HasSubstr("-n '__fish_seen_subcommand_from ublk; and "
                                "__fish_seen_subcommand_from del' -l force -d "));
    ChildProcess unknown({LUNKIT, "completion", "tcsh"}, {});
    EXPECT_EQ(unknown.wait_exit(), 2);
}

}  // namespace
}  // namespace lunkit::cli

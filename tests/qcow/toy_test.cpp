// SPDX-License-Identifier: Apache-2.0
// The rig is worth something only if it finds what is wrong, and nothing where nothing is: proven
// with writers that break one rule each.
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>

#include "known_bugs.hpp"
#include "rig/crash_run.hpp"
#include "toy/toy_writer.hpp"

namespace lunkit::qcow_rig {
namespace {

struct ToyCase {
    const char* name;
    Violation violation;
    const char* kind;
    std::uint64_t hot_bytes = 1 << 20;
    bool race = false;  ///< shows in the live run: many requests in one place, hardly a cut
};

CrashOptions options_of(std::uint64_t seed, const ToyCase& toy) {
    CrashOptions options;
    options.seed = seed;
    options.workload.requests = toy.race ? 800 : 60;
    options.workload.depth = toy.race ? 16 : 8;
    options.workload.hot_bytes = toy.hot_bytes;
    options.workload.longest = std::min<std::uint64_t>(toy.hot_bytes, 256 * 1024);
    options.workload.mix = {
        .writes = 45, .fua_writes = 10, .zeroes = 0, .discards = 20, .reads = 12};
    options.most_cuts = toy.race ? 1 : 0;
    options.qemu_every = 1000;
    options.reopen_every = 1000;
    return options;
}

/// Runs seeds until something is found.
CrashReport search(const ToyCase& toy, std::uint64_t seeds) {
    set_toy_violation(toy.violation);
    CrashReport all;
    for (std::uint64_t seed = 1; seed <= seeds && !all.finding; ++seed) {
        all.add(run_crash(toy_entry, *find_kind(toy.kind), options_of(seed, toy)));
    }
    set_toy_violation(Violation::kNothing);
    return all;
}

/// gtest prints parameters.
std::ostream& operator<<(std::ostream& out, const ToyCase& toy) {
    return out << toy.name;
}

class RigFinds : public testing::TestWithParam<ToyCase> {};

TEST_P(RigFinds, WhatTheToyDoesWrong) {
    if (!have_qemu()) {
        GTEST_SKIP() << "qemu-img is not installed";
    }
    const CrashReport report = search(GetParam(), 30);
    ASSERT_TRUE(report.finding) << report.states << " states, nothing found";
    std::cout << "found after " << report.states << " states: " << *report.finding << '\n';
}

INSTANTIATE_TEST_SUITE_P(
    Toy, RigFinds,
    testing::Values(
        ToyCase{"PointerBeforeRefcountR1", Violation::kPointerBeforeRefcount, "v3-empty"},
        ToyCase{"PointerBeforeCopyR2", Violation::kPointerBeforeCopy, "snapshot"},
        ToyCase{"L1BeforeL2R3", Violation::kL1BeforeL2, "snapshot-c4k"},
        ToyCase{"RefcountBeforeUnlinkR4", Violation::kRefcountBeforeUnlink, "v3"},
        ToyCase{"ReuseBeforeUnlinkR5", Violation::kReuseBeforeUnlink, "v3"},
        ToyCase{"FlushDoesNothing", Violation::kFlushDoesNothing, "v3"},
        ToyCase{"FuaDoesNothing", Violation::kFuaDoesNothing, "v3"},
        ToyCase{"WriteRacesDiscardB3", Violation::kWriteRacesDiscard, "c4k", 65536, true},
        ToyCase{"ForgetsCopiedFlag", Violation::kForgetsCopiedFlag, "v3-empty"},
        ToyCase{"NoCopyOnWrite", Violation::kNoCopyOnWrite, "snapshot"}),
    [](const auto& made) { return std::string(made.param.name); });

/// The regression tests of the handler's known_bugs_test.cpp, where the bug is.
CrashReport run_script(Violation violation, const Script& script) {
    set_toy_violation(violation);
    CrashOptions options;
    options.script = script;
    options.qemu_every = 0;
    options.reopen_every = 0;
    CrashReport report = run_crash(toy_entry, *find_kind("v3"), options);
    set_toy_violation(Violation::kNothing);
    return report;
}

TEST(KnownBugScript, FindsReuseBeforeUnlink) {
    const auto script = [](Workload& workload, RecordingHost&) {
        return free_and_fill(workload, Verb::kDiscard, {kVictim, kCluster}, 0);
    };
    EXPECT_TRUE(run_script(Violation::kReuseBeforeUnlink, script).finding);
    EXPECT_FALSE(run_script(Violation::kNothing, script).finding);
}

TEST(KnownBugScript, FindsAWriteThatRacesADiscard) {
    const auto script = [](Workload& workload, RecordingHost& host) {
        return race_with_discard(workload, host, kVictim);
    };
    EXPECT_TRUE(run_script(Violation::kWriteRacesDiscard, script).finding);
    EXPECT_FALSE(run_script(Violation::kNothing, script).finding);
}

class RigAccepts : public testing::TestWithParam<const char*> {};

TEST_P(RigAccepts, TheCorrectToy) {
    if (!have_qemu()) {
        GTEST_SKIP() << "qemu-img is not installed";
    }
    const CrashReport report = search({"", Violation::kNothing, GetParam()}, 1);
    EXPECT_FALSE(report.finding) << *report.finding;
    EXPECT_GT(report.states, 300U);
    std::cout << report.cuts << " cuts, " << report.states << " states in "
              << report.seconds_judging << " s\n";
}

INSTANTIATE_TEST_SUITE_P(Toy, RigAccepts,
                         testing::Values("v3", "v3-empty", "c4k", "snapshot", "snapshot-c4k"),
                         [](const auto& made) {
                             std::string name = made.param;
                             std::erase(name, '-');
                             return name;
                         });

}  // namespace
}  // namespace lunkit::qcow_rig

// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cstdio>

#include "cli/commands.hpp"

int main(int argc, char** argv) {
    const lunkit::cli::Outcome outcome = lunkit::cli::run_command({argv + 1, argv + argc});
    (void)std::fputs(outcome.err.c_str(), stderr);  // nowhere left to complain to
    if (std::fputs(outcome.out.c_str(), stdout) < 0 || std::fflush(stdout) != 0) {
        (void)std::fputs("lunkit: cannot write the answer\n", stderr);
        return lunkit::cli::kExitFailure;
    }
    return outcome.code;
}
